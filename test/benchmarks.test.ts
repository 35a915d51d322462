/** docs/benchmarks.md is made from the results that are kept, and from nothing else. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { benchmarksPage } from '../bench/support/document.ts'
import { ratiosOf, spreadOf } from '../bench/support/figures.ts'

test('docs/benchmarks.md says what bench/results has', () => {
  const page = readFileSync(path.join(import.meta.dirname, '..', 'docs', 'benchmarks.md'), 'utf8')
  assert.equal(page, benchmarksPage())
})

test('a median is the middle one, or between the two in the middle', () => {
  assert.deepEqual(spreadOf([5, 1, 3]), { min: 1, median: 3, max: 5 })
  assert.deepEqual(spreadOf([4, 1, 2, 3]), { min: 1, median: 2.5, max: 4 })
})

test('ratios are those of the same round', () => {
  assert.deepEqual(ratiosOf([2, 9, 4], [1, 3, 4]), { min: 1, median: 2, max: 3 })
})
