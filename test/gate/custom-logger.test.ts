/** Lines of custom_logger and lines of JSON on a running gate: from the configuration and a client's message to the files. */

import assert from 'node:assert/strict'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
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
    SMTP_Extensions = ( "AUTH PLAIN" "SMTPUTF8" )
    AuthPlainParameters = [ uri = "file://FOLDER/users" log_authentication = true ]
    Auth_Failure_Delay = 0
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
  }
  custom_logger "own" {
    mainlog = "log/own.jsonl"
    sanitize = "json"
    reception_format = '{"at": %t, "id": "%i", "subject": "%h{Subject}", "octets": %B}'
  }
  ec_logger "l" {
    mainlog = "log/main" rejectlog = "log/reject" acctlog = "log/acct" heartbeat = 0
    mainlog_json = "log/main.jsonl" rejectlog_json = "log/reject.jsonl" acctlog_json = "log/acct.jsonl"
    mainlog_mode = 0600
  }
  bounce_logger "b" { bouncelog = "log/bounce" bouncelog_json = "log/bounce.jsonl" heartbeat = 0 }
  tls_log "t" { tlslog = "log/tls.jsonl" }`

before(async () => {
  const pki = await testPki()
  sink = await SmtpSink.start({
    tls: pki.server,
    rcpt: (line) => (line.includes('nobody') ? '550 5.1.1 no|such user' : '250 ok'),
  })
  gate = await startTestGate({
    pki,
    files: { 'mod.lua': SCRIPT, users: 'ann:hunter2\n' },
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

type Json = Readonly<Record<string, unknown>>
const json = (name: string): Json[] => lines(`${name}.jsonl`).map((line) => JSON.parse(line) as Json)

/** By event: its keys in docs/json-lines.md, and those that may be absent. */
function documented(): ReadonlyMap<
  string,
  { readonly all: readonly string[]; readonly always: readonly string[] }
> {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/json-lines.md'), 'utf8')
  const sections = page.split(/^## /m).slice(1)
  const entries = sections.flatMap((section) => {
    const [title = ''] = section.split('\n')
    const rows = [...section.matchAll(/^\| `(\w+)`( \(may be absent\))? \|/gm)]
    const all = rows.map(([, key = '']) => key)
    const always = rows.filter(([, , absent]) => absent === undefined).map(([, key = '']) => key)
    return [...title.matchAll(/`([^`]+)`/g)].map(([, kind = '']) => [kind, { all, always }] as const)
  })
  return new Map(entries)
}

test('beside each line there is one of JSON, with the keys that are documented', async () => {
  await send('"a b|@"@example.test', 'Subject: caf\xc3\xa9 \xe9 "\\|\n\t\xe2\x80\xa8{')
  const { envelope } = await gate.event(
    'delivery',
    ({ envelope: { recipient } }) => recipient.local === 'a b|@',
  )
  const { clients } = await testPki()
  const client = await SmtpClient.connectTls(gate.address(), clients.valid)
  await client.reply()
  await client.ehlo()
  for (const [password, code] of [
    ['hunter3', /^535/],
    ['hunter2', /^235/],
  ] as const)
    assert.match(
      await client.command(`AUTH PLAIN ${Buffer.from(`\0ann\0${password}`).toString('base64')}`),
      code,
    )
  // where a password ends up when a client goes on with AUTH
  assert.match(await client.command('AGFubgBodW50ZXIy'), /^50/)
  assert.match(await client.command('AUTH PLAIN AGFubgBodW50ZXIy'), /^503/)
  assert.match(await client.command('MAIL FROM:<\xff"}\x01@a.test>'), /^5/)
  await client.command('QUIT')
  await gate.event('decision', ({ end }) => end?.how === 'quit')
  await gate.server.reload()

  const pages = documented()
  for (const name of ['main', 'reject', 'acct', 'bounce']) {
    const all = json(name)
    assert.ok(all.length > 0, name)
    assert.equal(all.length, lines(name).length, `${name} has as many lines of either kind`)
    for (const line of all) {
      const { all: known = [], always = [] } = pages.get(String(line['event'])) ?? {}
      assert.deepEqual(
        [Object.keys(line).filter((key) => !known.includes(key)), always.filter((key) => !(key in line))],
        [[], []],
        JSON.stringify(line),
      )
    }
  }
  const events = ['main', 'reject', 'acct', 'bounce'].flatMap((name) => json(name).map(({ event }) => event))
  assert.deepEqual(
    new Set(events),
    new Set(['reception', 'delivery', 'permanent-failure', 'rejection', 'authentication']),
  )
  assert.equal(statSync(path.join(gate.folder, 'log/main.jsonl')).mode & 0o777, 0o600)
  for (const name of ['main', 'reject', 'acct', 'tls'])
    assert.doesNotMatch(lines(`${name}.jsonl`).join(), /hunter|AGFubgBodW50ZX/, 'no password, encoded or not')

  const [taken, gone] = json('main').filter(({ message }) => message === envelope.id)
  assert.equal(taken?.['recipient'], '"a b|@"@example.test')
  assert.equal(taken?.['connection'], gone?.['connection'])
  const decision = json('tls').find(({ connection }) => connection === taken?.['connection'])
  assert.deepEqual([decision?.['event'], decision?.['subject']], ['decision', 'CN=client-valid.example'])
  assert.deepEqual([gone?.['remote'], gone?.['outbound_tls_protocol']], ['127.0.0.1', 'TLSv1.3'])
  const [bounce] = json('bounce')
  assert.deepEqual([bounce?.['event'], bounce?.['class']], ['permanent-failure', 10])
  assert.equal(bounce?.['text'], '550 5.1.1 no|such user')
  assert.deepEqual(
    json('acct').map(({ user, status }) => [user, status]),
    [
      ['ann', 'fail'],
      ['ann', 'pass'],
    ],
  )
  const refused = json('reject').at(-1)
  assert.equal(typeof refused?.['code'], 'number')
  const context = refused?.['connection_context'] as Json | undefined
  assert.equal(context?.['auth_user'], 'ann')
  const own = json('own').find(({ id }) => id === envelope.id)
  assert.deepEqual(own, {
    at: Math.floor(envelope.receivedAt / 1000),
    id: envelope.id,
    subject: 'café \\xe9 "\\|\t\u2028{',
    octets: envelope.size,
  })
})
