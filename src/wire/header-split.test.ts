import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderSplitter, headerProblemReplies } from './header-split.ts'

function split(message: string, maxHeader = 1000) {
  const splitter = new HeaderSplitter(maxHeader)
  const body = splitter.push(Buffer.from(message, 'latin1')).toString('latin1')
  return { ...splitter.header(), body, complete: splitter.complete }
}

test('the header ends at the first empty line, which belongs to neither part', () => {
  assert.deepEqual(split('A: 1\r\nB: 2\r\n c\r\n\r\nbody\r\n\r\nmore'), {
    text: 'A: 1\r\nB: 2\r\n c\r\n',
    problem: undefined,
    body: 'body\r\n\r\nmore',
    complete: true,
  })
  assert.equal(split('A: 1\r\n \r\n\r\nbody').text, 'A: 1\r\n \r\n')
})

const problems = {
  '': 'missing',
  '\r\n': 'missing',
  '\r\nbody': 'missing',
  'A: 1\r\n': 'not-terminated',
  'A: 1\r\n b\r\n': 'not-terminated',
  'hello\r\n': 'invalid',
  'hello\r\n\r\nbody': 'invalid',
  ' A: 1\r\n\r\n': 'invalid',
  'A: 1\r\nhello\r\n\r\n': 'invalid',
  'From a@b Mon Jan 1\r\nA: 1\r\n\r\n': 'invalid',
  'A: 1\nB: 2\r\n\r\n': 'lone-newline',
  'A: 1\rB: 2\r\n\r\n': 'lone-newline',
  'A: 1\n\nbody\r\n\r\n': 'lone-newline',
  ': 1\r\n\r\n': 'invalid',
} as const

for (const [message, problem] of Object.entries(problems)) {
  test(`${JSON.stringify(message)} has a header that is ${problem}`, () => {
    assert.equal(split(message).problem, problem)
    assert.match(headerProblemReplies[problem].text, /^5\.6\.0 .*RFC2822 section/)
  })
}

test('a header may be as long as allowed, its empty line included', () => {
  const header = `A: ${'x'.repeat(10)}\r\n`
  assert.equal(split(`${header}\r\nbody`, header.length + 2).problem, undefined)
  assert.deepEqual(split(`${header}\r\nbody`, header.length + 1), {
    text: '',
    problem: 'too-large',
    body: '',
    complete: false,
  })
})

test('after a header that is too large nothing more is kept or passed on', () => {
  const splitter = new HeaderSplitter(100)
  splitter.push(Buffer.alloc(101, 'x'))
  assert.equal(splitter.tooLarge, true)
  assert.equal(splitter.push(Buffer.from('\r\n\r\nbody')).length, 0)
})

test('the body is passed on without a copy', () => {
  const splitter = new HeaderSplitter(100)
  splitter.push(Buffer.from('A: 1\r\n\r\n'))
  const chunk = Buffer.from('body')
  assert.equal(splitter.push(chunk), chunk)
})
