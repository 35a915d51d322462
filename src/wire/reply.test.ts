import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatReply, ReplyError, ReplyParser } from './reply.ts'

function endless(text: string): void {
  const parser = new ReplyParser()
  for (let i = 0; i < 1000; i++) parser.push(`250-${text}`)
}

test('each line of a reply starts with its code', () => {
  assert.equal(formatReply({ code: 250, text: 'ok' }), '250 ok\r\n')
  assert.equal(formatReply({ code: 250, text: 'a\nb\nc' }), '250-a\r\n250-b\r\n250 c\r\n')
  assert.equal(formatReply({ code: 354, text: '' }), '354 \r\n')
})

test('an enhanced status code stands on every line', () => {
  assert.equal(formatReply({ code: 550, text: '5.7.1 no\nway' }), '550-5.7.1 no\r\n550 5.7.1 way\r\n')
  assert.equal(formatReply({ code: 550, text: '5.7.1 no\n5.7.0 way' }), '550-5.7.1 no\r\n550 5.7.0 way\r\n')
})

test('text cannot start a line of its own making', () => {
  const text = 'no\r\n250 yes\r250 yes\0\x1b\u010a250 yes\u2028\xe4'
  assert.equal(formatReply({ code: 550, text }), '550-no\r\n550 250 yes 250 yes  ?250 yes??\r\n')
})

test('a long text goes on in further lines of at most 512 octets', () => {
  const words = 'word '.repeat(300)
  const lines = formatReply({ code: 450, text: `4.7.0 ${words}` })
    .split('\r\n')
    .slice(0, -1)
  assert.ok(lines.every((line) => line.length <= 510 && /^450[ -]4\.7\.0 /.test(line)))
  assert.equal(lines.map((line) => line.slice(10)).join(' '), words)
  const solid = formatReply({ code: 250, text: 'x'.repeat(1000) })
  assert.equal(solid, `250-${'x'.repeat(506)}\r\n250 ${'x'.repeat(494)}\r\n`)
})

test('a code that is none is refused', () => {
  for (const code of [199, 600, 250.5, Number.NaN])
    assert.throws(() => formatReply({ code, text: '' }), RangeError)
})

test('a reply is complete with the line that has a blank after its code, or nothing', () => {
  const parser = new ReplyParser()
  assert.equal(parser.push('250-mx.test'), undefined)
  assert.equal(parser.pending, true)
  assert.equal(parser.push('250-SIZE 10'), undefined)
  assert.deepEqual(parser.push('250 HELP'), { code: 250, text: 'mx.test\nSIZE 10\nHELP' })
  assert.equal(parser.pending, false)
  assert.deepEqual(parser.push('221'), { code: 221, text: '' })
  assert.deepEqual(parser.push('550 5.1.1 \xe4'), { code: 550, text: '5.1.1 \xe4' })
})

test('what is no reply is an error', () => {
  for (const line of ['', '25', '2500 x', '250x', '150 x', '650 x', 'ok', ' 250 x', '25a x']) {
    assert.throws(() => new ReplyParser().push(line), ReplyError, line)
  }
})

test('lines of one reply must agree on the code', () => {
  const parser = new ReplyParser()
  parser.push('250-a')
  assert.throws(() => parser.push('550 b'), ReplyError)
})

test('a reply without end is an error', () => {
  assert.throws(() => endless('x'), ReplyError)
  assert.throws(() => endless('x'.repeat(2000)), ReplyError)
})
