import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AuthFailures, delayFor } from './failures.ts'

test('failures add up by address until the window that the first one opened is over', () => {
  let now = 1_000_000
  const failures = new AuthFailures(() => now)
  assert.equal(failures.add('192.0.2.1', 60), 1)
  now += 30_000
  assert.equal(failures.add('192.0.2.1', 60), 2)
  assert.equal(failures.count('192.0.2.2'), 0)
  now += 29_999
  assert.equal(failures.count('192.0.2.1'), 2)
  now += 1
  assert.equal(failures.count('192.0.2.1'), 0)
  assert.equal(failures.add('192.0.2.1', 60), 1)
})

test('an IPv6 client is its /64; an IPv4 client is itself', () => {
  const failures = new AuthFailures(() => 0)
  failures.add('2001:db8::1', 60)
  assert.equal(failures.count('2001:db8::ffff:1'), 1)
  assert.equal(failures.count('2001:db8:0:1::1'), 0)
  failures.add('192.0.2.1', 60)
  assert.equal(failures.count('192.0.2.2'), 0)
  failures.add('', 60)
  assert.equal(failures.count(''), 1)
})

test('a flood of addresses takes no more than its room, and the oldest go first', () => {
  let now = 0
  const failures = new AuthFailures(() => now, 100)
  for (let n = 0; n < 1000; n++) failures.add(`10.0.${n >> 8}.${n & 255}`, 60)
  assert.equal(failures.size, 100)
  assert.equal(failures.count('10.0.3.231'), 1)
  assert.equal(failures.count('10.0.0.0'), 0)
  now = 61_000
  failures.add('192.0.2.1', 60)
  assert.equal(failures.size, 1)
})

test('each failure costs twice the time, up to a bound', () => {
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 1000].map((n) => delayFor(n, 5)),
    [250, 500, 1000, 2000, 4000, 5000, 5000, 5000],
  )
  assert.equal(delayFor(9, 0), 0)
})
