import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DataDecoder } from './data.ts'
import { DataEncoder } from './encoder.ts'
import { giveBack } from './give-back.ts'

function decode(text: string) {
  const decoder = new DataDecoder()
  const { output, done, rest } = decoder.push(Buffer.from(text, 'latin1'))
  return {
    text: Buffer.concat(output).toString('latin1'),
    done,
    rest: rest.toString('latin1'),
    violation: decoder.violation,
  }
}

function encode(text: string): string {
  const encoder = new DataEncoder()
  return Buffer.concat([encoder.encode(Buffer.from(text, 'latin1')), encoder.end()]).toString('latin1')
}

test('data ends at the dot alone on its line, and what follows is handed back', () => {
  assert.deepEqual(decode('Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n'), {
    text: 'Subject: x\r\n\r\nhello\r\n',
    done: true,
    rest: 'QUIT\r\n',
    violation: undefined,
  })
  assert.deepEqual(decode('.\r\n').text, '')
  assert.equal(decode('.\r\n').done, true)
})

test('transparency dots are taken out, one per line', () => {
  assert.equal(decode('..\r\n...a\r\n.b\r\na.b.\r\n.\r\n').text, '.\r\n..a\r\nb\r\na.b.\r\n')
})

// SMTP smuggling: everything that some server somewhere takes for the end of data
const smuggling = {
  '\n.\n': 'bare-lf',
  '\n.\r\n': 'bare-lf',
  '\r\n.\n': 'bare-lf',
  '\r.\r': 'bare-cr',
  '\r.\r\n': 'bare-cr',
  '\r\n.\r': 'bare-cr',
  '\r\n.\r\r\n': 'bare-cr',
  '\r\n\0.\r\n': 'nul',
  '\r\n.\0\r\n': 'nul',
  '\r\n.\r\0\n': 'bare-cr',
  '\r\0\n.\r\n': 'bare-cr',
  '\n\n.\r\n': 'bare-lf',
  '\r\n.\n\r\n': 'bare-lf',
}

for (const [end, violation] of Object.entries(smuggling)) {
  test(`${JSON.stringify(end)} is no end of data, and is reported`, () => {
    const decoded = decode(`hello${end}MAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n`)
    assert.equal(decoded.done, true)
    assert.equal(decoded.rest, 'NOOP\r\n')
    assert.equal(decoded.violation, violation)
    assert.ok(decoded.text.includes('MAIL FROM:<evil@x>'))
  })
}

test('the first violation is the one that is kept', () => {
  assert.equal(decode('a\nb\rc\0\r\n.\r\n').violation, 'bare-lf')
  assert.equal(decode('a\0b\nc\r\n.\r\n').violation, 'nul')
  assert.equal(decode('a\r\n.\r\n\0\n').violation, undefined)
})

test('long lines pass, and chunks that are larger than what is looked at in one go', () => {
  const line = `a${'x'.repeat(5000)}\r\n`
  const decoded = decode(`.${line.repeat(40)}..b\r\n.\r\nQUIT\r\n`)
  assert.equal(decoded.text, `${line.repeat(40)}.b\r\n`)
  assert.equal(decoded.done, true)
  assert.equal(decoded.rest, 'QUIT\r\n')
  assert.equal(decoded.violation, undefined)
  assert.equal(decode(`${'x'.repeat(200_000)}\r\n\0\r\n.\r\n`).violation, 'nul')
})

test('after the end, octets are handed back as they are', () => {
  const decoder = new DataDecoder()
  decoder.push(Buffer.from('.\r\n'))
  assert.deepEqual(decoder.push(Buffer.from('..x')), { output: [], done: true, rest: Buffer.from('..x') })
})

test('output shares the memory of the input, and stays in few pieces', () => {
  const chunk = Buffer.from('hello\r\n..world\r\n')
  const { output } = new DataDecoder().push(chunk)
  assert.ok(output.every((piece) => piece.buffer === chunk.buffer))
  assert.equal(new DataDecoder().push(Buffer.from('..\r\n'.repeat(10_000))).output.length, 1)
})

test('input that is nothing but findings costs no more than its length', () => {
  const start = process.cpuUsage()
  for (const octet of ['\r', '\n', '\0', '.\r\n.', '.']) {
    const chunk = Buffer.alloc(65_536, octet)
    for (let i = 0; i < 8; i++) {
      new DataDecoder().push(chunk)
      new DataEncoder().encode(chunk)
    }
  }
  assert.ok(process.cpuUsage(start).user < 3_000_000, 'quadratic work would take minutes')
})

test('sending doubles dots at line starts and ends with one', () => {
  assert.equal(encode('.a\r\n..\r\nb.\r\n'), '..a\r\n...\r\nb.\r\n.\r\n')
  assert.equal(encode('a'), 'a\r\n.\r\n')
  assert.equal(encode(''), '.\r\n')
  assert.equal(encode('.'), '..\r\n.\r\n')
})

test('sending never puts a lone CR or LF on the wire', () => {
  assert.equal(encode('a\n.\r\nb'), 'a\r\n..\r\nb\r\n.\r\n')
  assert.equal(encode('a\r.\rb\r'), 'a\r\n..\r\nb\r\n.\r\n')
  assert.equal(encode('a\r\r\n'), 'a\r\n\r\n.\r\n')
})

test('what needs no change is sent as it is, without a copy', () => {
  const chunk = Buffer.from('hello\r\nworld')
  assert.equal(new DataEncoder().encode(chunk), chunk)
})

test('a large chunk that nobody needs any more is emptied, unless it is a part of something', () => {
  const octets = Buffer.from(new ArrayBuffer(20_000))
  giveBack(octets.subarray(0, 10_000))
  assert.equal(octets.length, 20_000)
  giveBack(octets)
  assert.equal(octets.length, 0)
})
