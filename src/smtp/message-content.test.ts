/** The memory that policy takes for the bodies it makes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ReceptionWriter } from '../spool/spool.ts'
import { BodyContent } from './message-content.ts'

/** A writer that has so much memory to give. */
function writerWith(octets: number): ReceptionWriter {
  let left = octets
  return {
    size: 0,
    append: () => undefined,
    settle: () => undefined,
    read: async () => new Uint8Array(),
    async *chunks() {},
    reserve: (wanted) => {
      if (wanted > left) return false
      left -= wanted
      return true
    },
    commit: async () => undefined,
    abort: async () => undefined,
  }
}

const body = (octets: number): string => `${'x'.repeat(octets - 2)}\r\n`

test('a body that takes the place of another needs only the room that it takes beyond it', () => {
  const content = new BodyContent(writerWith(200))
  for (let n = 0; n < 50; n++) content.replace(body(90))
  content.replace(body(100))
  assert.throws(() => content.replace(body(101)), RangeError)
  assert.equal(content.body, body(100))
})

test('what a copy shares is not given away a second time', () => {
  const content = new BodyContent(writerWith(200))
  content.replace(body(60))
  const copy = content.copy()
  assert.throws(() => content.replace(body(60)), RangeError)
  copy.replace(body(40))
  assert.throws(() => content.replace(body(10)), RangeError)
  assert.equal(content.body, body(60))
})
