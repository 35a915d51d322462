/** Names that may ask, without a server around them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { isAnswered } from './host-names.ts'

const names = new Set(['localhost', 'gate.example'])

test('on a UNIX socket every name will do, and elsewhere those that are known', () => {
  assert.equal(isAnswered(['anything at all'], 'any'), true)
  assert.equal(isAnswered(['anything.example'], names), false)
  assert.equal(isAnswered(['gate.example:65535'], names), true)
  assert.equal(isAnswered([], names), true)
})

test('whatever stands around a known name, it is another one', () => {
  const part = fc.string({ minLength: 1, maxLength: 12 }).filter((text) => !/^[.]?(?::\d{0,5})?$/.test(text))
  holds(
    fc.property(part, (text) => {
      assert.equal(isAnswered([`gate.example${text}`], names), false)
      assert.equal(isAnswered([`${text}gate.example`], names), false)
    }),
  )
})
