/** Sessions of clients that are open, with who they are. */

import { ago, h, pageHead, verdict } from './dom.js'
import { dataTable } from './table.js'

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
      { key: 'client', head: 'Client', cell: (client, row) => whyLink(row.connection, client) },
      { key: 'tls', head: 'Verdict', cell: verdict },
      { key: 'subject', head: 'Identity', wide: true },
      { key: 'user', head: 'User' },
      { key: 'hello', head: 'EHLO', wide: true },
      { key: 'state', head: 'State' },
      { key: 'seconds', head: 'For', numeric: true, cell: (seconds) => ago(seconds) },
      { key: 'receptions', head: 'Messages', numeric: true },
      { key: 'listen', head: 'Listen' },
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

/** To the decision record of a connection. */
export function whyLink(connection, text = connection) {
  return h('a', { class: 'mono', href: `#/why/${encodeURIComponent(connection)}` }, text)
}
