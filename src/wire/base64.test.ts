import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeBase64 } from './base64.ts'

test('canonical base64 is decoded', () => {
  assert.deepEqual(decodeBase64('AHVzZXIAcGFzcw=='), Buffer.from('\0user\0pass'))
  assert.deepEqual(decodeBase64(''), Buffer.alloc(0))
})

test('anything else is refused, though Buffer would take it', () => {
  const wrong = [
    'AHVzZXIAcGFzcw',
    'AHVzZXIAcGFzcw=',
    'AHVz ZXIA',
    'AHVz\r\n',
    'AB==',
    '-_-_',
    '=',
    '*',
    'AA==AA==',
    '\xc1\xc1\xc1\xc1',
  ]
  for (const text of wrong) assert.equal(decodeBase64(text), undefined, JSON.stringify(text))
})
