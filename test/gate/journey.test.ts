/** Messages on their way through: who may relay, who may authenticate, and mail that goes on to a next hop. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

let pki: Pki
/** where mail for other domains goes */
let nextHop: TestGate
let gate: TestGate

before(async () => {
  pki = await makePki()
  nextHop = await startTestGate({
    conf: `ESMTP_Listener { Listen "127.0.0.1:0" { } }
      maildir "m" { basedir = "mail" domains = ( "elsewhere.example" ) create_users = true }`,
  })
  gate = await startTestGate({
    pki,
    files: { users: 'ann:secret\n# bob:old\nbob:pass word\r\n' },
    conf: `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" "AUTH LOGIN" "ENHANCEDSTATUSCODES" )
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  AuthLoginParameters = [ uri = "file://FOLDER/users" ]
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Listen "127.0.0.1:0" {
    Peer "127.0.60.0/24" { TLS_Verified_Peer_Can_Relay = true }
    Peer "127.0.61.0/24" { Relay_Hosts = ( 127.0.61.7 ) }
    Peer "127.0.62.0/24" { Require_TLS = true }
  }
}
${MAILDIR}
ec_logger "l" { mainlog = "main.ec" rejectlog = "reject.ec" }
Domain "elsewhere.example" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${nextHop.address().port} Retry_Interval = 1 }
`,
  })
})
after(async () => {
  await gate.stop()
  await nextHop.stop()
})

async function connect(from = '127.0.0.1', tls?: ConnectionOptions): Promise<SmtpClient> {
  const client = await SmtpClient.connect({ ...gate.address(), from })
  await client.reply()
  await client.ehlo()
  if (tls !== undefined) {
    await client.command('STARTTLS')
    await client.secure(tls)
    await client.ehlo()
  }
  return client
}

const credential = (kind: 'valid' | 'expired' | 'revoked' | 'untrusted'): ConnectionOptions => ({
  cert: pki.clients[kind].cert,
  key: pki.clients[kind].key,
})

const plain = (user: string, password: string): string =>
  Buffer.from(`\0${user}\0${password}`).toString('base64')

async function tryRelay(client: SmtpClient, to: string): Promise<string> {
  await client.command('MAIL FROM:<a@b.example>')
  const reply = await client.command(`RCPT TO:<${to}>`)
  client.destroy()
  return reply
}

describe('who may relay', () => {
  test('nobody by default', async () => {
    assert.match(await tryRelay(await connect(), 'x@elsewhere.example'), /^550 5\.7\.1 relaying denied/)
  })
  test('a verified certificate, where the scope says so', async () => {
    assert.match(
      await tryRelay(await connect('127.0.60.1', credential('valid')), 'x@elsewhere.example'),
      /^250/,
    )
  })
  test('a verified certificate grants nothing elsewhere', async () => {
    assert.match(
      await tryRelay(await connect('127.0.0.1', credential('valid')), 'x@elsewhere.example'),
      /^550 5\.7\.1/,
    )
  })
  for (const kind of ['expired', 'revoked', 'untrusted'] as const) {
    test(`a certificate that is ${kind} does not`, async () => {
      assert.match(
        await tryRelay(await connect('127.0.60.1', credential(kind)), 'x@elsewhere.example'),
        /^550 5\.7\.1/,
      )
    })
  }
  test('no certificate does not', async () => {
    assert.match(await tryRelay(await connect('127.0.60.1', {}), 'x@elsewhere.example'), /^550 5\.7\.1/)
  })
  test('Relay_Hosts', async () => {
    assert.match(await tryRelay(await connect('127.0.61.7'), 'x@elsewhere.example'), /^250/)
    assert.match(await tryRelay(await connect('127.0.61.8'), 'x@elsewhere.example'), /^550 5\.7\.1/)
  })
})

test('Require_TLS refuses MAIL in clear, and takes it in TLS', async () => {
  const clear = await connect('127.0.62.1')
  assert.equal(
    await clear.command('MAIL FROM:<a@b.example>'),
    '530 5.7.0 Must issue a STARTTLS command first',
  )
  clear.destroy()
  const secure = await connect('127.0.62.1', {})
  assert.match(await secure.command('MAIL FROM:<a@b.example>'), /^250/)
  secure.destroy()
})

