import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import type { Reply } from '../../src/mail/status.ts'
import { LineReader } from '../../src/wire/lines.ts'
import { formatReply, ReplyError, ReplyParser } from '../../src/wire/reply.ts'
import { anyText, holds } from '../support/properties.ts'
import { arrivals, octets } from './fuzz.ts'

const code = fc.integer({ min: 200, max: 599 })
const hostile = fc.oneof(
  anyText({ maxLength: 60 }),
  octets(['\r\n', '\n', '\r', '\0', '250 ok', '550-no', ' ', '5.7.1 ', 'x'.repeat(300)]).map((b) =>
    b.toString('latin1'),
  ),
)

/** What a client makes of these octets: replies, or the word `error`. */
function receive(chunks: readonly Buffer[]): (Reply | 'error')[] {
  const reader = new LineReader(512)
  const parser = new ReplyParser()
  const replies: (Reply | 'error')[] = []
  try {
    for (const chunk of chunks) {
      reader.push(chunk)
      for (let line = reader.next(); line !== undefined; line = reader.next()) {
        if (line.kind !== 'line') throw new ReplyError(line.kind)
        const reply = parser.push(line.text)
        if (reply !== undefined) replies.push(reply)
      }
    }
  } catch (error) {
    assert.ok(error instanceof ReplyError)
    replies.push('error')
  }
  return replies
}

test('a reply is one reply with its own code, whatever its text holds', () => {
  holds(
    fc.property(code, hostile, (code, text) => {
      const formatted = formatReply({ code, text })
      for (const line of formatted.split(/(?<=\n)/)) assert.match(line, /^\d{3}[ -][ -~]{0,506}\r\n$/)
      const replies = receive([Buffer.from(formatted, 'latin1')])
      assert.equal(replies.length, 1)
      assert.equal(replies[0] === 'error' ? 'error' : replies[0]?.code, code)
    }),
  )
})

test('plain text comes through as it was', () => {
  const text = fc
    .array(fc.string({ maxLength: 80 }), { minLength: 1, maxLength: 6 })
    .map((lines) => lines.join('\n'))
  holds(
    fc.property(code, text, (code, text) => {
      fc.pre(!/^[245]\.\d+\.\d+ /.test(text))
      assert.deepEqual(receive([Buffer.from(formatReply({ code, text }))]), [{ code, text }])
    }),
  )
})

test('replies are read the same however they arrive', () => {
  const input = octets(['250-', '250 ', '550 ', '250', 'text', '\r\n', '\r', '\n', '25', '0', '\0'])
  holds(
    fc.property(input, (whole) => {
      const once = receive([whole])
      for (const chunks of arrivals(whole)) assert.deepEqual(receive(chunks), once)
    }),
  )
})
