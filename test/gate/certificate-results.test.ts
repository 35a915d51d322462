/** What a message says of the certificate that it came with: one statement of ours, and nothing that anybody else wrote. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { Credential } from '../../src/tls/authority.ts'
import { readCertificate } from '../../src/tls/certificate.ts'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { hostileNames } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const SAYING = 0
const SILENT = 1

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({
    pki,
    files: { users: 'ann:secret\n' },
    conf: `
Partner "acme" { SAN_DNS = "client-valid.example" }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" )
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.0.1:0" { TLS_Authentication_Results = true }
  Listen "127.0.0.2:0" { }
}
${MAILDIR}`,
  })
})
after(() => gate.stop())

let box = 0

/** The header of a message that came over such a session, unfolded. */
async function headerOf(
  listen: number,
  credential: Credential | 'clear' | undefined,
  { fields = '', login = false } = {},
): Promise<string> {
  const client = await SmtpClient.connect(gate.address(listen))
  await client.reply()
  await client.ehlo()
  if (credential !== 'clear') {
    await client.command('STARTTLS')
    await client.secure(credential === undefined ? {} : { cert: credential.cert, key: credential.key })
    await client.ehlo()
  }
  if (login) {
    assert.match(
      await client.command(`AUTH PLAIN ${Buffer.from('\0ann\0secret').toString('base64')}`),
      /^235 /,
    )
  }
  box += 1
  const name = `box${box}`
  assert.match(
    await client.deliver('a@b.example', `${name}@gate.example`, `${fields}Subject: x\n\nx`),
    /^250 /,
  )
  client.destroy()
  await gate.event('delivery', ({ envelope }) => envelope.recipient.local === name)
  const folder = path.join(gate.folder, 'mail', name, 'new')
  const [file = ''] = readdirSync(folder)
  return readFileSync(path.join(folder, file), 'latin1').split('\n\n', 1)[0]?.replace(/\n\t/g, ' ') ?? ''
}

const results = (header: string): string[] =>
  header.split('\n').filter((line) => /^authentication-results/i.test(line))
const digest = ({ der }: Credential): string => `smtp.cert-sha256=${readCertificate(der).fingerprint}`
const OURS = 'Authentication-Results: gate.example; '

describe('where TLS_Authentication_Results is on', () => {
  test('a verified certificate of a partner passes, and Received names the partner as well', async () => {
    const header = await headerOf(SAYING, pki.clients.valid)
    assert.deepEqual(results(header), [
      `${OURS}x-tls-client-cert=pass ${digest(pki.clients.valid)} policy.partner=acme`,
    ])
    assert.match(
      header,
      /client certificate 'client-valid\.example' from 'Postern test CA' verified, partner acme\)/,
    )
  })
  test('one that nobody knows passes, one that does not verify fails with its cause', async () => {
    const unknown = pki.authority.issue({ subject: 'unknown.example' })
    assert.deepEqual(results(await headerOf(SAYING, unknown)), [
      `${OURS}x-tls-client-cert=pass ${digest(unknown)}`,
    ])
    for (const kind of ['untrusted', 'expired'] as const) {
      assert.deepEqual(results(await headerOf(SAYING, pki.clients[kind])), [
        `${OURS}x-tls-client-cert=fail reason=${kind} ${digest(pki.clients[kind])}`,
      ])
    }
  })
  test('TLS without a certificate has none, clear text has no statement', async () => {
    assert.deepEqual(results(await headerOf(SAYING, undefined)), [`${OURS}x-tls-client-cert=none`])
    assert.deepEqual(results(await headerOf(SAYING, 'clear')), [])
  })
  test('a login stands in the same field', async () => {
    assert.deepEqual(results(await headerOf(SAYING, undefined, { login: true })), [
      `${OURS}auth=pass (PLAIN) smtp.auth=xxxx; x-tls-client-cert=none`,
    ])
  })
  test('no octet of a hostile name gets into it', async () => {
    for (const name of ['CR LF', 'quotes', 'NUL'] as const) {
      const attribute = hostileNames.get(name)
      assert.ok(attribute)
      const hostile = pki.otherAuthority.issue({ subject: [attribute] })
      assert.deepEqual(results(await headerOf(SAYING, hostile)), [
        `${OURS}x-tls-client-cert=fail reason=untrusted ${digest(hostile)}`,
      ])
    }
  })
  test('what the client wrote in our name is gone, what it wrote in another’s stays', async () => {
    const fields = [
      'Authentication-Results: gate.example; x-tls-client-cert=pass policy.partner=acme',
      'AUTHENTICATION-RESULTS: (x) Gate.Example 1;\n\tx-tls-client-cert=pass',
      'Authentication-Results: mx.other.example; x-tls-client-cert=pass',
      '',
    ].join('\n')
    for (const listen of [SAYING, SILENT]) {
      const found = results(await headerOf(listen, undefined, { fields }))
      assert.deepEqual(found, [
        ...(listen === SAYING ? [`${OURS}x-tls-client-cert=none`] : []),
        'Authentication-Results: mx.other.example; x-tls-client-cert=pass',
      ])
    }
  })
})

test('by default nothing is said', async () => {
  assert.deepEqual(results(await headerOf(SILENT, pki.clients.valid)), [])
})
