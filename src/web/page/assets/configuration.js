/** The configuration in force: as a tree with the line of each value, and what holds in one scope when everything around it counts. */

import { view } from './api.js'
import { count, h, pageHead, problem, replace } from './dom.js'
import { dataTable, plain } from './table.js'

export function configuration({ rest, params }) {
  const [scope] = rest
  return scope === undefined ? whole(params) : effective(scope, params)
}

function whole(params) {
  const tree = h('div', { class: 'tree card' }, h('p', { class: 'waiting' }, 'Asking…'))
  const input = h('input', {
    type: 'search',
    value: params.get('find'),
    placeholder: 'Find…',
    'aria-label': 'Find options, values and lines',
  })
  const found = h('p', { class: 'hint', role: 'status' })
  const look = () => {
    const text = input.value.trim()
    const left = filter(tree, text.toLowerCase())
    found.textContent = text === '' ? '' : count(left, 'value')
    params.set('find', text)
  }
  input.addEventListener('input', look)
  void load(tree, look)
  return {
    element: h(
      'div',
      {},
      pageHead('Configuration', 'What is in force, with the line on which it stands.'),
      h('div', { class: 'tools' }, h('span', { class: 'find' }, input), found),
      tree,
    ),
  }
}

async function load(place, then) {
  try {
    const { tree } = await view('configuration')
    replace(place, inside(tree, 0))
    then()
  } catch (error) {
    if (error.status !== 401) replace(place, problem(error))
  }
}

/** What stands in a scope: options first, since a scope inside ends them for the eye. */
function inside({ options, children, leftOut }, depth) {
  return [
    options.map(setting),
    children.map((child) => branch(child, depth)),
    leftOut > 0 && h('p', { class: 'hint' }, `${leftOut} more are not shown; the console has them all.`),
  ]
}

function branch(node, depth) {
  const { title, path, from } = node
  return h(
    'details',
    { open: depth < 2 && node.children.length < 30 },
    h('summary', {}, h('span', { class: 'stanza' }, title), place(from)),
    h(
      'p',
      { class: 'holds' },
      h(
        'a',
        { href: `#/configuration/${encodeURIComponent(path)}`, 'aria-label': `What holds here: ${path}` },
        'What holds here',
      ),
    ),
    inside(node, depth + 1),
  )
}

function setting({ name, value, from }) {
  return h(
    'div',
    { class: 'setting', 'data-text': `${name} ${value} ${from}`.toLowerCase() },
    h('span', { class: 'option' }, name),
    h('span', {}, h('span', { class: 'value mono' }, value), place(from)),
  )
}

function place(from) {
  return from && h('code', { class: 'place' }, from)
}

/** @param text a line's number ends where it ends @returns how many values are left to be seen */
function filter(tree, text) {
  let left = 0
  const fits = /:\d+$/.test(text) ? (each) => each.endsWith(text) : (each) => each.includes(text)
  for (const each of tree.querySelectorAll('.setting')) {
    each.hidden = text !== '' && !fits(each.dataset.text)
    if (!each.hidden) left += 1
  }
  for (const each of tree.querySelectorAll('details')) {
    each.hidden = text !== '' && each.querySelector('.setting:not([hidden])') === null
    if (text !== '' && !each.hidden) each.open = true
  }
  return left
}

function effective(scope, params) {
  const table = dataTable({
    view: 'effective',
    caption: 'Every option that means something here, and the line that decides it',
    noun: 'option',
    params,
    query: { scope },
    columns: [
      { key: 'option', head: 'Option' },
      {
        key: 'value',
        head: 'Value',
        wide: true,
        cell: (value) => h('span', { class: 'mono' }, plain(value)),
      },
      { key: 'from', head: 'From', wide: true, cell: origin },
    ],
  })
  void table.load()
  const listen = /\bListen "([^"\\]+)"/.exec(scope)?.[1]
  const peer = /\bPeer "([^"\\/]+)/.exec(scope)?.[1]
  const question = new URLSearchParams({ ...(listen && { listen }), ...(peer && { peer }) }).toString()
  return {
    element: h(
      'div',
      {},
      pageHead(
        scope,
        'What holds here when everything around it counts.',
        listen !== undefined &&
          scope.startsWith('ESMTP_Listener') &&
          h('a', { href: `#/explain?${question}` }, 'Explain a client here'),
        h('a', { href: '#/configuration' }, 'The whole configuration'),
      ),
      table.element,
    ),
  }
}

function origin(from) {
  return from === 'default' ? h('span', { class: 'nothing' }, 'default') : h('code', { class: 'place' }, from)
}
