/** A ticket is good only for the trust that issued it; everything else is a full handshake, never an error. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, suite, test } from 'node:test'
import type { SecureVersion } from 'node:tls'
import { TicketSecret } from '../../src/tls/ticket-secret.ts'
import { issueClient, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import {
  factsOf,
  file,
  type Gate,
  type LoadOptions,
  load,
  openGate,
  scopeOf,
  type TlsOptions,
  visit,
} from './gate-harness.ts'

const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3']
const HOUR = 3_600_000
/** ten minutes into the present hour, so that a test may add up to 49 minutes without a change of keys */
const NOW = Math.floor(Date.now() / HOUR) * HOUR + HOUR / 6

let directory: PkiDirectory
let gate: Gate
let ticketSecret: TicketSecret

before(async () => {
  directory = await pkiDirectory()
  ticketSecret = new TicketSecret()
  const scope = scopeOf(options())
  gate = await openGate(await load([scope]), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

beforeEach(() => {
  ticketSecret = new TicketSecret()
})

function options(more: TlsOptions = {}): TlsOptions {
  return {
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    ...more,
  }
}

interface Stage {
  readonly options?: TlsOptions
  readonly id?: string
  readonly load?: LoadOptions
}

/** Opens a stage and visits it with the valid client. */
async function attend(
  stage: Stage,
  version: SecureVersion,
  session?: Buffer,
  client = directory.pki.clients.valid,
) {
  const scope = scopeOf({ ...options(), ...stage.options }, stage.id)
  gate.use(await load([scope], { ticketSecret, clock: () => NOW, ...stage.load }), scope)
  const seen = await visit(gate.port, { version, credential: client, session })
  assert.equal(seen.error, undefined)
  return { ...seen, facts: await factsOf(gate) }
}

/** A ticket of `from`, offered to `to`: was it taken? */
async function resumes(from: Stage, to: Stage, version: SecureVersion): Promise<boolean> {
  const first = await attend(from, version)
  assert.equal(first.facts.resumed, false)
  assert.ok(first.session, 'a ticket was given')
  const second = await attend(to, version, first.session)
  assert.equal(second.reused, second.facts.resumed, 'client and server agree')
  return second.facts.resumed
}

for (const version of VERSIONS) {
  suite(version, () => {
    test('a ticket is taken by another worker and after a reload of the same files', async () => {
      const state = ticketSecret.state(NOW)
      const worker = { ticketSecret: new TicketSecret(state) }
      assert.equal(await resumes({}, { load: worker }, version), true)
    })

    test('a ticket may be used more than once', async () => {
      const { session } = await attend({}, version)
      for (let i = 0; i < 3; i += 1) assert.equal((await attend({}, version, session)).facts.resumed, true)
    })

    test('a ticket of another scope is not taken', async () => {
      assert.equal(await resumes({ id: 'a' }, { id: 'b' }, version), false)
    })

    for (const [from, to] of [
      [undefined, 'none'],
      ['none', undefined],
      ['none', 'require'],
      [undefined, 'require'],
      ['require', 'none'],
    ] as const) {
      test(`a ticket of mode ${from ?? 'unset'} is not taken in mode ${to ?? 'unset'}`, async () => {
        const taken = await resumes(
          { options: { tls_verify_mode: from } },
          { options: { tls_verify_mode: to } },
          version,
        )
        assert.equal(taken, false)
      })
    }

    test('a ticket from before a change of the CA is not taken, and the client no longer verifies', async () => {
      const first = await attend({}, version)
      assert.equal(first.facts.peer.kind, 'verified')
      const other = { tls_client_ca: file(directory.file('other-ca.pem')) }
      const second = await attend({ options: other }, version, first.session)
      assert.deepEqual([second.facts.resumed, second.facts.peer.kind], [false, 'unverified'])
    })

    test('a ticket from before the client was revoked is not taken', async () => {
      const { authority, clients } = directory.pki
      await directory.write('growing.pem', authority.crl())
      const growing = { options: { tls_client_crl: file(directory.file('growing.pem')) } }
      const first = await attend(growing, version)
      assert.equal(first.facts.peer.kind, 'verified')
      await directory.write('growing.pem', authority.crl({ revoked: [clients.valid.serial] }))
      const { facts } = await attend(growing, version, first.session)
      assert.equal(facts.resumed, false)
      assert.ok(facts.peer.kind === 'unverified' && facts.peer.cause === 'revoked')
    })

    test('a ticket from before a CRL or CA went out of date is not taken', async () => {
      const { authority } = directory.pki
      await directory.write('short.pem', authority.crl({ nextUpdate: NOW + 60_000 }))
      const short = { tls_client_crl: file(directory.file('short.pem')) }
      const later = { clock: () => NOW + 120_000 }
      assert.equal(await resumes({ options: short }, { options: short }, version), true)
      assert.equal(await resumes({ options: short }, { options: short, load: later }, version), false)
    })

    test('the keys change with the hour', async () => {
      assert.equal(await resumes({}, { load: { clock: () => NOW + HOUR / 2 } }, version), true)
      assert.equal(await resumes({}, { load: { clock: () => NOW + HOUR } }, version), false)
    })

    test('a certificate that has expired since is judged again', async () => {
      const client = await issueClient({ notBefore: NOW - HOUR, notAfter: Date.now() + HOUR })
      const first = await attend({}, version, undefined, client)
      assert.equal(first.facts.peer.kind, 'verified')
      // in another hour the keys would differ: the same secret state is given another clock
      const frozen = new TicketSecret(ticketSecret.state(NOW))
      frozen.period = () => Math.floor(NOW / HOUR)
      const clock = () => Date.now() + HOUR + 1000
      const second = await attend({ load: { clock, ticketSecret: frozen } }, version, first.session, client)
      assert.equal(second.facts.resumed, true)
      assert.ok(second.facts.peer.kind === 'unverified')
      assert.deepEqual([second.facts.peer.cause, second.facts.peer.code], ['expired', 'CERT_HAS_EXPIRED'])
    })

    test('TLS_Session_Tickets = false stops resumption, also with a ticket in hand', async () => {
      const scope = scopeOf(options({ tls_session_tickets: false }))
      const on = await attend({}, version)
      gate.use(await load([scope], { ticketSecret }), scope)
      const first = await visit(gate.port, { version, session: on.session })
      const again = await visit(gate.port, { version, session: first.session })
      assert.deepEqual([first.reused, again.reused], [false, false])
      assert.deepEqual([(await factsOf(gate)).resumed, (await factsOf(gate)).resumed], [false, false])
    })

    test('a session without a certificate stays anonymous when it is resumed', async () => {
      const scope = scopeOf(options())
      gate.use(await load([scope], { ticketSecret }), scope)
      const fresh = await visit(gate.port, { version })
      assert.equal((await factsOf(gate)).peer.kind, 'anonymous')
      const resumed = await visit(gate.port, { version, session: fresh.session })
      const facts = await factsOf(gate)
      assert.deepEqual([resumed.reused, facts.resumed, facts.peer.kind], [true, true, 'anonymous'])
    })
  })
}
