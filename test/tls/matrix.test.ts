/** Every cell of the table in which TLS_Verify_Mode meets a certificate, fresh and resumed, seen from both ends. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { SecureVersion } from 'node:tls'
import type { VerifyMode } from '../../src/config/settings.ts'
import type { TlsFacts, VerifyCause } from '../../src/tls/peer.ts'
import type { ClientKind } from '../../src/tls/pki.ts'
import { TicketSecret } from '../../src/tls/ticket-secret.ts'
import { type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import { factsOf, failureOf, file, type Gate, load, openGate, scopeOf, visit } from './gate-harness.ts'

const MODES: readonly (VerifyMode | undefined)[] = [undefined, 'none', 'require']
const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3']

const CLIENTS: readonly { kind: ClientKind | 'no certificate'; cause?: VerifyCause }[] = [
  { kind: 'no certificate' },
  { kind: 'valid' },
  { kind: 'untrusted', cause: 'untrusted' },
  { kind: 'selfsigned', cause: 'untrusted' },
  { kind: 'expired', cause: 'expired' },
  { kind: 'not-yet-valid', cause: 'not-yet-valid' },
  { kind: 'wrong-usage', cause: 'wrong-usage' },
  { kind: 'revoked', cause: 'revoked' },
]

const ALERTS: Partial<Record<SecureVersion, string>> = {
  'TLSv1.2': 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
  'TLSv1.3': 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
}

let directory: PkiDirectory
let gate: Gate
const ticketSecret = new TicketSecret()

before(async () => {
  directory = await pkiDirectory()
  const scope = scopeFor(undefined)
  gate = await openGate(await load([scope], { ticketSecret }), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function scopeFor(mode: VerifyMode | undefined) {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    tls_client_crl: file(directory.file('crl.pem')),
    tls_verify_mode: mode,
  })
}

function expectPeer(facts: TlsFacts, mode: VerifyMode | undefined, kind: string, cause?: VerifyCause): void {
  assert.equal(facts.mode, mode ?? 'unset')
  assert.equal(facts.modeFrom, mode === undefined ? 'default' : 'gate.conf:6')
  const { peer } = facts
  if (mode === 'none' || kind === 'no certificate') {
    assert.deepEqual(peer, { kind: 'anonymous' })
    return
  }
  assert.notEqual(peer.kind, 'anonymous')
  assert.ok(peer.kind !== 'anonymous' && peer.certificate.subjectCn === `client-${kind}.example`)
  if (cause === undefined) assert.equal(peer.kind, 'verified')
  else assert.deepEqual([peer.kind, peer.kind === 'unverified' && peer.cause], ['unverified', cause])
}

for (const mode of MODES) {
  suite(`TLS_Verify_Mode ${mode ?? 'unset'}`, () => {
    for (const version of VERSIONS) {
      for (const { kind, cause } of CLIENTS) {
        const credential = () => (kind === 'no certificate' ? undefined : directory.pki.clients[kind])
        if (mode === 'require' && kind === 'no certificate') {
          test(`${version}: a client without a certificate gets the alert, also with a ticket from elsewhere`, async () => {
            const unset = scopeFor(undefined)
            gate.use(await load([unset], { ticketSecret }), unset)
            const { session, error } = await visit(gate.port, { version })
            await factsOf(gate)
            assert.equal(error, undefined)
            assert.ok(session)
            const scope = scopeFor(mode)
            gate.use(await load([scope], { ticketSecret }), scope)
            for (const ticket of [undefined, session]) {
              const refused = await visit(gate.port, { version, session: ticket })
              assert.equal(refused.error, ALERTS[version])
              assert.equal(refused.greeting, '')
              assert.match(await failureOf(gate), /peer did not return a certificate/)
            }
          })
          continue
        }
        test(`${version}: ${kind}, fresh and resumed`, async () => {
          const scope = scopeFor(mode)
          gate.use(await load([scope], { ticketSecret }), scope)
          const fresh = await visit(gate.port, { version, credential: credential() })
          assert.deepEqual([fresh.error, fresh.greeting, fresh.reused], [undefined, 'hello\r\n', false])
          const first = await factsOf(gate)
          assert.deepEqual([first.protocol, first.resumed], [version, false])
          assert.equal(first.sni, 'gate.example')
          expectPeer(first, mode, kind, cause)

          assert.ok(fresh.session)
          const again = await visit(gate.port, { version, credential: credential(), session: fresh.session })
          assert.deepEqual([again.error, again.greeting, again.reused], [undefined, 'hello\r\n', true])
          const second = await factsOf(gate)
          assert.equal(second.resumed, true)
          expectPeer(second, mode, kind, cause)
        })
      }
    }
  })
}
