import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderBlock } from './headers.ts'

const SAMPLE = 'Received: by a\r\n\tfor b\r\nSubject: one\r\nX-A: 1\r\nsubject:two \r\nTo : x\r\n\r\n'

function text(header: HeaderBlock): string {
  return header.toBytes().toString('latin1')
}

test('fields are found by name in any case, unfolded, top first', () => {
  const header = new HeaderBlock(SAMPLE)
  assert.deepEqual(header.values('SUBJECT'), ['one', 'two'])
  assert.deepEqual(header.values('received'), ['by a\tfor b'])
  assert.deepEqual(header.values('to'), ['x'])
  assert.equal(header.count('Subject'), 2)
  assert.equal(header.count('none'), 0)
})

test('edits touch what they name and nothing else', () => {
  const header = new HeaderBlock(SAMPLE)
  header.prepend('Return-Path', '<a@b>')
  header.append('X-End', 'last')
  header.replace('subject', 'three')
  header.replace('X-New', 'new')
  assert.equal(header.delete('x-a'), 1)
  assert.equal(header.delete('x-a'), 0)
  assert.equal(
    text(header),
    'Return-Path: <a@b>\r\nReceived: by a\r\n\tfor b\r\nsubject: three\r\nTo : x\r\nX-End: last\r\nX-New: new\r\n\r\n',
  )
  assert.equal(header.edited, true)
})

test('a copy is edited on its own', () => {
  const header = new HeaderBlock(SAMPLE)
  const copy = header.copy()
  copy.delete('subject')
  assert.equal(text(header), SAMPLE)
  assert.equal(header.edited, false)
})

test('a line break in a value becomes folding white space', () => {
  const header = new HeaderBlock('')
  header.append('X-A', 'one\r\nBcc: victim@x\n\nX-B: two\r \r\n')
  assert.equal(text(header), 'X-A: one\r\n\tBcc: victim@x\r\n\tX-B: two\r\n\r\n')
  assert.equal(header.count('bcc'), 0)
})

test('a value with characters that are no octets is refused, and nothing has changed', () => {
  const header = new HeaderBlock('X-A: 1\r\n')
  // U+010A would be written as a line feed
  assert.throws(() => header.replace('X-A', 'one\u010aBcc: x'), RangeError)
  assert.throws(() => header.append('X A', 'one'), RangeError)
  assert.throws(() => new HeaderBlock('X-A: \u010a'), RangeError)
  assert.equal(text(header), 'X-A: 1\r\n\r\n')
  assert.equal(header.edited, false)
})

test('a header whose last line is a continuation without a line end keeps its empty line', () => {
  const header = new HeaderBlock('Subject: a\r\n b')
  header.append('X-A', '1')
  assert.equal(text(header), 'Subject: a\r\n b\r\nX-A: 1\r\n\r\n')
})

test('a continuation line at the top cannot become part of a field that is put above it', () => {
  const header = new HeaderBlock(' auth=pass\r\nSubject: a\r\n\r\n')
  assert.equal(text(header), ' auth=pass\r\nSubject: a\r\n\r\n')
  header.prepend('Authentication-Results', 'mx; auth=fail')
  assert.equal(text(header), 'Authentication-Results: mx; auth=fail\r\nSubject: a\r\n\r\n')
})

test('a value that ends in the octet A0 keeps it', () => {
  const name = Buffer.from('voilà').toString('latin1')
  assert.deepEqual(new HeaderBlock(`Subject:  ${name} \r\n`).values('subject'), [name])
})

test('blanks without end cost no more than their number', () => {
  const blanks = ' '.repeat(500_000)
  const start = process.cpuUsage()
  const header = new HeaderBlock(`Subject: a${blanks}b\r\n`)
  header.append('X-A', `${header.values('subject')[0]}${'\n'.repeat(500_000)}c`)
  assert.equal(header.count('x-a'), 1)
  assert.ok(process.cpuUsage(start).user < 2_000_000, 'quadratic work would take minutes')
})
