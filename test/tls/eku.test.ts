/** TLS_Client_EKU: certificates for servers, and what must not come in with them. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { Authority, selfSigned } from '../../src/tls/authority.ts'
import { tlsContextEntries } from '../../src/tls/context-keys.ts'
import { toPem } from '../../src/tls/pem.ts'
import { sameTrust } from '../../src/tls/trust.ts'
import { intermediateAuthority, issueClient, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, type Gate, load, openGate, scopeOf, type TlsOptions, visit } from './gate-harness.ts'

const DAY = 86_400_000
const PAST = { notBefore: Date.now() - 9 * DAY, notAfter: Date.now() - DAY }
const FUTURE = { notBefore: Date.now() + DAY, notAfter: Date.now() + 9 * DAY }

type Eku = 'clientAuth' | 'any' | 'report'
interface Client {
  readonly cert: string
  readonly key: string
}

let directory: PkiDirectory
let gate: Gate

before(async () => {
  directory = await pkiDirectory()
  const scope = scopeWith('clientAuth')
  gate = await openGate(await load([scope]), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function scopeWith(eku: Eku, more: TlsOptions = {}) {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    tls_client_eku: eku,
    ...more,
  })
}

/** `verified`, or the cause; and whether it is told to be for servers alone. */
async function verdict(eku: Eku, credential: Client | undefined, more: TlsOptions = {}): Promise<string> {
  const scope = scopeWith(eku, more)
  gate.use(await load([scope]), scope)
  await visit(gate.port, { credential })
  const facts = await factsOf(gate)
  const { peer } = facts
  const only = tlsContextEntries(facts, 'rfc4514').get('tls_client_cert_server_only') === 'yes'
  return `${peer.kind === 'unverified' ? peer.cause : peer.kind}${only ? ', server only' : ''}`
}

