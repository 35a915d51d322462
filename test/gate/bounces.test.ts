/** Mail that cannot be delivered, and what its sender and the operator hear of it, on a whole gate. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

let dns: TestDnsServer
let sink: SmtpSink
let gate: TestGate

before(async () => {
  dns = await TestDnsServer.start({
    'MX null.test': [{ preference: 0, exchange: '.' }],
    'A refusing.test': ['127.0.0.1'],
    'A quiet.test': ['127.0.0.1'],
  })
  sink = await SmtpSink.start({ rcpt: '550 5.1.1 no such user @here' })
  gate = await startTestGate({
    conf: `
      DNS_Servers = ( "127.0.0.1:${dns.port}" )
      Remote_SMTP_Port = ${sink.port}
      Domain "quiet.test" { Generate_Bounces = false }
      bounce_logger "b" { bouncelog = "logs/bounce.ec" heartbeat = 0 }
      ec_logger "l" { mainlog = "main.ec" heartbeat = 0 }
      ${MAILDIR}
      ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`,
  })
})

after(async () => {
  await gate.stop()
  await sink.close()
  await dns.close()
})

async function send(sender: string, recipient: string): Promise<void> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  for (const line of ['EHLO x', `MAIL FROM:<${sender}>`, `RCPT TO:<${recipient}>`, 'DATA'])
    assert.match(await client.command(line), /^[23]/)
  assert.match(await client.command('Subject: gone\r\nMessage-ID: <1@x.test>\r\n\r\nbody\r\n.'), /^250/)
  client.destroy()
}

test('a local sender finds the bounce in his mailbox, and both are in the logs', async () => {
  await send('ann@gate.example', 'bob@refusing.test')
  const delivery = await gate.event('delivery', ({ domain }) => domain === 'gate.example')
  assert.equal(delivery.envelope.sender, undefined)
  const folder = path.join(gate.folder, 'mail/ann/new')
  const [file = ''] = readdirSync(folder)
  const text = readFileSync(path.join(folder, file), 'latin1')
  assert.match(text, /^Return-Path: <>\n/)
  assert.match(text, /^To: <ann@gate\.example>$/m)
  assert.match(text, /^Final-Recipient: rfc822; bob@refusing\.test\nAction: failed\nStatus: 5\.1\.1$/m)
  assert.match(text, /^Diagnostic-Code: smtp; 550 5\.1\.1 no such user @here$/m)
  assert.match(text, /^Subject: gone$/m)
  assert.doesNotMatch(text, /^body$/m)
})

test('a bounce that cannot be delivered is not bounced', async () => {
  await send('ann@null.test', 'bob@refusing.test')
  const failure = await gate.event('permanent-failure', ({ domain }) => domain === 'null.test')
  assert.equal(failure.envelope.sender, undefined)
  await send('', 'bob@refusing.test')
  await gate.event(
    'permanent-failure',
    ({ envelope, domain }) => envelope.sender === undefined && domain === 'refusing.test',
  )
})

test('Generate_Bounces = false: the failure is logged and that is all', async () => {
  await send('eve@gate.example', 'bob@quiet.test')
  await gate.event('permanent-failure', ({ domain }) => domain === 'quiet.test')
})

test('nothing is left in the queue, nobody else got mail, and the bouncelog has every failure with its class', async () => {
  const folder = gate.folder
  await gate.server.stop()
  assert.deepEqual(readdirSync(path.join(folder, 'mail')), ['ann'])
  const lines = readFileSync(path.join(folder, 'logs/bounce.ec'), 'latin1').trimEnd().split('\n')
  const fields = lines.map((line) => line.split(/(?<!\\)@/))
  assert.deepEqual(
    fields.map((each) => [each[4], each[6], each[8], each[11], each[12], each[14], each[15]]),
    [
      ['B', 'refusing.test', 'gate.example', '5', '10', '127.0.0.1', '550 5.1.1 no such user \\@here'],
      ['B', 'refusing.test', 'null.test', '5', '10', '127.0.0.1', '550 5.1.1 no such user \\@here'],
      ['B', 'null.test', '', '0', '21', '', '550 5.4.4 [internal] NULL MX domain does not accept mail'],
      ['B', 'refusing.test', '', '5', '10', '127.0.0.1', '550 5.1.1 no such user \\@here'],
      ['B', 'quiet.test', 'gate.example', '5', '10', '127.0.0.1', '550 5.1.1 no such user \\@here'],
    ],
  )
  assert.ok(fields.every((each) => each.length === 16))
  const main = readFileSync(path.join(folder, 'main.ec'), 'latin1').trimEnd().split('\n')
  const receptions = main.map((line) => line.split(/(?<!\\)@/)).filter((each) => each[4] === 'R')
  assert.equal(receptions.filter((each) => each[11] === 'internal').length, 2)
  assert.equal(receptions.length, 6)
})
