/** What is kept of the MX records of a domain, in any process. */

import { askInside } from '../inside/ask.ts'
import type { ConsoleServices } from '../services.ts'

/** `10 mx.example`; none where nothing is kept. Nobody is asked. */
export async function keptMx(name: string, services: ConsoleServices): Promise<readonly string[]> {
  const { reports } = await askInside(services, 'dns', { act: 'lookup', name, type: 'MX' })
  const records = reports.flatMap(({ answers }) => answers.map(({ data = '' }) => data))
  return [...new Set(records.filter((record) => record !== ''))].toSorted(
    (a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10) || (a < b ? -1 : 1),
  )
}
