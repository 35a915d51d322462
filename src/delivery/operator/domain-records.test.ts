import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storedMessage } from '../../../test/support/messages.ts'
import type { DeliveryOutcome, ServerEvent } from '../../events/events.ts'
import { DomainRecords } from './domain-records.ts'

function outcome(kind: DeliveryOutcome['kind'], domain: string, binding = 'default'): DeliveryOutcome {
  const { envelope } = storedMessage('m1', { binding })
  const attempt = { connectionId: 'c', bytes: 1, retries: 0, stage: 9, remote: '192.0.2.9' }
  return { kind, at: 1000, envelope, domain, text: 'x'.repeat(2000), ...attempt }
}

test('what became of mail is counted by domain and binding, and everything is handed on', () => {
  const records = new DomainRecords()
  const heard: ServerEvent[] = []
  const sink = records.before({ emit: (event) => heard.push(event) })
  for (const kind of ['transient-failure', 'permanent-failure', 'delivery', 'transient-failure'] as const)
    sink.emit(outcome(kind, 'a.test'))
  sink.emit(outcome('delivery', 'a.test', 'm1'))
  records.received({ bindingGroup: 'default', binding: 'm1' })
  const { delivered, deferred, failed, failuresInARow, lastFailure } =
    records.of('default', 'default', 'a.test') ?? {}
  assert.deepEqual([delivered, deferred, failed, failuresInARow, lastFailure?.text.length], [1, 2, 1, 1, 512])
  assert.deepEqual(
    [...records.bindings()].map((each) => [each.binding, each.received, each.delivered, each.failed]),
    [
      ['default', 0, 1, 1],
      ['m1', 1, 1, 0],
    ],
  )
  assert.deepEqual(
    [...records.all()].map(({ domain, binding }) => `${domain} ${binding}`),
    ['a.test default', 'a.test m1'],
  )
  assert.equal(heard.length, 5)
})

test('there are so many records at most; the domain that nothing happened to for longest is forgotten', () => {
  const records = new DomainRecords()
  const sink = records.before({ emit: () => undefined })
  for (let n = 0; n < 20_000; n++) sink.emit(outcome('delivery', `d${n}.test`))
  sink.emit(outcome('delivery', 'd0.test'))
  sink.emit(outcome('delivery', 'new.test'))
  assert.equal([...records.all()].length, 20_000)
  assert.equal(records.of('default', 'default', 'd0.test')?.delivered, 2)
  assert.equal(records.of('default', 'default', 'd1.test'), undefined)
})
