/** What a search finds can be brought back: the search itself is tested (test/support/properties.ts). */

import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import * as fc from 'fast-check'
import { holds, holdsAsync } from '../support/properties.ts'

const before = { ...process.env }
afterEach(() => {
  process.env = { ...before }
})

function choose(names: Readonly<Record<string, string>>): void {
  for (const name of ['POSTERN_SEED', 'POSTERN_FUZZ_SECONDS', 'POSTERN_FUZZ_TIMES']) delete process.env[name]
  Object.assign(process.env, names)
}

/** The numbers that a property is given until one is too large. */
function tried(limit: number): { readonly cases: readonly number[]; readonly failure: string } {
  const cases: number[] = []
  const property = fc.property(fc.nat(), (n) => {
    cases.push(n)
    assert.ok(n < limit)
  })
  try {
    holds(property)
  } catch (error) {
    return { cases, failure: String(error) }
  }
  return { cases, failure: '' }
}

test('without a choice the cases are the same on each run', () => {
  choose({})
  const { cases } = tried(Number.POSITIVE_INFINITY)
  assert.deepEqual(tried(Number.POSITIVE_INFINITY).cases, cases)
  assert.ok(new Set(cases).size > 20)
  choose({ POSTERN_FUZZ_TIMES: '2' })
  assert.deepEqual(tried(Number.POSITIVE_INFINITY).cases.slice(0, cases.length), cases)
  assert.equal(tried(Number.POSITIVE_INFINITY).cases.length, 2 * cases.length)
  choose({ POSTERN_SEED: '4' })
  assert.notDeepEqual(tried(Number.POSITIVE_INFINITY).cases, cases)
})

test('what a search finds is brought back by the seed and the path that it names, in one go', () => {
  choose({ POSTERN_FUZZ_SECONDS: '5' })
  const found = tried(2 ** 30)
  const again = /POSTERN_SEED=(?<again>\S+)$/.exec(found.failure)?.groups?.['again']
  assert.ok(again !== undefined, found.failure)
  choose({ POSTERN_SEED: again })
  assert.equal(tried(2 ** 30).cases[0], 2 ** 30)
  choose({ POSTERN_SEED: again, POSTERN_FUZZ_SECONDS: '5' })
  assert.equal(tried(2 ** 30).cases[0], 2 ** 30)
})

test('a search takes other cases each time, and as many as there is time for', () => {
  choose({ POSTERN_FUZZ_SECONDS: '0.05' })
  const first = tried(Number.POSITIVE_INFINITY).cases
  assert.ok(first.length > 1000, String(first.length))
  assert.notDeepEqual(tried(Number.POSITIVE_INFINITY).cases.slice(0, 50), first.slice(0, 50))
})

test('what has to be waited for is brought back alike', async () => {
  choose({})
  const property = fc.asyncProperty(fc.nat(), async (n) => {
    await Promise.resolve()
    assert.ok(n < 2 ** 30)
  })
  await assert.rejects(holdsAsync(property), /POSTERN_SEED=5321:\d+(?::\d+)*$/)
})

test('a seed or an amount that is none is no seed and no amount', () => {
  choose({ POSTERN_SEED: 'seven' })
  assert.match(tried(1).failure, /RangeError: POSTERN_SEED/)
  choose({ POSTERN_FUZZ_SECONDS: 'long' })
  assert.match(tried(1).failure, /RangeError: "long"/)
})
