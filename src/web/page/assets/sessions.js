/** Sessions of clients that are open, with who they are. */

import { ago, h, pageHead, verdict } from './dom.js'
import { dataTable, plain } from './table.js'

const verdicts = [
  ['', 'every verdict'],
  ['verified', 'verified'],
  ['unverified', 'unverified'],
  ['anonymous', 'anonymous'],
  ['none', 'no TLS'],
]

export function sessions({ params }) {
  const only = () => (params.get('tls') === '' ? {} : { only: `tls:${params.get('tls')}` })
  const select = h(
    'select',
    {
      'aria-label': 'Verdict',
      onchange: () => {
        params.set('tls', select.value)
        void table.setQuery(only())
      },
    },
    verdicts.map(([value, text]) => h('option', { value, selected: value === params.get('tls') }, text)),
  )
  const table = dataTable({
    view: 'sessions',
    caption: 'Sessions under way',
    noun: 'session',
    params,
    query: only(),
    filters: [select],
    columns: [
      { key: 'client', head: 'Client', cell: clientCell },
      { key: 'tls', head: 'Verdict', cell: verdict },
      { key: 'subject', head: 'Identity', wide: true, cell: identityCell },
      { key: 'hello', head: 'EHLO', wide: true },
      { key: 'state', head: 'State' },
      { key: 'seconds', head: 'For', numeric: true, cell: (seconds) => ago(seconds) },
      { key: 'receptions', head: 'Messages', numeric: true },
    ],
  })
  void table.load()
  return {
    element: h(
      'div',
      {},
      pageHead('Sessions', 'Who is connected now, and how that is known.'),
      table.element,
    ),
    refresh: () => void table.load({ refresh: true }),
  }
}

/** The client, and where it came in. */
export function clientCell(client, { connection, listen }) {
  return h(
    'span',
    { class: 'lines' },
    whyLink(connection, client),
    h('span', { class: 'second' }, `on ${listen}`),
  )
}

/** What the certificate says, and who has logged in. */
function identityCell(subject, { user }) {
  if (user === '') return plain(subject)
  return h(
    'span',
    { class: 'lines' },
    subject !== '' && h('span', {}, subject),
    h('span', { class: 'second' }, `logged in as ${user}`),
  )
}

/** To the decision record of a connection. */
export function whyLink(connection, text = connection) {
  return h('a', { class: 'mono', href: `#/why/${encodeURIComponent(connection)}` }, text)
}
