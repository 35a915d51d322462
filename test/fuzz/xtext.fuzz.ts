import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { decodeXtext } from '../../src/wire/xtext.ts'
import { holds } from '../support/properties.ts'
import { octets } from './fuzz.ts'

/** RFC 3461 §4 */
function encode(value: Buffer): string {
  return [...value]
    .map((octet) => {
      const plain = octet >= 33 && octet <= 126 && octet !== 0x2b && octet !== 0x3d
      return plain ? String.fromCharCode(octet) : `+${octet.toString(16).padStart(2, '0').toUpperCase()}`
    })
    .join('')
}

test('any octets survive the way through xtext', () => {
  holds(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const value = Buffer.from(bytes)
      assert.equal(decodeXtext(encode(value)), value.toString('latin1'))
    }),
  )
})

test('any text is octets or no xtext, and blanks and = are never part of it', () => {
  const pieces = ['a', '+', '+2B', '+0a', '=', ' ', '+G0', '[UNAVAILABLE]', '\t']
  holds(
    fc.property(octets(pieces, 10), (bytes) => {
      const text = bytes.toString('latin1')
      const value = decodeXtext(text)
      if (value === undefined) return
      assert.match(text, /^[!-<>-~]*$/)
      assert.match(value, /^[\0-\xff]*$/)
      assert.equal(decodeXtext(encode(Buffer.from(value, 'latin1'))), value)
    }),
  )
})
