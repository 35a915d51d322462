/** The frame: who is logged in, which view, and when it looks again. */

import { listenTo, logout, session } from './api.js'
import { h, pageHead, problem, replace } from './dom.js'
import { loginView } from './login.js'
import { overview } from './overview.js'
import { routeParams } from './params.js'

const REFRESH_MS = 5000

/** by the first part of the address; what is not looked at first is loaded when it is */
const routes = [
  { path: 'overview', title: 'Overview', open: async () => overview },
  { path: 'sessions', title: 'Sessions', open: async () => (await import('./sessions.js')).sessions },
  { path: 'verdicts', title: 'Verdicts', open: async () => (await import('./verdicts.js')).verdicts },
  { path: 'why', title: 'Why', open: async () => (await import('./why.js')).why },
  { path: 'shadow', title: 'Shadow', open: async () => (await import('./shadow.js')).shadow },
  {
    path: 'certificates',
    title: 'Certificates',
    open: async () => (await import('./certificates.js')).certificates,
  },
  { path: 'queue', title: 'Queue', open: async () => (await import('./queue.js')).queue },
  {
    path: 'configuration',
    title: 'Configuration',
    open: async () => (await import('./configuration.js')).configuration,
  },
  { path: 'explain', title: 'Explain', open: async () => (await import('./explain.js')).explaining },
]

const app = document.getElementById('app')
const frame = { user: undefined, refresh: undefined, live: true, current: '' }

async function begin() {
  try {
    const about = await session()
    if (about.login === true) showLogin()
    else enter(about)
  } catch (error) {
    replace(app, h('main', { id: 'main' }, pageHead('Postern'), problem(error)))
  }
}

function showLogin() {
  frame.user = undefined
  frame.refresh = undefined
  document.title = 'Log in · Postern'
  loginView(app, enter)
}

function enter(about) {
  frame.user = about
  const main = h('main', { id: 'main', tabindex: '-1' })
  const missing = h('div', { class: 'missing', role: 'status' })
  listenTo({
    onLogin: showLogin,
    onMissing: (sentences) =>
      replace(
        missing,
        sentences.map((each) => h('p', { class: 'notice bad' }, each)),
      ),
  })
  const links = routes.map(({ path, title }) => h('a', { href: `#/${path}`, 'data-path': path }, title))
  replace(
    app,
    h(
      'div',
      { class: 'frame' },
      h(
        'header',
        { class: 'top' },
        h(
          'a',
          { class: 'name', href: '#/overview' },
          h('img', { src: '/page/icon.svg', alt: '', width: 22, height: 22 }),
          'Postern',
        ),
        h('span', { class: 'host', title: `Postern ${about.version}` }, about.hostname),
        h(
          'div',
          { class: 'who' },
          liveButton(),
          who(about),
          h('button', { type: 'button', class: 'quiet', onclick: leave }, 'Log out'),
        ),
      ),
      h(
        'nav',
        { class: 'views', 'aria-label': 'Views' },
        h(
          'ul',
          {},
          links.map((link) => h('li', {}, link)),
        ),
      ),
      h('div', { class: 'content' }, missing, main),
    ),
  )
  frame.main = main
  frame.links = links
  void open()
}

function who({ user, mayAct }) {
  return h(
    'span',
    { class: 'user' },
    h('span', { class: 'user-name', title: user }, user),
    !mayAct && h('span', { class: 'role' }, 'read only'),
  )
}

function liveButton() {
  const dot = h('span', { class: 'dot', 'aria-hidden': 'true' })
  const button = h(
    'button',
    {
      type: 'button',
      class: 'quiet live',
      'aria-pressed': String(frame.live),
      title: 'Looks again every five seconds',
      onclick: () => {
        frame.live = !frame.live
        button.setAttribute('aria-pressed', String(frame.live))
        if (frame.live) look()
      },
    },
    dot,
    'Live',
  )
  return button
}

async function leave() {
  await logout().catch(() => undefined)
  // a new page: nothing that was shown stays in memory
  history.replaceState(undefined, '', '/page/')
  location.reload()
}

/** Shows what the address names. */
async function open() {
  if (frame.user === undefined) return
  const [path = '', ...rest] = location.hash.replace(/^#\/?/, '').split('?')[0].split('/')
  const route = routes.find((each) => each.path === path) ?? routes[0]
  const where = [route.path, ...rest].join('/')
  const again = frame.current.split('/')[0] === route.path
  frame.current = where
  for (const link of frame.links) {
    if (link.dataset.path === route.path) {
      link.setAttribute('aria-current', 'page')
      // on a narrow screen they are in a row that is longer than the screen
      link.scrollIntoView({ block: 'nearest', inline: 'nearest' })
    } else link.removeAttribute('aria-current')
  }
  document.title = `${route.title} · ${frame.user.hostname}`
  frame.refresh = undefined
  try {
    const show = await route.open()
    if (frame.current !== where) return
    const { element, refresh } = show({ user: frame.user, rest: rest.map(decoded), params: routeParams() })
    frame.refresh = refresh
    replace(frame.main, element)
    frame.main.dataset.view = where
    window.scrollTo(0, 0)
    if (frame.moved) element.querySelector('h1')?.focus({ preventScroll: true })
    frame.moved = true
  } catch (error) {
    replace(
      frame.main,
      pageHead(route.title),
      problem(again ? error : `This view did not load: ${error.message}`),
    )
  }
}

function look() {
  if (frame.live && document.visibilityState === 'visible' && document.querySelector('dialog[open]') === null)
    frame.refresh?.()
}

function decoded(part) {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

window.addEventListener('hashchange', () => void open())
document.addEventListener('visibilitychange', look)
setInterval(look, REFRESH_MS)
void begin()