describe('authentication', () => {
  test('is neither offered nor taken in clear', async () => {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    assert.ok(!(await client.ehlo()).some((line) => line.startsWith('AUTH')))
    assert.match(await client.command(`AUTH PLAIN ${plain('ann', 'secret')}`), /^538 5\.7\.11/)
    client.destroy()
  })
  test('PLAIN with an initial response lets a user relay; the password is nowhere', async () => {
    const client = await connect('127.0.0.1', {})
    assert.match(await client.command(`AUTH PLAIN ${plain('ann', 'secret')}`), /^235 2\.7\.0/)
    const context = await client.context()
    assert.equal(context.get('connection.auth_user'), 'ann')
    assert.equal(context.get('connection.auth_name'), 'PLAIN')
    assert.equal(context.get('connection.auth_status'), 'pass')
    assert.equal(context.get('connection.can_relay'), 'true')
    assert.ok(![...context.values()].some((value) => value.includes('secret')))
    assert.match(await tryRelay(client, 'x@elsewhere.example'), /^250/)
  })
  test('LOGIN with prompts', async () => {
    const client = await connect('127.0.0.1', {})
    assert.equal(await client.command('AUTH LOGIN'), '334 VXNlcm5hbWU6')
    assert.equal(await client.command(Buffer.from('bob').toString('base64')), '334 UGFzc3dvcmQ6')
    assert.match(await client.command(Buffer.from('pass word').toString('base64')), /^235 2\.7\.0/)
    client.destroy()
  })
  test('a wrong password grants nothing and is in no log', async () => {
    const client = await connect('127.0.0.1', {})
    assert.match(await client.command(`AUTH PLAIN ${plain('ann', 'wrong-secret')}`), /^535 5\.7\.8/)
    assert.match(await tryRelay(client, 'x@elsewhere.example'), /^550 5\.7\.1/)
    const told = JSON.stringify(gate.events)
    assert.ok(!told.includes('wrong-secret') && !told.includes(plain('ann', 'wrong-secret')))
  })
})

test('a message for elsewhere arrives at the next hop, whole, and mainlog tells it', async () => {
  const client = await connect('127.0.60.1', credential('valid'))
  const text = 'Subject: onward\n\nfirst\n..dots\nlast'
  assert.match(await client.deliver('a@b.example', 'carol@elsewhere.example', text), /^250 2\.0\.0/)
  client.destroy()
  const delivered = await gate.event('delivery', (event) => event.domain === 'elsewhere.example')
  await nextHop.event('delivery')
  const folder = path.join(nextHop.folder, 'mail', 'carol', 'new')
  const mail = readFileSync(path.join(folder, readdirSync(folder)[0] ?? ''), 'latin1')
  assert.match(mail, /^Return-Path: <a@b\.example>\nReceived: /)
  assert.equal(mail.match(/^Received: /gm)?.length, 2)
  assert.match(mail, /with ESMTPS/)
  assert.match(mail, /client-valid\.example/)
  assert.match(mail, /\nSubject: onward\n\nfirst\n\.dots\nlast\n$/)
  const log = await logOf('main.ec', '@D@elsewhere')
  assert.match(
    log,
    new RegExp(`@R@carol@elsewhere\\.example@a@b\\.example@127\\.0\\.60\\.1@\\d+@esmtp@default@default\n`),
  )
  assert.match(
    log,
    new RegExp(`^\\d+@${delivered.envelope.id}@.*@D@elsewhere\\.example@\\d+@default@default@0@`, 'm'),
  )
})

/** A log's text once it holds something; lines are written in the background. */
async function logOf(name: string, expected: string): Promise<string> {
  for (let waited = 0; waited < 5000; waited += 20) {
    const text = existsSync(path.join(gate.folder, name))
      ? readFileSync(path.join(gate.folder, name), 'latin1')
      : ''
    if (text.includes(expected)) return text
    await delay(20)
  }
  throw new Error(`${name} does not say ${expected}`)
}
