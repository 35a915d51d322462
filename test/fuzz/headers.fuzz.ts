import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { HeaderBlock } from '../../src/mail/headers.ts'
import { HeaderSplitter } from '../../src/wire/header-split.ts'
import { holds } from '../support/properties.ts'
import { arrivals, octets } from './fuzz.ts'

const pieces = ['\r\n', '\n', '\r', ' ', '\t', 'Subject: x', 'From:', 'To : y', 'junk', ':', '\xc3\xa0', '\0']
const message = octets(pieces)
const text = message.map((bytes) => bytes.toString('latin1'))
const value = fc.oneof(
  text,
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((c) => String.fromCharCode(c)) }),
)
const name = fc.constantFrom('Received', 'X-A', 'subject', 'From')

type Edit = (header: HeaderBlock) => void
const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(name, value).map(
    ([n, v]): Edit =>
      (header) =>
        header.prepend(n, v),
  ),
  fc.tuple(name, value).map(
    ([n, v]): Edit =>
      (header) =>
        header.append(n, v),
  ),
  fc.tuple(name, value).map(
    ([n, v]): Edit =>
      (header) =>
        header.replace(n, v),
  ),
  name.map(
    (n): Edit =>
      (header) =>
        header.delete(n),
  ),
)

function bytes(header: HeaderBlock): string {
  return header.toBytes().toString('latin1')
}

function split(chunks: readonly Buffer[]) {
  const splitter = new HeaderSplitter(40)
  const body = Buffer.concat(chunks.map((chunk) => splitter.push(chunk))).toString('latin1')
  return { body, complete: splitter.complete, ...splitter.header() }
}

/** the header without the empty line and what follows it */
function headerOf(text: string): string {
  return /^(?:(?!\r?\n)[^\n]*\n)*(?:(?!\r?\n)[^\n]+$)?/.exec(text)?.[0] ?? ''
}

test('a header that nobody edits keeps its bytes, but for a missing last line end', () => {
  holds(
    fc.property(text, (text) => {
      const header = headerOf(text)
      const ended = header === '' || header.endsWith('\n') ? header : `${header}\r\n`
      assert.equal(bytes(new HeaderBlock(text)), `${ended}\r\n`)
      assert.equal(bytes(new HeaderBlock(text).copy()), `${ended}\r\n`)
      assert.equal(new HeaderBlock(text).edited, false)
    }),
  )
})

test('an edit adds, replaces or removes exactly the fields that it names', () => {
  holds(
    fc.property(text, fc.array(edit, { maxLength: 5 }), (text, edits) => {
      const header = new HeaderBlock(text)
      for (const edit of edits) edit(header)
      // read again from its bytes, the header has the fields that it says it has
      const again = new HeaderBlock(bytes(header))
      for (const name of ['received', 'x-a', 'subject', 'from', 'to', '']) {
        assert.deepEqual(again.values(name), header.values(name), name)
      }
      assert.equal(bytes(again), bytes(header))
    }),
  )
})

test('a value on top is one field, whatever is in it and whatever stood there', () => {
  holds(
    fc.property(text, value, (text, value) => {
      const before = new HeaderBlock(text)
      const header = new HeaderBlock(text)
      header.prepend('X-Ours', value)
      const again = new HeaderBlock(bytes(header))
      assert.deepEqual(again.values('x-ours'), header.values('x-ours'))
      assert.equal(again.count('x-ours'), before.count('x-ours') + 1)
      assert.equal(again.count('subject'), before.count('subject'))
      // every line of the value is visible
      assert.doesNotMatch(bytes(header).slice(0, bytes(header).search(/\r\n(?![ \t])/)), /\n[ \t]*\r?$/m)
    }),
  )
})

test('a message splits into header and body the same however it arrives', () => {
  const input = octets(['\r\n', '\r\n\r\n', '\r', '\n', 'A: b', ' c', 'x'.repeat(17)], 10)
  holds(
    fc.property(input, (whole) => {
      const once = split([whole])
      const text = whole.toString('latin1')
      if (once.complete) {
        assert.equal(text, `${once.text}\r\n${once.body}`)
        assert.ok(!`\r\n${once.text}`.includes('\r\n\r\n'))
      } else assert.equal(once.text, once.problem === 'too-large' ? '' : text)
      for (const chunks of arrivals(whole)) assert.deepEqual(split(chunks), once)
    }),
  )
})
