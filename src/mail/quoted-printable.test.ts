import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { decodeQuotedPrintable, encodeQuotedPrintable, isPlainText } from './quoted-printable.ts'

test('octets come back as they were, in short lines of plain text; CRLF alone is a line end', () => {
  const piece = fc.constantFrom(
    'a',
    '=',
    '=41',
    '.',
    '..',
    ' ',
    '\t',
    '\r\n',
    '\r',
    '\n',
    '\xe9',
    '\0',
    'x'.repeat(73),
  )
  const text = fc.oneof(
    fc.array(piece, { maxLength: 12, size: 'max' }).map((pieces) => pieces.join('')),
    fc.uint8Array({ maxLength: 500 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  holds(
    fc.property(text, fc.boolean(), fc.constantFrom('crlf', 'any'), (text, stuff, lineEnds) => {
      const encoded = encodeQuotedPrintable(text, { lineEnds, stuff })
      const lines = encoded.split('\r\n')
      assert.ok(lines.every((line) => line.length <= 76))
      assert.ok(isPlainText(encoded))
      // a dot that a soft break has put at the start of a line
      const softDot = /(?<==\r\n)\.(\.?)/g
      if (stuff) for (const [, second] of encoded.matchAll(softDot)) assert.equal(second, '.')
      const decoded = decodeQuotedPrintable(stuff ? encoded.replaceAll(softDot, '.') : encoded)
      assert.equal(decoded, lineEnds === 'any' ? text.replaceAll(/\r?\n/g, '\r\n') : text)
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
