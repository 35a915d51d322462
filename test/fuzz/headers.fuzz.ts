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

type Fields = readonly (readonly [name: string, value: string])[]
/** The same edit of a header and of a list of names and values; what either removed. */
type Step = (header: HeaderBlock, fields: Fields) => readonly [Fields, removed: number, expected: number]
const short = fc.stringMatching(/^[a-z ]{0,5}$/)
const step: fc.Arbitrary<Step> = fc
  .tuple(fc.constantFrom('prepend', 'append', 'replace', 'delete', 'where'), name, short)
  .map(
    ([what, n, v]): Step =>
      (header, fields) => {
        const key = n.toLowerCase()
        const made = [key, v.trim()] as const
        const at = fields.findIndex(([each]) => each === key)
        if (what === 'prepend') {
          header.prepend(n, v)
          return [[made, ...fields], 0, 0]
        }
        if (what === 'append' || (what === 'replace' && at < 0)) {
          header[what](n, v)
          return [[...fields, made], 0, 0]
        }
        if (what === 'replace') {
          header.replace(n, v)
          const kept = fields.filter(([each], index) => index === at || each !== key)
          return [kept.map((each) => (each[0] === key ? made : each)), 0, 0]
        }
        const goes = (value: string): boolean => what === 'delete' || value.includes(v)
        const left = fields.filter(([each, value]) => each !== key || !goes(value))
        const removed = what === 'delete' ? header.delete(n) : header.deleteWhere(n, goes)
        return [left, removed, fields.length - left.length]
      },
  )

test('a header that is edited is the list of its fields, and a copy of it is another one', () => {
  const line = fc.oneof(
    fc
      .tuple(name, short, fc.constantFrom('', '\r\n folded', '\n\tlf'))
      .map(([n, v, rest]) => `${n}: ${v}${rest}`),
    fc.constantFrom('junk', 'From : x', ': y', 'Subject:'),
  )
  holds(
    fc.property(fc.array(line, { maxLength: 5 }), fc.array(step, { maxLength: 8 }), (lines, steps) => {
      let header = new HeaderBlock(lines.map((each) => `${each}\r\n`).join(''))
      let fields: Fields = lines.map((each) => {
        const key = /^([!-9;-~]+) ?:/.exec(each)?.[1]?.toLowerCase() ?? ''
        return [
          key,
          key === ''
            ? each
            : each
                .slice(each.indexOf(':') + 1)
                .replaceAll(/\r?\n/g, '')
                .trim(),
        ]
      })
      const copies = steps.map((each, index) => {
        const copy = header
        const before = bytes(copy)
        header = index % 2 === 0 ? copy.copy() : assigned(copy)
        const [next, removed, expected] = each(header, fields)
        assert.equal(removed, expected)
        fields = next
        return [copy, before] as const
      })
      for (const [copy, before] of copies) assert.equal(bytes(copy), before)
      for (const each of [header, new HeaderBlock(bytes(header))]) {
        for (const key of ['received', 'x-a', 'subject', 'from']) {
          const values = fields.filter(([own]) => own === key).map(([, one]) => one)
          assert.deepEqual(each.values(key), values)
          assert.equal(each.count(key.toUpperCase()), values.length)
        }
      }
    }),
  )
})

function assigned(header: HeaderBlock): HeaderBlock {
  const other = new HeaderBlock('X-A: gone\r\n')
  other.assign(header)
  return other
}

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
