/**
 * Certificates that are made to cost much (CVE-2022-3602, CVE-2023-0464, CVE-2025-61729 and their kin): ten thousand
 * alternative names, a hundred CAs in a row, keys of 16,384 bits, names that fit everywhere. Each of them is judged or
 * refused for what a handful of ordinary handshakes takes, and the next client is served.
 */

import assert from 'node:assert/strict'
import { createPublicKey, randomBytes, X509Certificate } from 'node:crypto'
import { after, afterEach, before, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { type AltName, Authority, type Credential } from '../../src/tls/authority.ts'
import { walkChain } from '../../src/tls/chain-walk.ts'
import { bitString, element, explicit, integer, oid, sequence, TAG, time } from '../../src/tls/der-writer.ts'
import { toPem } from '../../src/tls/pem.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic, assertServes } from './attack-gate.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.8.1:0" { Use_SSL = true }
  Listen "127.0.8.2:0" { Use_SSL = true TLS_Client_CRL = "pki/crl.pem" TLS_Client_CRL_Mode = "soft" TLS_Client_EKU = "any" }
  Listen "127.0.8.3:0" { }
}
${MAILDIR}
`
/** the scope that looks at a chain most often comes second */
const [TICKETS, NO_TICKETS] = [0, 1]
const SCOPES = [TICKETS, NO_TICKETS]
const CLEAR = 2
/** seconds of processor time for one handshake, client's side and ours; an ordinary one takes milliseconds */
const MOST = 5

let pki: Pki
let gate: TestGate
before(async () => {
  pki = await testPki()
  gate = await startTestGate({ conf, pki })
})
afterEach(() => assertNoPanic(gate))
after(async () => {
  await assertServes(gate.address(CLEAR))
  await gate.stop()
})

interface Case {
  readonly shown: ConnectionOptions
  /** a certificate with more than we read is malformed, a chain beyond OpenSSL's hundred leads nowhere */
  readonly verdict: RegExp
}

const cases: readonly (readonly [what: string, make: () => Case])[] = [
  [
    'ten thousand alternative names',
    () => ({ shown: manyNames(), verdict: /^malformed$|^refused: the client certificate is too large/ }),
  ],
  [
    'a hundred CAs in a row up to ours',
    () => ({ shown: longChain(pki.authority), verdict: /^(?:verified|untrusted|crl-missing|too-deep)$/ }),
  ],
  [
    'a hundred CAs in a row up to a stranger',
    () => ({
      shown: longChain(Authority.root({ subject: 'stranger' })),
      verdict: /^(?:untrusted|too-deep)$/,
    }),
  ],
  [
    'twenty RSA keys of 16,384 bits, all of the issuer’s name',
    () => ({ shown: rsaCrowd(20, 2048), verdict: /^(?:untrusted|bad-signature)$/ }),
  ],
  [
    'a hundred certificates that could all be each other’s issuer',
    () => ({ shown: namesakes(), verdict: /^(?:untrusted|too-deep)$/ }),
  ],
]

for (const [what, make] of cases) {
  test(`${what}: judged, in bounded time`, async () => {
    const { shown, verdict } = make()
    for (const scope of SCOPES) {
      const before = process.cpuUsage()
      const outcome = await visit(scope, shown)
      const { user, system } = process.cpuUsage(before)
      assert.match(outcome, verdict)
      assert.ok((user + system) / 1e6 < MOST, `${(user + system) / 1e6} seconds`)
    }
  })
}

test('a certificate that no ticket can hold is refused in words, by either version of TLS, and served where there are none', async () => {
  const shown = manyNames()
  const text = 'the client certificate is too large for a session ticket'
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const known = gate.events.length
    const outcome = await visit(TICKETS, { ...shown, minVersion: version, maxVersion: version })
    assert.equal(outcome, `refused: ${text}`, version)
    const { connectionId, ...rejection } = await gate.event(
      'rejection',
      (event) => gate.events.indexOf(event) >= known,
    )
    assert.equal(rejection.text, text)
    const decision = await gate.event('decision', (event) => event.connectionId === connectionId)
    assert.equal(decision.outcome, 'failed')
  }
  assert.equal(await visit(NO_TICKETS, shown), 'malformed')
})

/** `verified`, the cause, or why there was no session. */
async function visit(scope: number, shown: ConnectionOptions): Promise<string> {
  const known = gate.events.length
  try {
    const client = await SmtpClient.connectTls(gate.address(scope), shown)
    await client.reply()
    const context = await client.context()
    client.destroy()
    const verified = context.get('connection.tls_client_verified') === 'yes'
    return verified ? 'verified' : (context.get('connection.tls_client_verify_error') ?? 'nobody')
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error
    const { cause } = await gate.event('tls', (event) => gate.events.indexOf(event) >= known)
    return `refused: ${cause}`
  }
}

test('a walk of the chain checks so many signatures and no more, whatever was sent', (t) => {
  const [leaf, ...sent] = pemBlocks(rsaCrowd(100, 128)).map((pem) => new X509Certificate(pem))
  assert.ok(leaf)
  const verify = t.mock.method(X509Certificate.prototype, 'verify')
  const found = walkChain({ leaf, sent, resumed: false, cas: undefined, lists: undefined, now: Date.now() })
  assert.equal(found.reachesCa, false)
  assert.ok(found.path.length <= 11, `a path of ${found.path.length}`)
  const checked = verify.mock.callCount()
  // forty, and of each certificate whether it signed itself
  assert.ok(checked > 20 && checked <= 51, `${checked} signatures`)
})

function shownWith({ cert, key }: Credential, more: readonly string[]): ConnectionOptions {
  return { cert: [cert, ...more].join(''), key }
}

function pemBlocks({ cert }: ConnectionOptions): string[] {
  return String(cert).match(/-----BEGIN[^]*?-----END CERTIFICATE-----\n/g) ?? []
}

function manyNames(): ConnectionOptions {
  const altNames = Array.from({ length: 10_000 }, (_, n): AltName => ({ kind: 'dns', value: `n${n}` }))
  return shownWith(pki.authority.issue({ subject: 'many', altNames }), [])
}

function longChain(root: Authority): ConnectionOptions {
  let last = root
  const chain: string[] = []
  for (let n = 0; n < 100; n += 1) {
    last = last.intermediate({ subject: `CA ${n}` })
    chain.unshift(last.cert)
  }
  return shownWith(last.issue({ subject: 'deep' }), chain)
}

/** Certificates of one name, each other's issuers by name and by no signature. */
function namesakes(): ConnectionOptions {
  const one = Authority.root({ subject: 'namesake' })
  const others = Array.from({ length: 100 }, () =>
    Authority.root({ subject: 'namesake' }).intermediate({ subject: 'namesake' }),
  )
  const crowd = others.map(({ cert }) => cert)
  return shownWith(one.issue({ subject: 'namesake' }), crowd)
}

/** A leaf whose signature, by RSA, each of the others might have made, and theirs as well. */
function rsaCrowd(count: number, octets: number): ConnectionOptions {
  const own = Authority.root({ subject: 'own' }).issue({ subject: 'leaf' })
  const publicKey = createPublicKey(own.key).export({ type: 'spki', format: 'der' })
  const crowd = Array.from({ length: count }, () => {
    const modulus = randomBytes(octets)
    modulus[0] = 0xff
    modulus[octets - 1] = 0xff
    const key = { kty: 'RSA', n: modulus.toString('base64url'), e: 'AQAB' }
    return forged(
      'Crowd',
      createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'der' }),
      octets,
    )
  })
  return shownWith({ ...own, cert: forged('leaf', publicKey, octets) }, crowd)
}

function commonName(text: string): Buffer {
  return sequence(element(TAG.set, sequence(oid('2.5.4.3'), element(TAG.utf8String, Buffer.from(text)))))
}

/** A certificate in the name of a CA that never saw it, with as many octets of signature as its key makes. */
function forged(subject: string, spki: Buffer, octets: number): string {
  const algorithm = sequence(oid('1.2.840.113549.1.1.11'), element(TAG.null))
  const now = Date.now()
  const body = sequence(
    explicit(0, integer(2n)),
    integer(BigInt(`0x${randomBytes(8).toString('hex')}`)),
    algorithm,
    commonName('Crowd'),
    sequence(time(now - 3_600_000), time(now + 3_600_000)),
    commonName(subject),
    spki,
  )
  return toPem(
    'CERTIFICATE',
    sequence(body, algorithm, bitString(Buffer.concat([Buffer.of(1), randomBytes(octets - 1)]))),
  )
}
