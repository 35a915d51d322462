/** Whom TLS_Verify_Mode_Shadow and Require_TLS_Shadow would refuse. */

import { h, moment, pageHead } from './dom.js'
import { dataTable, plain } from './table.js'

const words = {
  'would-refuse': ['refuse', 'would refuse'],
  'would-continue': ['continue', 'would go on'],
  unknown: ['unknown', 'cannot be known'],
}

export function shadow({ params }) {
  const table = dataTable({
    view: 'shadow',
    caption: 'What the shadow modes found, by client network and certificate',
    noun: 'row',
    params,
    columns: [
      { key: 'verdict', head: 'Verdict', cell: shadowVerdict },
      { key: 'reason', head: 'Reason' },
      { key: 'network', head: 'Network', cell: (network) => h('span', { class: 'mono' }, plain(network)) },
      { key: 'subject', head: 'Certificate', wide: true },
      { key: 'issuer', head: 'Issuer', wide: true },
      { key: 'cause', head: 'Cause' },
      { key: 'count', head: 'Count', numeric: true },
      { key: 'first', head: 'First', cell: moment },
      { key: 'last', head: 'Last', cell: moment },
    ],
  })
  void table.load()
  return {
    element: h(
      'div',
      {},
      pageHead(
        'Shadow',
        'Who would be refused if TLS_Verify_Mode_Shadow, or Require_TLS_Shadow, were in force.',
      ),
      table.element,
    ),
    refresh: () => void table.load({ refresh: true }),
  }
}

function shadowVerdict(value) {
  const [name, text] = words[value] ?? ['unknown', value]
  const mark = { refuse: '✕', continue: '✓', unknown: '?' }[name]
  return h(
    'span',
    { class: `verdict shadow-${name}` },
    h('span', { class: 'mark', 'aria-hidden': 'true' }, mark),
    text,
  )
}
