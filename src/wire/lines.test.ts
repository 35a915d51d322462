import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Line, LineReader } from './lines.ts'

function all(reader: LineReader): Line[] {
  const lines: Line[] = []
  for (let line = reader.next(); line !== undefined; line = reader.next()) lines.push(line)
  return lines
}

function read(text: string, maxLength = 512): Line[] {
  const reader = new LineReader(maxLength)
  reader.push(Buffer.from(text, 'latin1'))
  return all(reader)
}

/** Whether octets are said to follow, for each place where the line may be cut. */
function follows(line: string): boolean[] {
  return Array.from({ length: line.length - 1 }, (_, index) => {
    const reader = new LineReader(20)
    reader.push(Buffer.from(line.slice(0, index + 1), 'latin1'))
    const found = all(reader)
    for (const part of [line.slice(index + 1), '\r', '\nNOOP\r\n']) {
      reader.push(Buffer.from(part, 'latin1'))
      found.push(...all(reader))
    }
    assert.deepEqual(found.pop(), { kind: 'line', text: 'NOOP' })
    const told = found.filter((each) => each.kind !== 'line' && each.chunkFollows === true).length
    assert.ok(told <= 1)
    return told === 1
  })
}

test('lines end in CRLF and keep their octets', () => {
  assert.deepEqual(read('EHLO x\r\n\r\nnoop \xff\t\r\nQU'), [
    { kind: 'line', text: 'EHLO x' },
    { kind: 'line', text: '' },
    { kind: 'line', text: 'noop \xff\t' },
  ])
})

test('a lone CR, a lone LF or a NUL spoils its line up to the CRLF, and only that', () => {
  for (const spoilt of ['NOOP\nRCPT TO:<a>', 'NOOP\rx', '\n', '\r\r', 'a\n\0']) {
    assert.deepEqual(read(`${spoilt}\r\nQUIT\r\n`), [
      { kind: 'bare-newline' },
      { kind: 'line', text: 'QUIT' },
    ])
  }
  assert.deepEqual(read('NO\0OP\n\r\nQUIT\r\n'), [{ kind: 'nul' }, { kind: 'line', text: 'QUIT' }])
})

test('a lone LF is reported before the line has ended', () => {
  assert.deepEqual(read('EHLO x\n'), [{ kind: 'bare-newline' }])
  assert.deepEqual(read('EHLO x\r'), [])
})

test('a line may be as long as allowed, its CRLF included', () => {
  assert.deepEqual(read('12345678\r\n', 10), [{ kind: 'line', text: '12345678' }])
  assert.deepEqual(read('123456789\r\nNOOP\r\n', 10), [{ kind: 'too-long' }, { kind: 'line', text: 'NOOP' }])
})

test('a line without end is answered once and takes no memory', () => {
  const reader = new LineReader(512)
  let answers = 0
  for (let i = 0; i < 1000; i++) {
    reader.push(Buffer.alloc(4096, 'x'))
    answers += all(reader).length
    assert.ok(reader.buffered <= 1)
  }
  assert.equal(answers, 1)
  reader.push(Buffer.from('\r\nNOOP\r\n'))
  assert.deepEqual(all(reader), [{ kind: 'line', text: 'NOOP' }])
})

test('what follows a line stays untouched until it is asked for', () => {
  const reader = new LineReader(512)
  reader.push(Buffer.from('STARTTLS\r\n\x16\x03\x01\0\n'))
  assert.deepEqual(reader.next(), { kind: 'line', text: 'STARTTLS' })
  assert.equal(reader.buffered, 5)
  assert.deepEqual(reader.drain(), Buffer.from('\x16\x03\x01\0\n'))
  assert.equal(reader.buffered, 0)
  reader.push(Buffer.from('EHLO y\r\n'))
  assert.deepEqual(reader.next(), { kind: 'line', text: 'EHLO y' })
})

test('a BDAT line that cannot be read says that octets may follow it', () => {
  const chunk = { chunkFollows: true }
  assert.deepEqual(read('BDAT 10\n LAST\r\n'), [{ kind: 'bare-newline', ...chunk }])
  assert.deepEqual(read('bdat 10\0\r\n'), [{ kind: 'nul', ...chunk }])
  assert.deepEqual(read('NOOP\nBDAT 10\r\n'), [{ kind: 'bare-newline', ...chunk }])
  assert.deepEqual(read('BDATA\n\r\n'), [{ kind: 'bare-newline' }])
})

test('it says so wherever it was cut, also behind what has been answered', () => {
  for (const line of ['NOOP\nBDAT 10', 'NO\0OP\r \tbdat 10 LAST', `${'x'.repeat(30)}\n\n \nBDAT 10`])
    assert.ok(!follows(line).includes(false), line)
  for (const line of ['NOOP\nXBDAT 10', 'NOOP\nNOOP \tBDAT', `${'x'.repeat(30)}BDAT 10`])
    assert.ok(!follows(line).includes(true), line)
})

test('nothing of a chunk is kept when there is nothing in it', () => {
  const reader = new LineReader(512)
  const message = Buffer.alloc(4096)
  reader.push(message.subarray(4096))
  assert.notEqual(reader.drain().buffer, message.buffer)
})
