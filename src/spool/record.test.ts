import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storedMessage } from '../../test/support/messages.ts'
import { decodeRecord, encodeRecord, freshState, indexRecord, withState } from './record.ts'

const place = { bodyKey: 7, bodySize: 3, inFile: true, headerSize: 5, alikeBack: 0 }
const { envelope } = storedMessage('A0/00-00001-00000001')

test('a record of an earlier version, which has neither notices nor requests, reads as it always did', () => {
  // written by the version before notices: one message that failed, its body in a file
  const record = Buffer.from(
    'AQPqkW4uAAAAAAAAHEAAAAAAAAAIQAAAAAAAAAAAAgAAAAUAAAAAAAAAAQATAAAAYXsiaWQiOiJhIiwic2l6ZSI6MX01NTAgbm8=',
    'base64',
  )
  assert.deepEqual(indexRecord(record), { ...place, id: 'a' })
  assert.deepEqual(decodeRecord(record), {
    envelope: { id: 'a', size: 1, sender: undefined },
    state: { attempts: 2, nextAttempt: 0, failed: true, lastText: '550 no' },
  })
})

test('what a client asked to be told survives, UTF-8 included', () => {
  const asked = {
    ...envelope,
    smtpUtf8: true,
    recipient: { local: 'jos\xc3\xa9', domain: 'example.com' },
    dsn: {
      ret: 'FULL',
      envid: 'a b',
      notify: ['SUCCESS', 'DELAY'],
      originalRecipient: { type: 'utf-8', address: '\xc3\xa9@x.example' },
    },
  } as const
  assert.deepEqual(decodeRecord(encodeRecord(asked, place, freshState)).envelope, asked)
})

test('more notices than a record can count stay at the most, and touch nothing else', () => {
  const record = withState(encodeRecord(envelope, place, freshState), { ...freshState, delayNotices: 99 })
  assert.deepEqual(decodeRecord(record).state, { ...freshState, delayNotices: 15 })
  assert.equal(indexRecord(record).inFile, true)
})
