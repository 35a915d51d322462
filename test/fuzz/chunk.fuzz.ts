import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { ChunkScanner, parseBdat } from '../../src/wire/chunk.ts'
import { DataDecoder } from '../../src/wire/data.ts'
import { DataEncoder } from '../../src/wire/encoder.ts'
import { holds } from '../support/properties.ts'
import { arrivals, octets } from './fuzz.ts'

const message = octets(['\r\n', '\r', '\n', '.', '\0', 'a', '\r\n.\r\n', 'BDAT 1 LAST'])

function scan(chunks: readonly Buffer[]): string {
  const scanner = new ChunkScanner()
  for (const chunk of chunks) scanner.push(chunk)
  return `${scanner.end()}|${scanner.violation}`
}

test('chunks mean the same wherever they are cut', () => {
  holds(
    fc.property(message, (octets) => {
      const whole = scan([octets])
      for (const chunks of arrivals(octets)) assert.equal(scan(chunks), whole)
    }),
  )
})

test('a message passes as chunks exactly if it would pass after DATA', () => {
  holds(
    fc.property(message, (octets) => {
      const decoder = new DataDecoder()
      const scanner = new ChunkScanner()
      scanner.push(octets)
      const lacking = scanner.end()
      // as a client sends it after DATA: dots doubled, nothing else changed
      const text = octets.toString('latin1') + (scanner.violation === undefined ? lacking : '')
      const stuffed = text.replace(/(^|\r\n)\./g, '$1..')
      const { done } = decoder.push(Buffer.from(`${stuffed}.\r\n`, 'latin1'))
      assert.equal(scanner.violation === undefined, done && decoder.violation === undefined)
    }),
  )
})

test('what goes out in chunks has whole line ends, and all of the message', () => {
  holds(
    fc.property(message, (octets) => {
      const encoder = new DataEncoder('chunks')
      const out = Buffer.concat([encoder.encode(octets), encoder.end()]).toString('latin1')
      const normal = octets.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n')
      assert.equal(out, normal === '' || normal.endsWith('\r\n') ? normal : `${normal}\r\n`)
    }),
  )
})

test('a count is a count, or the chunk is refused', () => {
  holds(
    fc.property(fc.string({ maxLength: 30 }), (args) => {
      const parsed = parseBdat(args)
      if (parsed !== undefined)
        assert.ok(Number.isSafeInteger(parsed.octets) && /^\d+( +last)?[ \t]*$/i.test(args))
    }),
  )
  for (const bad of ['', '-1', '+1', '0x10', '1.5', '1e3', 'LAST', '1LAST', '1 LAST x', '9'.repeat(16)])
    assert.equal(parseBdat(bad), undefined, bad)
})
