import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { parseMailbox } from '../../src/mail/address.ts'
import { readDeliveryReport } from '../../src/mail/delivery-report.ts'
import { HeaderBlock } from '../../src/mail/headers.ts'
import { decodeUtf8Address, encodeUtf8Address, isUtf8Text, toUtf8 } from '../../src/mail/utf8.ts'
import { parseMailCommand, parseRcptCommand } from '../../src/wire/command.ts'
import {
  formatMailDsn,
  formatRcptDsn,
  parseEnvid,
  parseNotify,
  parseOrcpt,
  parseRet,
} from '../../src/wire/dsn.ts'
import { holds } from '../support/properties.ts'
import { octets } from './fuzz.ts'

const value = octets(
  [
    'NEVER',
    'SUCCESS',
    'failure',
    'DELAY',
    ',',
    'rfc822;',
    'utf-8;',
    'a@b',
    '+2B',
    '+0A',
    '+',
    '\\x{E9}',
    '\xc3\xa9',
    ';',
    '=',
  ],
  8,
).map((bytes) => bytes.toString('latin1'))

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL = /[\0-\x1f\x7f]/

test('what is read of a parameter can be written again, is one word of ASCII, and reads the same', () => {
  holds(
    fc.property(value, fc.boolean(), (text, utf8) => {
      const [ret, envid, notify] = [parseRet(text), parseEnvid(text), parseNotify(text)]
      const originalRecipient = parseOrcpt(text, utf8)
      const dsn = {
        ...(ret === undefined ? {} : { ret }),
        ...(envid === undefined ? {} : { envid }),
        ...(notify === undefined ? {} : { notify }),
        ...(originalRecipient === undefined ? {} : { originalRecipient }),
      }
      const mail = parseMailCommand(`FROM:<a@b.test>${formatMailDsn(dsn)}`)
      const rcpt = parseRcptCommand(`TO:<a@b.test>${formatRcptDsn(dsn)}`)
      assert.ok(mail.kind === 'mail' && rcpt.kind === 'rcpt')
      assert.equal(parseRet(mail.parameters.get('RET')), ret)
      if (envid !== undefined) assert.equal(parseEnvid(mail.parameters.get('ENVID')), envid)
      assert.deepEqual(parseNotify(rcpt.parameters.get('NOTIFY')), notify)
      const orcpt = rcpt.parameters.get('ORCPT')
      // escapes may make a value longer than may be said
      if ((orcpt?.length ?? 0) <= 500) assert.deepEqual(parseOrcpt(orcpt, false), originalRecipient)
    }),
  )
})

test('no value brings a line end, a control or a blank at the wrong place into a report', () => {
  holds(
    fc.property(value, (text) => {
      const envid = parseEnvid(text)
      if (envid !== undefined) assert.match(envid, /^[ -~]+$/)
      const { type, address } = parseOrcpt(text, true) ?? { type: 'none', address: 'none' }
      assert.match(type, /^[a-z0-9-]+$/)
      if (type === 'utf-8') assert.ok(isUtf8Text(address) && !CONTROL.test(address))
      else assert.match(address, /^[ -~]+$/)
    }),
  )
})

test('an address with any characters survives the way through ASCII', () => {
  holds(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }), (text) => {
      const address = toUtf8(text)
      if (!isUtf8Text(address) || CONTROL.test(address)) return
      const written = encodeUtf8Address(address)
      assert.match(written, /^[!-~]+$/)
      assert.equal(decodeUtf8Address(written), address)
    }),
  )
})

const international = octets(
  ['é', 'ß', 'ı', 'İ', 'Σ', 'xn--', '。', 'ａ', '٣', '\u200d', '\u202e', 'a', '.', '-', '@', '"'].map(toUtf8),
  10,
)

test('a domain is ASCII however it was written, and reads the same again', () => {
  holds(
    fc.property(international, international, (local, domain) => {
      const text = `${local.toString('latin1')}@${domain.toString('latin1')}`
      const mailbox = parseMailbox(text, { utf8: true })
      if (mailbox === undefined) return
      assert.match(mailbox.domain, /^[a-z0-9.-]+$/)
      assert.equal(parseMailbox(`x@${mailbox.domain}`)?.domain, mailbox.domain)
      assert.ok(isUtf8Text(mailbox.local))
      if (/[\x80-\xff]/.test(text)) assert.equal(parseMailbox(text), undefined)
    }),
  )
})

const reportText = octets(
  [
    '--b',
    '\r\n',
    '\n',
    'Action: failed',
    'Status: 5.1.1',
    'Final-Recipient: rfc822; a@b',
    ':',
    ' ',
    'Content-Type: message/delivery-status',
    '=',
    '\0',
  ],
  40,
)

test('any report is read without an exception, and gives addresses and short lines', () => {
  const headers = new HeaderBlock(
    'Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n',
  )
  holds(
    fc.property(reportText, (body) => {
      for (const each of readDeliveryReport(headers, body.toString('latin1')) ?? []) {
        assert.match(each.action, /^[a-z-]{1,40}$/)
        assert.match(each.diagnostic, /^[ -~\x80-\xff]{0,1000}$/)
        assert.ok(each.addresses.every(({ domain }) => /^[a-z0-9.[\]:-]*$/.test(domain)))
      }
    }),
  )
})
