import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mailCommands } from './commands-mail.ts'
import { anonymousOperator } from './operator.ts'
import type { ConsoleServices } from './services.ts'

const counts = { ready: 0, active: 0, delayed: 0, failed: 0, domains: 0, resident: 0 }
const queues = [
  { bindingGroup: 'default', binding: 'default', domain: 'a.example', active: 1, delayed: 0 },
  { bindingGroup: 'bulk', binding: 'm1', domain: 'a.example', active: 0, delayed: 5 },
  { bindingGroup: 'bulk', binding: 'm2', domain: 'b.example', active: 2, delayed: 0 },
]

async function mailq(...args: string[]): Promise<readonly string[]> {
  const services = {
    queue: { counts, byDomain: () => queues, ask: () => assert.fail('nothing is asked') },
  } as Partial<ConsoleServices> as ConsoleServices
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
