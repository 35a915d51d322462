/** What is remembered of where a domain's mail goes (momentum: console-commands/refresh-domain). */

import type { Answer } from '../answer.ts'
import type { ConsoleCommand } from '../command.ts'
import { askInside } from '../inside/ask.ts'
import { fromBytes } from '../render.ts'
import type { ConsoleServices } from '../services.ts'
import { nothingElse, takeDomain } from './arguments.ts'
import { keptMx } from './kept-mx.ts'
import { gaps } from './rows.ts'

const USAGE = 'refresh domain DOMAIN|all'

export const refreshCommands: readonly ConsoleCommand[] = [
  {
    name: 'refresh domain',
    arguments: 'DOMAIN|all',
    help: 'forgets its MX records and their addresses, look-ups and hosts that failed: all is asked for and tried anew',
    run: refresh,
  },
]

async function refresh([word, ...rest]: readonly string[], services: ConsoleServices): Promise<Answer> {
  const domain = takeDomain(word, USAGE)
  nothingElse(rest, USAGE)
  const name = domain === undefined ? undefined : fromBytes(domain)
  const mx = name === undefined ? [] : await keptMx(name, services)
  const names = name === undefined ? [undefined] : [name, ...mx.map((record) => record.split(' ').at(-1))]
  let answers = 0
  for (const each of names) {
    const { reports } = await askInside(services, 'dns', { act: 'flush', name: each })
    for (const { flushed } of reports) answers += flushed
  }
  const { reports, missing } = await services.queue.ask('unblock', { domain })
  const queues = reports.reduce((sum, report) => sum + report.queues, 0)
  return {
    kind: 'document',
    data: { domain: name ?? null, answers, queues, missing },
    lines: [
      `${name ?? 'All domains'} refreshed. ${answers} answers of the DNS forgotten, ${queues} queues may go on.`,
      ...gaps(false, missing),
    ],
  }
}
