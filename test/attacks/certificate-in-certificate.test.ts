/**
 * A certificate that carries another one as PEM text, in a name or an extension: who was verified is who is believed.
 *
 * Node's `X509Certificate` looks for PEM in whatever it is given, so that bytes of the one read as the other.
 */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { Authority, type CertificateRequest, type Credential } from '../../src/tls/authority.ts'
import { certificateOf } from '../../src/tls/x509.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic } from './attack-gate.ts'

const conf = `
Partner "victim" { SAN_DNS = "victim.example" Relay = true }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH EXTERNAL" )
  AuthExternalParameters = [ identity = "san_dns" ]
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.5.9:0" { Use_SSL = true }
}
${MAILDIR}`

const dns = (value: string) => [{ kind: 'dns' as const, value }]
const VICTIM: CertificateRequest = { subject: 'victim.example', altNames: dns('victim.example') }

let ca: Authority
let victim: Credential
let gate: TestGate
before(async () => {
  const pki = await testPki()
  ca = pki.authority
  victim = ca.issue(VICTIM)
  gate = await startTestGate({ conf, pki })
})
after(async () => {
  assertNoPanic(gate)
  await gate.stop()
})

async function visit(credential: Credential, ...more: readonly string[]): Promise<SmtpClient> {
  const client = await SmtpClient.connectTls(gate.address(), {
    cert: [credential.cert, ...more].join('\n'),
    key: credential.key,
  })
  assert.match(await client.reply(), /^220 /)
  assert.match(await client.command('EHLO client.example'), /^250/)
  return client
}

async function contextOf(credential: Credential, ...more: readonly string[]): Promise<string> {
  const client = await visit(credential, ...more)
  const context = await client.command('XDUMPCONTEXT')
  client.destroy()
  return context
}

async function login(credential: Credential): Promise<string> {
  const client = await visit(credential)
  const reply = await client.command(`AUTH EXTERNAL ${Buffer.from('victim.example').toString('base64')}`)
  client.destroy()
  return reply
}

/** The text of a certificate, where PEM is looked for: on lines of its own. */
const hidden = (pem: string): string => `\n${pem}\n`

describe('a certificate with the text of another one in it', () => {
  const places: readonly (readonly [string, (pem: string) => CertificateRequest])[] = [
    ['a URI', (pem) => ({ subject: 'evil.example', altNames: [{ kind: 'uri', value: `x:${hidden(pem)}` }] })],
    ['its CN', (pem) => ({ subject: `evil.example${hidden(pem)}` })],
    [
      'an attribute that nobody knows',
      (pem) => ({
        subject: [
          { type: '2.5.4.3', value: 'evil.example' },
          { type: '1.2.3.4', value: hidden(pem) },
        ],
      }),
    ],
  ]
  for (const [where, request] of places) {
    test(`in ${where}: it is nobody but itself`, async () => {
      // the victim's real certificate, which anybody may have, and one that an attacker has made for himself
      for (const pem of [victim.cert, Authority.root({ subject: 'none' }).issue(VICTIM).cert]) {
        const seen = await contextOf(ca.issue(request(pem)))
        assert.match(seen, /\[connection\] tls_client_verified yes/)
        assert.match(seen, /\[connection\] tls_client_cert_subject_cn evil\.example/)
        assert.doesNotMatch(seen, /tls_partner|can_relay|tls_client_cert_san_dns/)
      }
    })
  }

  test('in a CA between it and the root: the chain is what was sent', async () => {
    const between = ca.intermediate({ subject: `between${hidden(ca.cert)}` })
    const seen = await contextOf(between.issue({ subject: 'evil.example' }), between.cert)
    assert.match(seen, /\[connection\] tls_client_verified yes/)
    assert.match(seen, /\[connection\] tls_client_cert_issuer CN=between\\0A-----BEGIN CERTIFICATE-----/)
  })

  test('it logs in as nobody; the victim itself does, and is the partner', async () => {
    assert.match(await contextOf(victim), /\[connection\] tls_partner victim/)
    assert.match(await login(victim), /^235 /)
    const evil = ca.issue({
      subject: 'evil.example',
      altNames: [{ kind: 'uri', value: hidden(victim.cert) }],
    })
    assert.match(await login(evil), /^535 /)
  })

  test('what is no single certificate is refused', () => {
    assert.throws(() => certificateOf(Buffer.from(victim.cert)))
    assert.throws(() => certificateOf(Buffer.concat([victim.der, Buffer.of(5, 0)])))
    assert.throws(() => certificateOf(Buffer.alloc(0)))
    assert.deepEqual(certificateOf(victim.der).raw, victim.der)
  })
})

test('no certificate is made of bytes anywhere else', () => {
  const root = path.join(import.meta.dirname, '..', '..', 'src')
  const makers = globSync('**/*.ts', { cwd: root, exclude: ['**/*.test.ts', '**/*.fixture.ts'] }).filter(
    (file) =>
      /new X509Certificate\(|getPeerX509Certificate\(/.test(readFileSync(path.join(root, file), 'utf8')),
  )
  assert.deepEqual(makers, [path.join('tls', 'x509.ts')])
})
