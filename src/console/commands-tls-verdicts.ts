/** `tls verdicts`: who came, over time. */

import { type Answer, ConsoleError } from './answer.ts'
import type { ConsoleServices } from './services.ts'
import { dateTime } from './times.ts'
import { VERDICT_MINUTES } from './verdicts.ts'

/** @throws ConsoleError for more minutes than are remembered */
export function verdictAnswer(verdicts: ConsoleServices['verdicts'], minutes: number): Answer {
  if (minutes < 1 || minutes > VERDICT_MINUTES)
    throw new ConsoleError(`say 1 to ${VERDICT_MINUTES} minutes: more are not remembered`)
  const { until, series } = verdicts(minutes)
  const totals = series
    .map((each) => ({ ...each, total: each.counts.reduce((sum, count) => sum + count, 0) }))
    .toSorted((a, b) => b.total - a.total)
  const width = Math.max(5, ...totals.map(({ total }) => String(total).length))
  const line = (cells: readonly [string, string, string, string]): string =>
    [cells[0].padStart(width), cells[1].padEnd(10), cells[2].padEnd(20), cells[3]].join('  ').trimEnd()
  return {
    kind: 'document',
    // the minute that is under way is the last one
    data: { until: dateTime((until + 1) * 60_000), minutes, series: totals },
    lines:
      totals.length === 0
        ? [`No handshake has ended in the last ${minutes} minutes.`]
        : [
            line(['Count', 'Outcome', 'Listen', 'Issuer']),
            ...totals.map(({ total, outcome, listen, issuer }) =>
              line([String(total), outcome, listen, issuer === '' ? '-' : issuer]),
            ),
          ],
  }
}
