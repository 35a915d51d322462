import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TicketSecret } from './ticket-secret.ts'

const HOUR = 3_600_000
const START = 500_000 * HOUR
const trust = Buffer.alloc(32, 1)

test('the keys are those of an hour and of a digest of trust', () => {
  const secret = new TicketSecret()
  const keys = secret.keysFor(trust, START)
  assert.equal(keys.length, 48)
  assert.deepEqual(secret.keysFor(trust, START + HOUR - 1), keys)
  assert.notDeepEqual(secret.keysFor(Buffer.alloc(32, 2), START), keys)
  assert.notDeepEqual(new TicketSecret().keysFor(trust, START), keys)
  assert.notDeepEqual(secret.keysFor(trust, START + HOUR), keys)
})

test('the secret of an hour that is past is gone: neither the clock nor what is handed on brings it back', () => {
  const secret = new TicketSecret()
  const early = secret.keysFor(trust, START)
  const later = secret.keysFor(trust, START + HOUR)
  assert.deepEqual(secret.keysFor(trust, START), later)
  assert.notDeepEqual(new TicketSecret(secret.state(START + HOUR)).keysFor(trust, START), early)
})

test('who began with the same state has the same keys in every later hour, after a leap of the clock too', () => {
  const secret = new TicketSecret()
  const other = new TicketSecret(secret.state(START))
  secret.period(START + HOUR)
  assert.deepEqual(secret.keysFor(trust, START + 50 * HOUR), other.keysFor(trust, START + 50 * HOUR))
  const began = performance.now()
  secret.keysFor(trust, START + 1e9 * HOUR)
  assert.ok(performance.now() - began < 1000)
})
