import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboundDefaults, storedMessage } from '../../test/support/messages.ts'
import { EXPIRED, judge, retryWait } from './outcome.ts'
import type { AttemptResult } from './transport.ts'

const transient: AttemptResult = {
  kind: 'transient',
  stage: 5,
  text: '450 4.2.0 later',
  bytes: 31,
  remote: '192.0.2.1',
}
const message = storedMessage('m')
const { receivedAt } = message.envelope

test('the n-th failure is followed by a wait that doubles up to the cap', () => {
  const options = { retry_interval: 10, max_retry_interval: 60, message_expiration: 0 }
  const seconds = [1, 2, 3, 4, 5, 2000].map((n) => retryWait(n, options) / 1000)
  assert.deepEqual(seconds, [10, 20, 40, 60, 60, 60])
  assert.equal(retryWait(1, { ...options, retry_interval: 0 }), 1000, 'never without a pause')
  assert.equal(retryWait(5000, { ...options, retry_interval: 0 }), 1000, 'however often it failed')
  assert.equal(retryWait(5, { ...options, max_retry_interval: 0 }), 160_000, 'no cap')
  assert.ok(Number.isFinite(retryWait(5000, { ...options, max_retry_interval: 0 })))
})

test('a transient failure counts and sets the next attempt', () => {
  const { state, told } = judge(message, transient, outboundDefaults, receivedAt + 1000)
  assert.deepEqual(state, {
    attempts: 1,
    nextAttempt: receivedAt + 1_201_000,
    failed: false,
    lastText: '450 4.2.0 later',
  })
  assert.deepEqual(told, [{ kind: 'transient-failure', text: '450 4.2.0 later' }])
})

test('a next hop that says when it wants to be asked again is asked then, within the message’s life', () => {
  const now = receivedAt + 1000
  const at = (retryAt: number) =>
    judge(message, { ...transient, retryAt }, outboundDefaults, now).state?.nextAttempt
  assert.equal(at(now + 30_000), now + 30_000)
  assert.equal(at(now + 1e9), receivedAt + 86_400_000)
  const options = { ...outboundDefaults, max_retries: 0 }
  assert.equal(judge(message, { ...transient, retryAt: now + 30_000 }, options, now).state?.failed, true)
})

test('the last attempt is made when the message expires, and then it has failed', () => {
  const options = { ...outboundDefaults, message_expiration: 100 }
  const early = judge(message, transient, options, receivedAt + 1000)
  assert.equal(early.state?.nextAttempt, receivedAt + 100_000)
  const late = judge(message, transient, options, receivedAt + 100_000)
  assert.deepEqual(late.state, {
    attempts: 1,
    nextAttempt: 0,
    failed: true,
    lastText: `${EXPIRED}; last answer: 450 4.2.0 later`,
  })
  assert.deepEqual(
    late.told.map(({ kind, text }) => `${kind} ${text}`),
    ['transient-failure 450 4.2.0 later', `permanent-failure ${EXPIRED}`],
  )
  const never = judge(message, transient, { ...options, message_expiration: 0 }, receivedAt + 1e12)
  assert.equal(never.state?.failed, false)
})

test('what was refused for good is kept as failed; what was delivered is forgotten', () => {
  const refused = judge(
    message,
    { ...transient, kind: 'permanent', text: '550 no' },
    outboundDefaults,
    receivedAt,
  )
  assert.deepEqual(refused.state, { attempts: 1, nextAttempt: 0, failed: true, lastText: '550 no' })
  assert.deepEqual(refused.told, [{ kind: 'permanent-failure', text: '550 no' }])
  const delivered = judge(
    message,
    { ...transient, kind: 'delivered', text: '250 kept' },
    outboundDefaults,
    receivedAt,
  )
  assert.deepEqual(delivered, { state: undefined, told: [{ kind: 'delivery', text: '250 kept' }] })
})
