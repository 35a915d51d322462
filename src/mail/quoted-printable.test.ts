import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { decodeQuotedPrintable, encodeQuotedPrintable, isPlainText } from './quoted-printable.ts'

test('octets come back as they were, in short lines of plain text; CRLF alone is a line end', () => {
  holds(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1')
      const encoded = encodeQuotedPrintable(text, { lineEnds: 'crlf' })
      assert.equal(decodeQuotedPrintable(encoded), text)
      assert.ok(encoded.split('\r\n').every((line) => line.length <= 76))
      assert.ok(isPlainText(encoded))
    }),
  )
  assert.equal(encodeQuotedPrintable('a\nb\rc', { lineEnds: 'crlf' }), 'a=0Ab=0Dc')
})

test('where a text has the line ends of a file, each of them becomes CRLF', () => {
  assert.equal(encodeQuotedPrintable('a\nb\r\nc\rd', { lineEnds: 'any' }), 'a\r\nb\r\nc=0Dd')
})

test('what goes as it is has printable ASCII, whole line ends and short lines', () => {
  for (const text of ['\xfc', 'a\rb', 'a\nb', 'x'.repeat(995)]) assert.ok(!isPlainText(text))
})