suite('a certificate for servers alone', () => {
  test('is of the wrong usage, verifies with any, and is told with report', async () => {
    const server = await issueClient({ usage: 'server' })
    assert.equal(await verdict('clientAuth', server), 'wrong-usage')
    assert.equal(await verdict('any', server), 'verified, server only')
    assert.equal(await verdict('report', server), 'wrong-usage, server only')
  })

  test('the same through an intermediate, with revocation lists', async () => {
    const middle = await intermediateAuthority({ usage: 'server' })
    const leaf = middle.issue({ subject: 'leaf', usage: 'server' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    const lists = await directory.write('lists.pem', directory.pki.crl + middle.crl())
    assert.equal(await verdict('any', chain, { tls_client_crl: file(lists) }), 'verified, server only')
    assert.equal(await verdict('any', { ...chain, cert: leaf.cert }), 'untrusted')
  })

  test('a certificate for clients verifies as ever, and nobody is anybody without one', async () => {
    const { valid } = directory.pki.clients
    for (const eku of ['clientAuth', 'any', 'report'] as const) {
      assert.equal(await verdict(eku, valid), 'verified')
      assert.equal(await verdict(eku, undefined), 'anonymous')
    }
  })
})

/** What must not verify under any mode, with its cause. */
async function hostileClients(): Promise<Map<string, [Client, string]>> {
  const { pki } = directory
  const attackers = under(Authority.root({ subject: 'Attacker' }))
  const altered = await issueClient({ usage: 'server' })
  const der = Buffer.from(altered.der)
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1
  return new Map<string, [Client, string]>([
    ["the attacker's own root", [attackers, 'untrusted']],
    [
      "the attacker's root under our name",
      [under(Authority.root({ subject: 'Postern test CA' })), 'untrusted'],
    ],
    [
      "the attacker's root and ours behind it",
      [{ ...attackers, cert: attackers.cert + pki.authority.cert }, 'untrusted'],
    ],
    ['one that signs itself', [selfSigned({ subject: 'self', usage: 'server' }), 'untrusted']],
    ['an expired one', [await issueClient({ usage: 'server', ...PAST }), 'expired']],
    ['one that is not valid yet', [await issueClient({ usage: 'server', ...FUTURE }), 'not-yet-valid']],
    ['a revoked one', [pki.clients.revoked, 'revoked']],
    ['an altered one', [{ key: altered.key, cert: toPem('CERTIFICATE', der) }, 'bad-signature']],
  ])
}

function under(authority: Authority): Client {
  const leaf = authority.issue({ subject: 'leaf', usage: 'server' })
  return { key: leaf.key, cert: leaf.cert + authority.cert }
}

suite('nothing else comes in with it', () => {
  for (const eku of ['any', 'report'] as const) {
    test(`${eku}: the attacker's own root and every other fault`, async () => {
      const lists = { tls_client_crl: file(directory.file('crl.pem')) }
      for (const [name, [client, cause]] of await hostileClients()) {
        assert.equal(await verdict(eku, client, lists), cause, name)
        // without lists the last of OpenSSL's errors is another one, and may be the wrong usage alone
        if (cause !== 'revoked') assert.equal(await verdict(eku, client), cause, `${name}, without lists`)
      }
    })

    test(`${eku}: a revoked certificate for servers, and one under a list that is out of date`, async () => {
      const server = await issueClient({ usage: 'server' })
      const { authority } = directory.pki
      const revoking = await directory.write('revoking.pem', authority.crl({ revoked: [server.serial] }))
      assert.equal(await verdict(eku, server, { tls_client_crl: file(revoking) }), 'revoked')
      const dates = { thisUpdate: Date.now() - 2 * DAY, nextUpdate: Date.now() - DAY }
      const stale = await directory.write('stale.pem', authority.crl(dates))
      assert.match(await verdict(eku, server, { tls_client_crl: file(stale) }), /^(wrong-usage|crl-expired)$/)
    })

    test(`${eku}: without a CA nobody verifies`, async () => {
      const server = await issueClient({ usage: 'server' })
      assert.equal(await verdict(eku, server, { tls_client_ca: undefined }), 'untrusted')
    })
  }

  test('the depth counts for a second verification as well', async () => {
    const middle = await intermediateAuthority({})
    const leaf = middle.issue({ subject: 'leaf', usage: 'server' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    assert.equal(await verdict('any', chain, { tls_verify_depth: 1 }), 'verified, server only')
    assert.equal(await verdict('any', chain, { tls_verify_depth: 0 }), 'too-deep, server only')
  })
})

suite('tickets', () => {
  test('a scope with a relaxation gives none and takes none, and does not judge like one without', async () => {
    const server = await issueClient({ usage: 'server' })
    for (const eku of ['any', 'report'] as const) {
      const scope = scopeWith(eku)
      gate.use(await load([scope]), scope)
      const first = await visit(gate.port, { credential: server })
      const again = await visit(gate.port, { credential: server, session: first.session })
      assert.equal(again.reused, false)
      const kinds = [await factsOf(gate), await factsOf(gate)].map(({ peer }) => peer.kind)
      assert.deepEqual(kinds, eku === 'any' ? ['verified', 'verified'] : ['unverified', 'unverified'])
      assert.equal(sameTrust(scope.options, scopeWith('clientAuth').options), false)
    }
  })

  test('a ticket from before the relaxation ended is a full handshake', async () => {
    const server = await issueClient({ usage: 'server' })
    const relaxed = scopeWith('any')
    gate.use(await load([relaxed]), relaxed)
    const { session } = await visit(gate.port, { credential: server })
    assert.equal((await factsOf(gate)).peer.kind, 'verified')
    const strict = scopeWith('clientAuth')
    gate.use(await load([strict]), strict)
    const { reused } = await visit(gate.port, { credential: server, session })
    assert.deepEqual([reused, (await factsOf(gate)).peer.kind], [false, 'unverified'])
  })
})
