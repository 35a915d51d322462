import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DomainRow, DomainsOrder } from '../delivery/operator/orders.ts'
import { mailCommands } from './commands-mail.ts'
import { anonymousOperator } from './operator.ts'
import type { ConsoleServices } from './services.ts'

const none = { underWay: 0, ready: 0, delayed: 0, ending: 0, connections: 0, delivered: 0 }
const queues: readonly DomainRow[] = [
  { ...none, bindingGroup: 'default', binding: 'default', domain: 'a.example', ready: 1 },
  { ...none, bindingGroup: 'bulk', binding: 'm1', domain: 'a.example', delayed: 2 },
  { ...none, bindingGroup: 'bulk', binding: 'm2', domain: 'b.example', underWay: 1, ending: 1 },
]
/** another process has mail for the same domain */
const others: readonly DomainRow[] = [
  { ...none, bindingGroup: 'bulk', binding: 'm1', domain: 'a.example', delayed: 3 },
]

async function mailq(...args: string[]): Promise<readonly string[]> {
  const services = {
    queue: {
      ask: async (_topic: string, order: DomainsOrder) => {
        const of = (rows: readonly DomainRow[]) => ({
          rows: rows.filter(({ domain }) => order.domain === undefined || domain === order.domain),
          leftOut: 0,
          totals: none,
        })
        return await Promise.resolve({ reports: [of(queues), of(others)], missing: [] })
      },
    },
  } as unknown as ConsoleServices
  const answer = await mailCommands
    .find(({ name }) => name === 'mailq')
    ?.run(args, services, { operator: anonymousOperator })
  assert.equal(answer?.kind, 'table')
  return answer.rows.map((row) => Object.values(row).join(' '))
}

test('mailq has a line for each domain in each binding, the fullest first, and can be narrowed', async () => {
  assert.deepEqual(await mailq(), [
    'bulk/m1 a.example 0 5',
    'bulk/m2 b.example 2 0',
    'default/default a.example 1 0',
  ])
  assert.deepEqual(await mailq('-b', 'm1', '-b', 'm2', '-d', 'B.example'), ['bulk/m2 b.example 2 0'])
  assert.deepEqual(await mailq('-b', 'none'), [])
})
