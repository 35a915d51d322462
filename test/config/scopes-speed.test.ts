/** Holds the figures of bench/scopes.ts, with ten times their room for slow and busy machines. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureScopes } from '../../bench/scopes.ts'

test('10,000 Peer stanzas load in a second, and a known client is looked up in two microseconds', async () => {
  const figures = await measureScopes(10_000, 100_000)
  assert.ok(figures.loadMilliseconds < 10_000, `load ${figures.loadMilliseconds} ms`)
  assert.ok(figures.cachedMicroseconds < 20, `cached look-up ${figures.cachedMicroseconds} µs`)
  assert.ok(figures.newAddressMicroseconds < 200, `new address ${figures.newAddressMicroseconds} µs`)
})
