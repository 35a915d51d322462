/** The example policies, on a running gate, as their first lines promise. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { type ClientKind, makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const examples = path.join(import.meta.dirname, '..', '..', 'examples')
const password = Buffer.from('\0ann\0secret').toString('base64')

let pki: Pki

before(async () => {
  pki = await makePki()
})

async function startWith(name: string, file: string): Promise<TestGate> {
  return startTestGate({
    pki,
    files: { 'policy.lua': readFileSync(path.join(examples, file), 'utf8'), users: 'ann:secret\n' },
    conf: `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" "XDUMPCONTEXT" )
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  Allow_Plaintext_Auth = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "${name}" { source = "./policy.lua" } }
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

const send = (client: SmtpClient): Promise<string> =>
  client.deliver('a@b.example', 'box@gate.example', 'Subject: x\n\nx')

describe('authenticated-tls-only.lua', () => {
  let gate: TestGate
  before(async () => {
    gate = await startWith('authenticated_tls_only', 'authenticated-tls-only.lua')
  })
  after(() => gate.stop())

  test('nobody sends in clear', async () => {
    const client = await connect(gate)
    assert.match(await send(client), /^5\d\d /)
    client.destroy()
  })
  test('nobody authenticates in clear, with the right password either, even where the configuration allows it', async () => {
    const client = await connect(gate)
    assert.match(await client.command(`AUTH PLAIN ${password}`), /^421 4\.7\.0 authentication needs TLS/)
    assert.equal((await client.closed()).code, 'CLOSED')
    client.destroy()
  })
  test('TLS without authentication does not send', async () => {
    const client = await connect(gate, {})
    assert.match(await send(client), /^5\d\d /)
    client.destroy()
  })
  test('authentication inside TLS sends', async () => {
    const client = await connect(gate, {})
    assert.match(await client.command(`AUTH PLAIN ${password}`), /^235 /)
    assert.match(await send(client), /^250 /)
    client.destroy()
  })
  test('a wrong password inside TLS does not', async () => {
    const client = await connect(gate, {})
    assert.match(
      await client.command(`AUTH PLAIN ${Buffer.from('\0ann\0wrong').toString('base64')}`),
      /^535 /,
    )
    assert.match(await send(client), /^5\d\d /)
    client.destroy()
  })
})

describe('trusted-certificate-or-nothing.lua', () => {
  let gate: TestGate
  before(async () => {
    gate = await startWith('trusted_certificate_or_nothing', 'trusted-certificate-or-nothing.lua')
  })
  after(() => gate.stop())

  const tried: readonly (ClientKind | 'clear' | 'none')[] = [
    'clear',
    'none',
    'untrusted',
    'selfsigned',
    'expired',
    'not-yet-valid',
    'wrong-usage',
    'revoked',
  ]
  for (const kind of tried) {
    test(`${kind}: nothing`, async () => {
      const tls =
        kind === 'clear'
          ? undefined
          : kind === 'none'
            ? {}
            : { cert: pki.clients[kind].cert, key: pki.clients[kind].key }
      const client = await connect(gate, tls)
      assert.match(await send(client), /^[45]\d\d /)
      client.destroy()
    })
  }
  test('a certificate that verifies sends, fresh and resumed', async () => {
    const credential = { cert: pki.clients.valid.cert, key: pki.clients.valid.key }
    const client = await connect(gate, credential)
    assert.match(await send(client), /^250 /)
    const session = client.session
    client.destroy()
    const resumed = await connect(gate, { ...credential, ...(session && { session }) })
    assert.equal(resumed.tls.isSessionReused(), true)
    assert.match(await send(resumed), /^250 /)
    resumed.destroy()
  })
})

describe('partners.conf', () => {
  let gate: TestGate
  before(async () => {
    const text = readFileSync(path.join(examples, 'partners.conf'), 'utf8')
    const conf = text.replace(/^(?:Hostname|Spoolbase) .*\n/gm, '').replace('127.0.0.1:2525', '127.0.0.1:0')
    gate = await startTestGate({ pki, conf })
  })
  after(() => gate.stop())

  const MAIL = 'MAIL FROM:<x@mail.acme.example>'
  test('the partner sends from its domains alone, and relays', async () => {
    const client = await connect(gate, pki.clients.valid)
    assert.match(await client.command(MAIL), /^250 /)
    assert.match(await client.command('RCPT TO:<b@elsewhere.example>'), /^250 /)
    await client.command('RSET')
    assert.match(await client.command('MAIL FROM:<x@other.example>'), /^550 5\.7\.1 /)
    client.destroy()
  })
  for (const kind of ['clear', 'none', 'untrusted', 'expired', 'revoked'] as const) {
    test(`${kind}: not from the partner’s domain, and no relaying`, async () => {
      const tls = kind === 'clear' ? undefined : kind === 'none' ? {} : pki.clients[kind]
      const client = await connect(gate, tls && { ...tls })
      assert.match(await client.command(MAIL), /^550 5\.7\.1 /)
      assert.match(await client.command('MAIL FROM:<x@other.example>'), /^250 /)
      assert.match(await client.command('RCPT TO:<b@elsewhere.example>'), /^5/)
      client.destroy()
    })
  }
})
