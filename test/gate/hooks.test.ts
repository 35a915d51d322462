/** The hooks and the content functions of Lua scripts, on a running gate with real certificates. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { before, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

let pki: Pki
before(async () => {
  pki = await makePki()
})

const script = (body: string): string => `local core = require("msys.core")
require("msys.extended.message") require("msys.extended.vctx") require("msys.extended.ac")
local mod = {}
${body}
msys.registerModule("gate", mod)
`

function start(body: string, options = ''): Promise<TestGate> {
  return startTestGate({
    pki,
    files: { 'gate.lua': script(body) },
    conf: `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  ${options}
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }
${MAILDIR}`,
  })
}

async function connect(gate: TestGate, tls?: ConnectionOptions): Promise<SmtpClient> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  await client.ehlo()
  if (tls !== undefined) {
    await client.command('STARTTLS')
    await client.secure(tls)
    await client.ehlo()
  }
  return client
}

/** the one message in a mailbox */
function onlyMail(gate: TestGate, user: string): string {
  const folder = path.join(gate.folder, 'mail', user, 'new')
  const names = readdirSync(folder)
  assert.equal(names.length, 1)
  return readFileSync(path.join(folder, names[0] ?? ''), 'latin1')
}

const verify = (answer: string): string => `
function mod:core_inbound_smtp_tls_verify_callback(mc, ssl, ok, subject, issuer, x509)
  print(ok, subject) return ${answer}
end`

test('a script that always answers 1 raises nobody; one that answers 0 lowers a verified peer', async () => {
  const relaying = 'TLS_Verified_Peer_Can_Relay = true'
  const generous = await start(verify('1'), relaying)
  for (const name of ['untrusted', 'expired'] as const) {
    const client = await connect(generous, pki.clients[name])
    assert.equal((await client.context()).get('connection.tls_client_verified'), undefined, name)
    assert.match(await client.deliver('a@b.example', 'c@elsewhere.example', 'A: b\n\nx'), /^550 5\.7\.1/)
    client.destroy()
  }
  const trusted = await connect(generous, pki.clients.valid)
  assert.equal((await trusted.context()).get('connection.tls_client_verified'), 'yes')
  // no ticket was given: the same session again is a full handshake
  const { session } = trusted
  trusted.destroy()
  const again = await connect(generous, { ...pki.clients.valid, ...(session && { session }) })
  assert.equal(again.tls.isSessionReused(), false)
  again.destroy()
  await generous.stop()
  const strict = await start(verify('0'), relaying)
  const client = await connect(strict, pki.clients.valid)
  const context = await client.context()
  assert.equal(context.get('connection.tls_client_verify_error'), 'policy')
  assert.equal(context.get('connection.tls_client_verified'), undefined)
  assert.match(await client.deliver('a@b.example', 'c@elsewhere.example', 'A: b\n\nx'), /^550 5\.7\.1/)
  assert.equal((await strict.event('tls', () => true)).cause, 'policy')
  client.destroy()
  await strict.stop()
})

test('TLS parameters with a path relative to the configuration', async () => {
  const gate = await start(`
function mod:core_get_inbound_tls_parameters(mc, vctx, params)
  msys.tls_params.set(params, "ca", "pki/other-ca.pem")
  params.tls_verify = 2
  return 0
end`)
  const client = await connect(gate, pki.clients.untrusted)
  const context = await client.context()
  assert.equal(context.get('connection.tls_client_verified'), 'yes')
  assert.equal(context.get('connection.tls_verify_mode_from'), 'policy')
  client.destroy()
  const stranger = await connect(gate, pki.clients.valid)
  assert.equal((await stranger.context()).get('connection.tls_client_verified'), undefined)
  stranger.destroy()
  await gate.stop()
})

test('recipients, bodies and sessions: changed for all before the expansion, for one after it', async () => {
  const gate = await start(`
function mod:validate_connect(ac, vctx)
  ac:esmtp_capability_remove("8BITMIME")
  print("sessions", ac:inbound_session_count(), ac:inbound_session_count("/8"))
  return core.VALIDATE_CONT
end
function mod:validate_data(msg, ac, vctx)
  vctx:add_recipient("archive@gate.example")
  vctx:remove_recipient("gone@gate.example")
  msg:body_replace("secret", "******")
  return core.VALIDATE_CONT
end
function mod:validate_data_spool_each_rcpt(msg, ac, vctx)
  if msg:rcptto() == "archive@gate.example" then msg:body(msg:body() .. "-- archived") end
  return core.VALIDATE_CONT
end`)
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  assert.ok(!(await client.ehlo()).includes('8BITMIME'))
  for (const line of [
    'MAIL FROM:<a@b.example>',
    'RCPT TO:<one@gate.example>',
    'RCPT TO:<gone@gate.example>',
    'DATA',
  ])
    assert.match(await client.command(line), /^[23]/)
  // larger than what stays in memory: the body comes from its file
  const filler = `${'x'.repeat(70)}\r\n`.repeat(6000)
  assert.match(await client.command(`Subject: x\r\n\r\nthe secret word\r\n${filler}.`), /^250/)
  client.destroy()
  const bodies = new Map<string, string>()
  for (let left = 2; left > 0; left -= 1) {
    const { envelope } = await gate.event('reception', (event) => !bodies.has(event.envelope.recipient.local))
    await gate.event('delivery', (event) => event.envelope.id === envelope.id)
    bodies.set(envelope.recipient.local, onlyMail(gate, envelope.recipient.local))
  }
  assert.deepEqual([...bodies.keys()].toSorted(), ['archive', 'one'])
  for (const text of bodies.values()) assert.match(text, /\nthe \*{6} word\r?\n/)
  assert.match(bodies.get('archive') ?? '', /\n-- archived\r?\n$/)
  assert.doesNotMatch(bodies.get('one') ?? '', /archived/)
  assert.ok(gate.events.some((event) => event.kind === 'panic' && event.text === 'sessions 1 1'))
  await gate.stop()
})

test('deinit is called after a reload, once the sessions under the old scripts have ended, and at the end', async () => {
  const gate = await start(`
function mod:validate_ehlo(str, ac, vctx) return core.VALIDATE_CONT end
function mod:validate_dealloc() print("dealloc") end
function mod:deinit() print("deinit one") return true end`)
  const client = await connect(gate)
  await gate.server.reload()
  assert.ok(!gate.events.some((event) => event.kind === 'panic' && event.text.startsWith('deinit')))
  client.destroy()
  await gate.event('panic', ({ text }) => text === 'dealloc')
  await gate.event('panic', ({ text }) => text === 'deinit one')
  await gate.stop()
  const calls = gate.events.filter((event) => event.kind === 'panic' && event.text === 'deinit one')
  assert.equal(calls.length, 2)
})
