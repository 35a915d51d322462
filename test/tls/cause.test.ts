/** Why a chain fails, and at which certificate: every way a chain can fail, in real handshakes, fresh and resumed. */

import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { Authority, type AuthorityRequest, type Credential } from '../../src/tls/authority.ts'
import { tlsContextEntries } from '../../src/tls/context-keys.ts'
import { toPem } from '../../src/tls/pem.ts'
import { intermediateAuthority, issueClient, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, type Gate, load, openGate, scopeOf, visit } from './gate-harness.ts'

const DAY = 86_400_000
const PAST = { notBefore: Date.now() - 9 * DAY, notAfter: Date.now() - DAY }

let directory: PkiDirectory
let gate: Gate

before(async () => {
  directory = await pkiDirectory()
  const scope = scopeOf(options())
  gate = await openGate(await load([scope]), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function options() {
  return {
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
  }
}

type Client = Pick<Credential, 'cert' | 'key'>

/** `cause depth subject`, as the context has them. */
async function told(client: Client, lists?: string): Promise<string[]> {
  const crl = lists === undefined ? {} : { tls_client_crl: file(await directory.write('lists.pem', lists)) }
  const scope = scopeOf({ ...options(), ...crl })
  gate.use(await load([scope]), scope)
  const seen = await visit(gate.port, { credential: client })
  const fresh = await entries()
  assert.ok(seen.session)
  await visit(gate.port, { credential: client, session: seen.session })
  const resumed = await entries()
  return [fresh, resumed]
}

async function entries(): Promise<string> {
  const all = tlsContextEntries(await factsOf(gate), 'rfc4514')
  const keys = ['error', 'depth', 'subject'].map((name) => all.get(`tls_client_verify_${name}`) ?? '-')
  return all.get('tls_client_verified') ?? keys.join(' ')
}

function under(...chain: readonly Authority[]): Client {
  const [nearest, ...others] = chain
  assert.ok(nearest)
  const client = nearest.issue({
    subject: 'leaf',
    altNames: [{ kind: 'dns', value: 'client.example' }],
  })
  return { key: client.key, cert: client.cert + [nearest, ...others].map(({ cert }) => cert).join('') }
}

async function middle(request: Partial<AuthorityRequest>): Promise<Authority> {
  return intermediateAuthority({ subject: 'middle', ...request })
}

/** The same certificate with another signature of the right form. */
function forged({ cert }: Pick<Credential, 'cert'>, der: Buffer): string {
  const copy = Buffer.from(der)
  const last = copy.length - 1
  copy[last] = (copy[last] ?? 0) ^ 1
  assert.notEqual(toPem('CERTIFICATE', copy), cert)
  return toPem('CERTIFICATE', copy)
}

suite('the element at fault', () => {
  test('an intermediate that has expired, or is not valid yet', async () => {
    assert.deepEqual(await told(under(await middle(PAST))), ['expired 1 CN=middle', 'expired - -'])
    const later = await middle({ notBefore: Date.now() + DAY })
    assert.deepEqual(await told(under(later)), ['not-yet-valid 1 CN=middle', 'not-yet-valid - -'])
  })

  test('a leaf that has expired is at depth 0, and under a CA of ours a resumed session knows it too', async () => {
    const leaf = await issueClient({ subject: 'leaf', ...PAST })
    assert.deepEqual(await told(leaf), ['expired 0 CN=leaf', 'expired 0 CN=leaf'])
  })

  test('a revoked intermediate, and a leaf that an intermediate revoked', async () => {
    const { authority, crl } = directory.pki
    const revoked = await middle({})
    const lists = authority.crl({ revoked: [revoked.credential.serial] }) + revoked.crl()
    assert.deepEqual(await told(under(revoked), lists), ['revoked 1 CN=middle', 'revoked - -'])
    const good = await middle({})
    const leaf = good.issue({ subject: 'leaf' })
    const chain = { key: leaf.key, cert: leaf.cert + good.cert }
    assert.deepEqual(await told(chain, crl + good.crl({ revoked: [leaf.serial] })), [
      'revoked 0 CN=leaf',
      'revoked - -',
    ])
  })

  test('the CRL of an intermediate, missing or out of date', async () => {
    const { authority, crl } = directory.pki
    const between = await middle({})
    assert.deepEqual(await told(under(between), crl), ['crl-missing 0 CN=leaf', 'untrusted 0 CN=leaf'])
    const old = between.crl({ thisUpdate: Date.now() - 2 * DAY, nextUpdate: Date.now() - DAY })
    assert.deepEqual((await told(under(between), crl + old))[0], 'crl-expired 0 CN=leaf')
    const stale = authority.crl({ thisUpdate: Date.now() - 2 * DAY, nextUpdate: Date.now() - DAY })
    assert.deepEqual((await told(under(between), stale + between.crl()))[0], 'crl-expired 1 CN=middle')
  })

  test('a signature that is wrong, of the leaf and of an intermediate', async () => {
    const leaf = await issueClient({ subject: 'leaf' })
    const altered = { key: leaf.key, cert: forged(leaf, leaf.der) }
    assert.deepEqual(await told(altered), ['bad-signature 0 CN=leaf', 'bad-signature 0 CN=leaf'])
    const between = await middle({})
    const client = between.issue({ subject: 'leaf' })
    const chain = { key: client.key, cert: client.cert + forged(between, between.credential.der) }
    assert.deepEqual((await told(chain))[0], 'bad-signature 1 CN=middle')
  })

  test('a CA of the wrong usage: for servers alone, not for certificates, no CA at all', async () => {
    const servers = await middle({ usage: 'server' })
    assert.deepEqual((await told(under(servers)))[0], 'wrong-usage 1 CN=middle')
    const mute = await middle({ maySign: false })
    // one that may not sign certificates is nobody's issuer, to OpenSSL as well: it leads nowhere
    assert.deepEqual((await told(under(mute)))[0], 'untrusted 0 CN=leaf')
    assert.deepEqual(
      (await told(directory.pki.clients['wrong-usage']))[0],
      'wrong-usage 0 CN=client-wrong-usage.example',
    )
  })

  test('a path that is longer than a CA allows', async () => {
    const short = await middle({ pathLength: 0 })
    const extra = short.intermediate({ subject: 'extra' })
    assert.deepEqual((await told(under(extra, short)))[0], 'too-deep 2 CN=middle')
  })

  test('a name outside of what a CA may name', async () => {
    const narrow = await middle({ permittedDns: ['other.example'] })
    assert.deepEqual((await told(under(narrow)))[0], 'name-constraint 0 CN=leaf')
    const wide = await middle({ permittedDns: ['client.example'] })
    assert.equal((await told(under(wide)))[0], 'yes')
  })
})

suite('the cause that says most', () => {
  test('under an unknown root it is untrusted, whatever else is wrong', async () => {
    const { otherAuthority } = directory.pki
    const expired = otherAuthority.issue({ subject: 'leaf', ...PAST })
    const server = otherAuthority.issue({ subject: 'leaf', usage: 'server' })
    for (const { cert, key } of [expired, server]) {
      assert.deepEqual(
        (await told({ key, cert: cert + otherAuthority.cert }))[0],
        'untrusted 1 CN=Some other CA',
      )
      assert.deepEqual((await told({ key, cert }))[0], 'untrusted 0 CN=leaf')
    }
  })

  test('an attacker who takes the name of our CA is untrusted', async () => {
    const impostor = Authority.root({ subject: 'Postern test CA' })
    assert.match((await told(under(impostor)))[0] ?? '', /^untrusted 1 /)
  })

  test('revoked counts for more than a CRL that is out of date', async () => {
    const { authority, clients } = directory.pki
    const stale = authority.crl({
      revoked: [clients.valid.serial],
      thisUpdate: Date.now() - 2 * DAY,
      nextUpdate: Date.now() - DAY,
    })
    assert.match((await told(clients.valid, stale))[0] ?? '', /^revoked 0 /)
  })

  test('a list that another key signed in the name of an intermediate revokes nobody, and nobody verifies', async () => {
    const real = await middle({})
    const impostor = await middle({})
    const leaf = real.issue({ subject: 'leaf' })
    const lists = directory.pki.crl + impostor.crl({ revoked: [leaf.serial] })
    assert.match((await told({ key: leaf.key, cert: leaf.cert + real.cert }, lists))[0] ?? '', /^crl-/)
  })
})
