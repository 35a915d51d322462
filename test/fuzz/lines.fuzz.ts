import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type Line, LineReader } from '../../src/wire/lines.ts'
import { holds } from '../support/properties.ts'
import { arrivals, octets } from './fuzz.ts'

const MAX = 12
const input = octets(['\r\n', '\r', '\n', '\0', 'a', 'bc', 'NOOP', 'x'.repeat(MAX - 2), 'y'.repeat(MAX)])

/** What the contract of LineReader says, on the whole input at once. */
function expected(whole: Buffer): Line[] {
  const lines = whole.toString('latin1').split('\r\n')
  const last = lines.pop() ?? ''
  const answers = lines.map((line) => judge(line, true))
  const open = judge(last, false)
  return open === undefined ? answers.filter(isLine) : [...answers, open].filter(isLine)
}

function judge(line: string, ended: boolean): Line | undefined {
  const whole = ended ? `${line}\r\n` : line
  const window = whole.slice(0, MAX)
  // a CR at the very end may still get its LF
  const offence = /\0|(?<!\r)\n|\r(?!\n|$)/.exec(window)?.[0]
  if (offence !== undefined) return { kind: offence === '\0' ? 'nul' : 'bare-newline' }
  if (whole.length > MAX || (!ended && whole.length === MAX)) return { kind: 'too-long' }
  return ended ? { kind: 'line', text: line } : undefined
}

function isLine(line: Line | undefined): line is Line {
  return line !== undefined
}

function read(chunks: readonly Buffer[]): Line[] {
  const reader = new LineReader(MAX)
  const lines: Line[] = []
  for (const chunk of chunks) {
    reader.push(chunk)
    for (let line = reader.next(); line !== undefined; line = reader.next()) lines.push(line)
    assert.ok(reader.buffered < MAX, 'no more than a line is kept')
  }
  return lines
}

test('lines come out the same however their octets arrive', () => {
  holds(
    fc.property(input, (whole) => {
      const once = read([whole])
      for (const chunks of arrivals(whole)) assert.deepEqual(read(chunks), once)
    }),
  )
})

test('each CRLF ends one line, and each line gives one answer', () => {
  holds(fc.property(input, (whole) => assert.deepEqual(read([whole]), expected(whole))))
})

test('what no line has consumed is drained, octet for octet', () => {
  holds(
    fc.property(fc.nat(4), octets(['\r\n', '\n', '.', 'a']), (count, rest) => {
      const reader = new LineReader(MAX)
      reader.push(Buffer.concat([Buffer.from('DATA\r\n'.repeat(count + 1)), rest]))
      for (let i = 0; i <= count; i++) assert.deepEqual(reader.next(), { kind: 'line', text: 'DATA' })
      assert.deepEqual(reader.drain(), rest)
      assert.equal(reader.buffered, 0)
      assert.equal(reader.next(), undefined)
    }),
  )
})
