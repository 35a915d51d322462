/** custom_logger on a running gate: from the configuration and a client's message to the lines in the files. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const SCRIPT = `require("msys.core")
local mod = {}
function mod:validate_rcptto(msg, str, ac, vctx)
  vctx:set(msys.core.VCTX_MESS, "rule", "a@b " .. str)
  return msys.core.VALIDATE_CONT
end
msys.registerModule("mod", mod)`

let sink: SmtpSink
let gate: TestGate

const CONF = (): string => `
  tls_macros { }
  Gateway = "127.0.0.1:${sink.port}"
  TLS = ifavailable
  Domain "plain.test" { TLS = no }
  scriptlet "scriptlet" { script "mod" { source = "mod.lua" } }
  ESMTP_Listener {
    Open_Relay = true
    TLS_Certificate = "pki/server.pem" TLS_Key = "pki/server.key" TLS_Client_CA = "pki/ca.pem"
    Listen "127.0.0.1:0" { Use_SSL = true }
  }
  custom_logger "mine" {
    namespace = "custom_logger,outbound_tls"
    mainlog = "log/all"
    mainlog_mode = 0600
    delivery_logfile = "log/deliveries"
    reception_format = "R|%i|%r@%R|%h{Subject}|%vctx_conn{tls_client_cert_subject}|%vctx_mess{rule}"
    delivery_format = "D|%i|%h{Subject}|%H|%local_ip|%outbound_tls|%outbound_tls_type|%outbound_tls_protocol|%n"
    permanent_failure_format = "P|%i|%h{Subject}|%s|%C|%n"
    rejection_format = "X|%H|%M|%n"
  }`

before(async () => {
  const pki = await testPki()
  sink = await SmtpSink.start({
    tls: pki.server,
    rcpt: (line) => (line.includes('nobody') ? '550 5.1.1 no|such user' : '250 ok'),
  })
  gate = await startTestGate({
    pki,
    files: { 'mod.lua': SCRIPT },
    conf: CONF(),
  })
})

after(async () => {
  await gate.stop()
  await sink.close()
})

async function send(recipient: string, header: string): Promise<void> {
  const { clients } = await testPki()
  const client = await SmtpClient.connectTls(gate.address(), clients.valid)
  await client.reply()
  await client.ehlo()
  assert.match(await client.deliver('ann@a.test', recipient, `${header}\n\nbody`), /^250/)
  client.destroy()
}

function lines(name: string): string[] {
  return readFileSync(path.join(gate.folder, 'log', name), 'latin1')
    .trimEnd()
    .split('\n')
}

test('each stage has a line in its format, with headers, context and TLS of the next hop', async () => {
  await send('bob@example.test', 'Subject: one\n  |two|\nSubject: second')
  const { envelope } = await gate.event('delivery', ({ domain }) => domain === 'example.test')
  await gate.server.reload()
  assert.equal(
    lines('all').find((line) => line.includes(envelope.id)),
    `R|${envelope.id}|bob@example.test|one  \\|two\\||CN=client-valid.example|a\\@b RCPT TO:<bob\\@example.test>\\r\\n`,
  )
  assert.deepEqual(lines('deliveries'), [
    `D|${envelope.id}|one  \\|two\\||127.0.0.1|127.0.0.1|TLS|ifavailable|TLSv1.3|250 2.0.0 kept`,
  ])
})

test('without TLS the line says so', async () => {
  await send('bob@plain.test', 'Subject: plain')
  await gate.event('delivery', ({ domain }) => domain === 'plain.test')
  await gate.server.reload()
  assert.match(lines('deliveries').at(-1) ?? '', /\|plain\|127\.0\.0\.1\|127\.0\.0\.1\|SMTP\|no\|\|250/)
})

test('a failure and a refusal have theirs; a control character in a header starts no line', async () => {
  await send('nobody@example.test', 'Subject: \u001b[2J\u0007D|x')
  await gate.event('permanent-failure')
  const client = await SmtpClient.connectTls(gate.address(), {})
  await client.reply()
  await client.ehlo()
  await client.command('MAIL FROM:<ann@a.test>')
  assert.match(await client.command('RCPT TO:<no address>'), /^5/)
  client.destroy()
  await gate.event('rejection')
  await gate.server.reload()
  assert.match(
    lines('all').find((line) => line.startsWith('P')) ?? '',
    /^P\|[^|]+\|\\x1b\[2J\\x07D\\\|x\|(?:after|during) RCPT TO\|10\|550 5\.1\.1 no\\\|such user$/,
  )
  assert.match(lines('all').find((line) => line.startsWith('X')) ?? '', /^X\|127\.0\.0\.1\|a\.test\|5\d\d /)
})

test('a reload puts a new format in force', async () => {
  const file = path.join(gate.folder, 'gate.conf')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('"D|%i', '"new %h{X-Late}|%i'))
  await gate.server.reload()
  await send('bob@late.test', 'X-Late: yes')
  await gate.event('delivery', ({ domain }) => domain === 'late.test')
  await gate.server.reload()
  assert.match(lines('deliveries').at(-1) ?? '', /^new yes\|/)
})
