/**
 * Elements from plain data. Text becomes text and nothing else: there is no way in here from a string to markup, and the
 * page's policy (Trusted Types) leaves none either.
 */

/** @param {string} tag @param {Record<string, unknown>} [props] `on…` are listeners, `true` is an empty attribute */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children)
}

/** The same for drawings. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), props, children)
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false),
  )
  return element
}

/** Puts something else in. */
export function replace(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false),
  )
}

/** Says something to those who do not see it. */
export function announce(text) {
  document.getElementById('announcer').textContent = text
}

const marks = { verified: '✓', anonymous: '○', unverified: '!', failed: '✕', plaintext: '–', none: '–' }
const words = { none: 'no TLS', plaintext: 'plaintext' }

/** A verdict: a colour, a mark, and a word. */
export function verdict(word) {
  const known = Object.hasOwn(marks, word) ? word : 'none'
  return h(
    'span',
    { class: `verdict ${known}` },
    h('span', { class: 'mark', 'aria-hidden': 'true' }, marks[known]),
    words[word] ?? word,
  )
}

/** `1 message`, `2 messages`, `2 entries` */
export function count(number, one) {
  const many = one.endsWith('y') ? `${one.slice(0, -1)}ies` : `${one}s`
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`
}

const spans = [
  [86_400, 'd'],
  [3600, 'h'],
  [60, 'min'],
]

/** Seconds for people: `3 min`, `2 h`. */
export function ago(seconds) {
  const [unit, name] = spans.find(([each]) => seconds >= each) ?? [1, 's']
  return `${Math.floor(seconds / unit)} ${name}`
}

/** A moment as this browser's clock has it, with the whole of it for whoever hovers. */
export function moment(text) {
  const date = new Date(text ?? '')
  if (Number.isNaN(date.getTime())) return text ?? ''
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
  const today = date.toDateString() === new Date().toDateString()
  return h(
    'time',
    { datetime: date.toISOString(), title: date.toISOString() },
    today ? time : `${day} ${time}`,
  )
}

function pad(part) {
  return String(part).padStart(2, '0')
}

/** A heading with what belongs beside it. */
export function pageHead(title, about, ...beside) {
  return h(
    'header',
    { class: 'page-head' },
    h('div', {}, h('h1', { tabindex: '-1' }, title), about && h('p', { class: 'about' }, about)),
    beside.length > 0 && h('div', { class: 'beside' }, beside),
  )
}

/** What went wrong. */
export function problem(error) {
  return h('p', { class: 'notice bad', role: 'alert' }, String(error?.message ?? error))
}
