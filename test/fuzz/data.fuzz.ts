import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { DataDecoder, type DataViolation } from '../../src/wire/data.ts'
import { DataEncoder } from '../../src/wire/encoder.ts'
import { holds } from '../support/properties.ts'
import { arrivals, octets } from './fuzz.ts'

const pieces = ['\r\n', '\r', '\n', '.', '..', '\r\n.\r\n', '\n.\n', '\r.\r', '\r\n.\n', '\0', 'a', 'text']
const input = octets(pieces)

interface Decoded {
  readonly message: string
  readonly done: boolean
  readonly rest: string
  readonly violation: DataViolation | undefined
}

function decode(chunks: readonly Buffer[]): Decoded {
  const decoder = new DataDecoder()
  const output: Buffer[] = []
  const rest: Buffer[] = []
  let done = false
  for (const chunk of chunks) {
    const progress = decoder.push(chunk)
    output.push(...progress.output)
    rest.push(progress.rest)
    done = progress.done
  }
  return {
    message: Buffer.concat(output).toString('latin1'),
    done,
    rest: Buffer.concat(rest).toString('latin1'),
    violation: decoder.violation,
  }
}

/** RFC 5321 §4.5.2 in three lines of regular expressions, for data that is complete. */
function reference(whole: string): Decoded | undefined {
  const end = `\r\n${whole}`.indexOf('\r\n.\r\n')
  if (end < 0) return undefined
  const stuffed = whole.slice(0, end)
  const message = stuffed.replace(/(?<=^|\r\n)\./g, '')
  const offence = /\0|\r(?!\n)|(?<!\r)\n/.exec(stuffed)?.[0]
  const kinds = { '\0': 'nul', '\r': 'bare-cr', '\n': 'bare-lf' } as const
  return {
    message,
    done: true,
    rest: whole.slice(end + 3),
    violation: offence === undefined ? undefined : kinds[offence as keyof typeof kinds],
  }
}

/** The data as the encoder sends this message in these pieces. */
function encode(chunks: readonly Buffer[]): Buffer {
  const encoder = new DataEncoder()
  return Buffer.concat([...chunks.map((chunk) => encoder.encode(chunk)), encoder.end()])
}

test('data decodes the same however its octets arrive', () => {
  holds(
    fc.property(input, (whole) => {
      const once = decode([whole])
      for (const chunks of arrivals(whole)) assert.deepEqual(decode(chunks), once)
    }),
  )
})

test('data decodes to what RFC 5321 says, and ends at CRLF.CRLF alone', () => {
  holds(
    fc.property(input, fc.boolean(), (start, complete) => {
      const whole = complete ? Buffer.concat([start, Buffer.from('\r\n.\r\nQUIT\r\n')]) : start
      const wanted = reference(whole.toString('latin1'))
      const decoded = decode([whole])
      if (wanted === undefined) assert.equal(decoded.done, false)
      else assert.deepEqual(decoded, wanted)
    }),
  )
})

test('what is encoded decodes to the message with its line ends made whole', () => {
  holds(
    fc.property(input, (whole) => {
      const text = whole.toString('latin1').replace(/\r\n|\r|\n/g, '\r\n')
      const message = text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`
      for (const chunks of arrivals(whole)) {
        const decoded = decode([encode(chunks)])
        assert.equal(decoded.message, message)
        assert.equal(decoded.done, true)
        assert.equal(decoded.rest, '')
        assert.ok(decoded.violation === undefined || decoded.violation === 'nul')
      }
    }),
  )
})

test('a message with proper lines comes through byte for byte', () => {
  const proper = octets(['\r\n', '.', '..', 'a', 'text ']).map((b) =>
    Buffer.from(b.toString('latin1').replace(/\r(?!\n)|(?<!\r)\n/g, '?'), 'latin1'),
  )
  holds(
    fc.property(proper, (body) => {
      const message = Buffer.concat([body, Buffer.from('\r\n')])
      assert.equal(decode([encode([message])]).message, message.toString('latin1'))
    }),
  )
})
