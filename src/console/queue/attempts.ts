/** Deliveries under way as the console shows them (momentum: console-commands/show-outbound). */

import type { OutboundReport } from '../../delivery/operator/orders.ts'
import { fromBytes } from '../render.ts'

/** Those of all processes, the oldest first. @param most how many are shown */
export function attemptsOf(reports: readonly OutboundReport[], most: number, now: number) {
  const shown = reports
    .flatMap((report) => report.rows)
    .toSorted((a, b) => a.since - b.since)
    .slice(0, most)
    .map((row) => ({
      connection: row.connection,
      state: row.state,
      host: fromBytes(row.host),
      address: row.address,
      domain: fromBytes(row.domain),
      bindingGroup: row.bindingGroup,
      binding: row.binding,
      messages: row.messages,
      since: new Date(row.since).toISOString(),
      seconds: Math.round((now - row.since) / 100) / 10,
    }))
  return { shown, attempts: reports.reduce((sum, report) => sum + report.attempts, 0) }
}

export type AttemptData = ReturnType<typeof attemptsOf>['shown'][number]

export function attemptLine(row: AttemptData): string {
  const { connection, state, host, address, domain, binding, messages, seconds } = row
  const what = `${messages} ${messages === 1 ? 'message' : 'messages'}`
  return `${connection}: [outbound/${state}] ${host === '' ? '-' : host} ${address} (for ${seconds}s)  ${binding} ${domain}, ${what}`
}
