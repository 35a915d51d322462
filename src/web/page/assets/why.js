/** Why a client was judged as it was: the decision record, found by connection or address, and the last ones to choose from. */

import { view } from './api.js'
import { h, moment, pageHead, problem, replace, verdict } from './dom.js'
import { clientCell } from './sessions.js'
import { dataTable, plain } from './table.js'

export function why({ rest, params }) {
  const [of = ''] = rest
  const record = h('div', { class: 'record' })
  const input = h('input', {
    id: 'of',
    type: 'search',
    value: of,
    required: true,
    spellcheck: 'false',
    autocapitalize: 'none',
    size: 40,
  })
  const form = h(
    'form',
    {
      class: 'ask',
      role: 'search',
      onsubmit: (event) => {
        event.preventDefault()
        location.hash = `#/why/${encodeURIComponent(input.value.trim())}`
      },
    },
    h('label', { for: 'of' }, 'Connection or client address'),
    h('span', { class: 'row' }, input, h('button', { type: 'submit', class: 'strong' }, 'Show')),
  )
  if (of !== '') void show(of, record)
  const table = handshakes(params)
  void table.load()
  return {
    element: h(
      'div',
      {},
      pageHead(
        'Why',
        'What a connection was judged by, what came of it, and which line of the configuration says so.',
      ),
      form,
      record,
      table.element,
    ),
    refresh: () => void table.load({ refresh: true }),
  }
}

async function show(of, place) {
  try {
    const { lines } = await view('why', { of })
    const [title = '', ...details] = lines
    replace(
      place,
      h(
        'section',
        { class: 'card', 'aria-label': 'Decision record' },
        h('h2', {}, title),
        h('dl', { class: 'facts long' }, details.map(detail)),
      ),
    )
  } catch (error) {
    if (error.status !== 401) replace(place, problem(error))
  }
}

/** A line of the console: a name, and what is said of it. */
function detail(line) {
  const [, name, text] = /^\s*([^:]{1,40}):\s+(.*)$/su.exec(line) ?? [undefined, '', line.trim()]
  return h('div', {}, h('dt', {}, name), h('dd', {}, said(name, text)))
}

/** lines whose places are lines of the configuration */
const CONFIGURED = ['TLS_Verify_Mode', 'shadow', 'then']

function said(name, text) {
  if (name !== 'verdict') return withPlaces(text, CONFIGURED.includes(name))
  const [word = ''] = /^\w+/.exec(text) ?? []
  return [verdict(word), ' ', text.slice(word.length).replace(/^: /, '')]
}

/** `gate.conf:12` stands out: that is where to look. What the configuration decides leads there. */
function withPlaces(text, configured) {
  return text.split(/((?=[^\s:]*[a-z])[^\s,:()[\]]+:\d+\b)/u).map((part, index) => {
    if (index % 2 === 0) return part
    const code = h('code', { class: 'place' }, part)
    return configured ? h('a', { href: `#/configuration?find=${encodeURIComponent(part)}` }, code) : code
  })
}

const choices = [
  ['', 'every outcome'],
  ['failed', 'failed'],
  ['unverified', 'unverified'],
  ['anonymous', 'anonymous'],
  ['verified', 'verified'],
  ['plaintext', 'plaintext'],
]

function handshakes(params) {
  const only = () => (params.get('outcome') === '' ? {} : { only: `outcome:${params.get('outcome')}` })
  const select = h(
    'select',
    {
      'aria-label': 'Outcome',
      onchange: () => {
        params.set('outcome', select.value)
        void table.setQuery(only())
      },
    },
    choices.map(([value, text]) => h('option', { value, selected: value === params.get('outcome') }, text)),
  )
  const table = dataTable({
    view: 'handshakes',
    caption: 'Connections that are remembered: those under way first, then the last of each outcome',
    noun: 'connection',
    params,
    query: only(),
    filters: [select],
    columns: [
      { key: 'at', head: 'Handshake', cell: moment },
      { key: 'client', head: 'Client', cell: clientCell },
      { key: 'outcome', head: 'Outcome', cell: outcomeCell },
      { key: 'subject', head: 'Certificate', wide: true, cell: certificateCell },
      { key: 'mode', head: 'Mode' },
      { key: 'protocol', head: 'Protocol' },
      { key: 'end', head: 'End' },
    ],
  })
  return table
}

/** What came of it, and why. */
export function outcomeCell(outcome, { cause }) {
  return cause === null || cause === ''
    ? verdict(outcome)
    : h('span', { class: 'lines' }, verdict(outcome), h('span', { class: 'second' }, cause))
}

function certificateCell(subject, { partner }) {
  if (partner === undefined || partner === null) return plain(subject)
  return h(
    'span',
    { class: 'lines' },
    h('span', {}, subject),
    h('span', { class: 'second' }, `partner ${partner}`),
  )
}
