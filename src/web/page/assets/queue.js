/** The queue by domain, and what may be done about it. */

import { h, pageHead } from './dom.js'
import { dataTable } from './table.js'

export function queue({ params }) {
  const table = dataTable({
    view: 'queue',
    caption: 'Messages that wait, by binding and domain',
    noun: 'queue',
    params,
    columns: [
      { key: 'domain', head: 'Domain', wide: true },
      { key: 'binding', head: 'Group/Binding' },
      { key: 'active', head: 'Ready or under way', numeric: true },
      { key: 'delayed', head: 'Delayed', numeric: true },
    ],
  })
  void table.load()
  return {
    element: h('div', {}, pageHead('Queue', 'What was accepted and has not left yet.'), table.element),
    refresh: () => void table.load({ refresh: true }),
  }
}
