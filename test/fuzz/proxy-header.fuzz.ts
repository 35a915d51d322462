import assert from 'node:assert/strict'
import { isIP } from 'node:net'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { MAX_V1, MAX_V2_REST, type ProxyResult, parseProxyHeader } from '../../src/wire/proxy-header.ts'
import { holds } from '../support/properties.ts'
import { arrivals, octets } from './fuzz.ts'

const v2 = '\r\n\r\n\0\r\nQUIT\n'
const pieces = [
  'PROXY ',
  'TCP4 ',
  'TCP6 ',
  'UNKNOWN',
  '192.0.2.1 ',
  '198.51.100.2 ',
  '2001:db8::1 ',
  '::ffff:192.0.2.1 ',
  '25 ',
  '65535',
  '\r\n',
  '\r',
  '\n',
  v2,
  '\x21\x11\x00\x0c',
  '\x20\x00\x00\x00',
  '\x21\x21\x00\x24',
  '\x21\x11\x00\x20',
  '\x20\x00\x0b\x07\x00\x00\x00\x00\x22\x00\x03a\r\n',
  '\x03\x00\x04\x00\x00\x00\x00',
  '\x02\x00\x01x',
  '\xc0\x00\x02\x01\xc6\x33\x64\x02\x30\x39\x00\x19',
  'EHLO x\r\n',
  '\0'.repeat(40),
]
const start = fc.constantFrom('', 'PROXY ', 'PROXY TCP4 192.0.2.1 ', v2, `${v2}\x21`, `${v2}\x21\x11`)
const input = fc
  .tuple(start, octets(pieces, 12))
  .map(([first, rest]) => Buffer.concat([Buffer.from(first, 'latin1'), rest]))

/** What a reader that stops at the first answer makes of octets that arrive so. */
function readIn(chunks: readonly Buffer[]): ProxyResult {
  let held = Buffer.alloc(0)
  for (const chunk of chunks) {
    held = Buffer.concat([held, chunk])
    const result = parseProxyHeader(held)
    if (result.kind !== 'incomplete') return result
  }
  return { kind: 'incomplete' }
}

test('octets mean the same however they arrive', () => {
  holds(
    fc.property(input, (whole) => {
      const expected = readIn([whole])
      for (const chunks of arrivals(whole)) assert.deepEqual(readIn(chunks).kind, expected.kind)
      if (expected.kind === 'header')
        for (const chunks of arrivals(whole)) assert.deepEqual(readIn(chunks), expected)
    }),
  )
})

test('a header is bounded, its addresses are addresses, and what follows does not change it', () => {
  holds(
    fc.property(input, fc.uint8Array({ maxLength: 40 }), (whole, after) => {
      const result = parseProxyHeader(whole)
      if (result.kind === 'incomplete') {
        assert.ok(whole.length < 16 + MAX_V2_REST)
        if (whole[0] === 0x50) assert.ok(whole.length < MAX_V1)
        return
      }
      assert.deepEqual(parseProxyHeader(Buffer.concat([whole, after])), result)
      if (result.kind === 'malformed') return
      assert.ok(result.length <= whole.length)
      assert.deepEqual(parseProxyHeader(whole.subarray(0, result.length)), result)
      assert.equal(parseProxyHeader(whole.subarray(0, result.length - 1)).kind, 'incomplete')
      for (const end of [result.endpoints?.source, result.endpoints?.destination]) {
        if (end === undefined) continue
        assert.notEqual(isIP(end.address), 0)
        assert.ok(Number.isInteger(end.port) && end.port >= 0 && end.port <= 65_535)
      }
    }),
  )
})

test('every pair of endpoints survives both versions', () => {
  const port = fc.nat({ max: 65_535 })
  holds(
    fc.property(fc.ipV4(), fc.ipV4(), port, port, (source, destination, from, to) => {
      const expected = {
        source: { address: source, port: from },
        destination: { address: destination, port: to },
      }
      const text = Buffer.from(`PROXY TCP4 ${source} ${destination} ${from} ${to}\r\n`)
      const binary = Buffer.alloc(28)
      binary.write(`${v2}\x21\x11\x00\x0c`, 'latin1')
      binary.set([...source.split('.'), ...destination.split('.')].map(Number), 16)
      binary.writeUInt16BE(from, 24)
      binary.writeUInt16BE(to, 26)
      for (const octets of [text, binary]) {
        const result = parseProxyHeader(octets)
        assert.ok(result.kind === 'header')
        assert.deepEqual(result.endpoints, expected)
      }
    }),
  )
})
