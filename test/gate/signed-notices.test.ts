/** Bounces that are signed, on a whole gate. */

import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { authenticate } from 'mailauth'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const PAIRS = { one: generateKeyPairSync('ed25519'), two: generateKeyPairSync('ed25519') }
const keyFile = (name: keyof typeof PAIRS): string =>
  PAIRS[name].privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()

let sink: SmtpSink
let gate: TestGate

before(async () => {
  sink = await SmtpSink.start({ rcpt: '550 5.1.1 no such user' })
  gate = await startTestGate({
    conf: `
      Gateway = "127.0.0.1:${sink.port}"
      Bounces_Inline_Original = all
      Domain "plain.example" { opendkim_sign = false }
      opendkim "o" { key = "%{s}.key" selector = "one" dkim_domain "gate.example" { } }
      maildir "m" { basedir = "mail" domains = ( "gate.example" "plain.example" ) create_users = true }
      ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`,
    files: { 'one.key': keyFile('one'), 'two.key': keyFile('two') },
  })
})

after(async () => {
  await gate.stop()
  await sink.close()
})

/** What verifies of the bounce that the sender of a refused message finds in his mailbox. */
async function bounceTo(user: string, domain = 'gate.example', line = 'body'): Promise<string[]> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  await client.ehlo()
  const sent = await client.deliver(`${user}@${domain}`, 'bob@elsewhere.example', `Subject: x\n\n${line}`)
  assert.match(sent, /^250/)
  client.destroy()
  const told = await gate.event('delivery', ({ envelope }) => envelope.recipient.local === user)
  const folder = path.join(gate.folder, 'mail', user, 'new')
  const text = readFileSync(path.join(folder, readdirSync(folder)[0] ?? ''), 'latin1')
  assert.match(text, /^From: Mail Delivery System <mailer-daemon@gate\.example>$/m)
  // what the envelope says is what is kept: all but the Return-Path of the mailbox, with CR LF
  const kept = text.slice(text.indexOf('\n') + 1).replaceAll('\n', '\r\n')
  assert.equal(told.envelope.size, kept.length)
  const { dkim } = await authenticate(Buffer.from(kept, 'latin1'), {
    resolver: publicKey,
    disableArc: true,
    disableBimi: true,
  })
  return dkim.results
    .filter(({ status }) => status.result !== 'none')
    .map(({ status, selector }) => `${selector} ${status.result}`)
}

async function publicKey(name: string): Promise<string[][]> {
  await Promise.resolve()
  const selector = /^(one|two)\._domainkey\.gate\.example$/.exec(name)?.[1] as keyof typeof PAIRS | undefined
  if (selector === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })
  const raw = PAIRS[selector].publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  return [[`v=DKIM1; k=ed25519; p=${raw.toString('base64')}`]]
}

test('a bounce in the name of a domain of ours carries a signature that verifies by another’s code', async () => {
  assert.deepEqual(await bounceTo('ann'), ['one pass'])
})

test('opendkim_sign of the reader’s domain keeps it unsigned', async () => {
  assert.deepEqual(await bounceTo('bob', 'plain.example'), [])
})

test('a bounce that returns a line without end goes out without a signature, and the paniclog says so', async () => {
  assert.deepEqual(await bounceTo('cid', 'gate.example', 'x'.repeat(300_000)), [])
  await gate.event('panic', ({ text }) => text.startsWith('a bounce is not signed'))
})

test('after a reload the new key signs, and one with another condition than can_relay does not', async () => {
  const file = path.join(gate.folder, 'gate.conf')
  const conf = readFileSync(file, 'utf8')
  writeFileSync(file, conf.replace('"one"', '"two"'))
  await gate.server.reload()
  assert.deepEqual(await bounceTo('dan'), ['two pass'])
  writeFileSync(file, conf.replace('"one"', '"two" sign_condition = sign_me'))
  await gate.server.reload()
  assert.deepEqual(await bounceTo('eve'), [])
})
