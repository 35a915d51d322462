import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds } from '../../test/support/properties.ts'
import { ConsoleError } from './answer.ts'
import { Counters } from './counters.ts'
import { encodeFrame, FrameReader } from './protocol.ts'
import { fromBytes, printable, renderJson, renderText, toJson } from './render.ts'
import { joinWords, splitWords } from './words.ts'

/** whatever a terminal could act on */
const HARMFUL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

describe('words', () => {
  test('come out of a line as they went in, whatever they hold', () => {
    holds(
      fc.property(fc.array(anyText()), (words) => {
        assert.deepEqual(splitWords(joinWords(words)), words)
      }),
      { numRuns: 500 },
    )
  })

  test('a quote that is open, or in the middle of a word, is a mistake', () => {
    for (const line of ['a "b', '"', 'a"b"', '"a"b', '"a\\"']) {
      assert.throws(() => splitWords(line), ConsoleError, line)
    }
    assert.deepEqual(splitWords('  a\t "b c"  "\\"\\\\" "" '), ['a', 'b c', '"\\', ''])
  })
})

describe('frames', () => {
  test('come out as they went in, however the octets arrive', () => {
    const frame = fc.record({
      status: fc.constantFrom('ok' as const, 'error' as const),
      text: fc.string({ unit: 'grapheme' }),
    })
    holds(
      fc.property(fc.array(frame), fc.integer({ min: 1, max: 9 }), (frames, size) => {
        const octets = Buffer.concat(frames.map(encodeFrame))
        const reader = new FrameReader()
        const found = []
        for (let at = 0; at < octets.length; at += size)
          found.push(...reader.push(octets.subarray(at, at + size)))
        assert.equal(JSON.stringify(found), JSON.stringify(frames))
      }),
      { numRuns: 300 },
    )
  })

  test('what is not the protocol is told as such', () => {
    for (const text of ['220 mx.example ESMTP\r\n', 'ok -1\n', 'ok 99999999999\n', 'x'.repeat(100)])
      assert.throws(() => new FrameReader().push(Buffer.from(text)), /not the console/)
  })
})

describe('rendering', () => {
  const hostile = [
    '\u001b[2J',
    'a\r\nb',
    '\u009b31m',
    'x\u202Ey',
    '\u2028',
    '\u0000',
    '\ud800',
    '\u{e0041}',
    '\u200b',
    '\u007f',
  ]

  test('nothing that a terminal would act on comes through, in text or JSON', () => {
    holds(
      fc.property(fc.oneof(anyText(), fc.constantFrom(...hostile)), (value) => {
        assert.doesNotMatch(printable(value), HARMFUL)
        assert.doesNotMatch(toJson({ [value]: value }), HARMFUL)
        assert.deepEqual(JSON.parse(toJson([value])), [value])
      }),
      { numRuns: 1000 },
    )
  })

  test('no cell of a table starts a line', () => {
    const text = renderText({
      kind: 'table',
      columns: [
        { key: 'a', head: 'A' },
        { key: 'n', head: 'N' },
      ],
      rows: hostile.map((a, n) => ({ a, n })),
      empty: '',
      leftOut: 3,
    })
    assert.equal(text.split('\n').length, hostile.length + 3)
    assert.doesNotMatch(text.replaceAll('\n', ''), HARMFUL)
    assert.match(text, /3 more are not shown/)
  })

  test('one answer is text and JSON', () => {
    const answer = {
      kind: 'facts',
      title: 'T',
      facts: [
        { key: 'n', label: 'Number', value: 5, shown: '5 things' },
        { key: 'u', label: 'Unset', value: undefined },
      ],
    } as const
    assert.equal(renderText(answer), 'T\n        Number: 5 things\n        Unset: -\n')
    assert.deepEqual(JSON.parse(renderJson(answer)), { n: 5, u: null })
  })

  test('byte strings are UTF-8 where they can be', () => {
    assert.equal(fromBytes(Buffer.from('bücher').toString('latin1')), 'bücher')
    assert.equal(fromBytes('a\xff'), 'a\\xff')
    assert.equal(fromBytes('日本'), '日本')
  })
})

describe('rates', () => {
  test('are of the last minute', () => {
    let now = 1_000_000_000
    const counters = new Counters(() => now)
    const reception = { kind: 'reception' } as Parameters<Counters['handle']>[0]
    for (let i = 0; i < 30; i++) counters.handle(reception)
    assert.equal(counters.rates.reception, 30)
    now += 59_000
    assert.equal(counters.rates.reception, 0.5)
    now += 1000
    assert.equal(counters.rates.reception, 0)
    now -= 500_000
    counters.handle(reception)
    assert.equal(counters.counts.received, 31)
    counters.reset()
    assert.equal(counters.counts.received, 0)
  })
})
