/** A chain without its key gets the verdict that a real handshake gives, for both purposes. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { connect, createSecureContext, TLSSocket } from 'node:tls'
import { Authority, type AuthorityRequest, selfSigned, type Usage } from '../../src/tls/authority.ts'
import { openSslVerdict } from '../../src/tls/openssl-verdict.ts'
import type { VerifyFailure } from '../../src/tls/peer.ts'
import { toPem } from '../../src/tls/pem.ts'
import { type Purpose, verifyWithoutKey } from '../../src/tls/verify-without-key.ts'

const DAY = 86_400_000
const now = Date.now()
const PAST = { notBefore: now - 9 * DAY, notAfter: now - DAY }
const FUTURE = { notBefore: now + DAY, notAfter: now + 9 * DAY }

/** those under which a leaf has every age, so that more than one thing is wrong with it */
const AGED = new Set(['root', 'foreign', 'expired intermediate', 'intermediate for servers'])

interface Case {
  readonly cert: string
  readonly key: string
}

const root = Authority.root({ subject: 'root' })
const foreign = Authority.root({ subject: 'foreign' })
const namesake = Authority.root({ subject: 'root' })
const cases = new Map<string, Case>()
const crls: string[] = []

const servers: Server[] = []
before(makeCases)
after(() => servers.forEach((server) => server.close()))

/** Leaves of every usage under CAs of every kind, with and without what lies between; of every age under some. */
function makeCases(): void {
  const middle = (request: Partial<AuthorityRequest> = {}) =>
    root.intermediate({ subject: 'middle', ...request })
  const authorities: readonly [string, readonly Authority[]][] = [
    ['root', []],
    ['foreign', [foreign]],
    ['namesake', [namesake]],
    ['intermediate', [middle()]],
    ['expired intermediate', [middle(PAST)]],
    ['intermediate for servers', [middle({ usage: 'server' })]],
    ['intermediate for clients', [middle({ usage: 'client' })]],
    ['CA that may not sign', [middle({ maySign: false })]],
    ['narrow CA', [middle({ permittedDns: ['elsewhere.example'] })]],
  ]
  const short = middle({ pathLength: 0 })
  const all = [...authorities, ['path too long', [short.intermediate({ subject: 'extra' }), short]] as const]
  for (const [name, chain] of all) {
    const issuer = chain[0] ?? root
    for (const usage of ['client', 'server', 'both', 'any'] satisfies Usage[]) {
      for (const [age, dates] of [
        ['', {}],
        ['expired ', PAST],
        ['future ', FUTURE],
      ] as const) {
        if (age !== '' && !(AGED.has(name) && usage !== 'any')) continue
        const leaf = issuer.issue({
          subject: 'leaf',
          usage,
          ...dates,
          altNames: [{ kind: 'dns', value: 'leaf.example' }],
        })
        const cert = leaf.cert + chain.map((each) => each.cert).join('')
        cases.set(`${age}${usage} under ${name}`, { cert, key: leaf.key })
      }
    }
  }
  for (const usage of ['client', 'server'] satisfies Usage[]) {
    cases.set(`self-signed ${usage}`, selfSigned({ subject: 'self', usage }))
    const orphan = middle().issue({ subject: 'orphan', usage })
    cases.set(`${usage} without its intermediate`, orphan)
    const leaf = root.issue({ subject: 'altered', usage })
    const der = Buffer.from(leaf.der)
    der[der.length - 1] = (der.at(-1) ?? 0) ^ 1
    cases.set(`altered ${usage}`, { cert: toPem('CERTIFICATE', der), key: leaf.key })
  }
  const revoked = root.issue({ subject: 'revoked', usage: 'both' })
  cases.set('revoked', revoked)
  const wordy = root.issue({ subject: 'x'.repeat(40_000), usage: 'both' })
  cases.set('a chain over many records', wordy)
  crls.push(root.crl({ revoked: [revoked.serial] }))
}

/** The verdict of a real handshake over a socket, in which the key is proved. */
async function handshakeVerdict(chain: Case, purpose: Purpose, crl: readonly string[] | undefined) {
  const judging = createSecureContext({
    ca: [root.cert],
    ...(crl === undefined ? {} : { crl: [...crl] }),
    ...(purpose === 'clientAuth' ? selfSigned({ subject: 'gate', usage: 'server' }) : {}),
    maxVersion: 'TLSv1.2',
  })
  const shown = createSecureContext({ ca: [], cert: chain.cert, key: chain.key })
  const { promise, resolve, reject } = Promise.withResolvers<VerifyFailure | undefined>()
  const server = createServer((raw) => {
    const judges = purpose === 'clientAuth'
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: judges ? judging : shown,
      requestCert: judges,
      rejectUnauthorized: false,
    })
    socket.on('error', reject)
    if (judges) socket.on('secure', () => resolve(openSslVerdict(socket)))
  }).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const secureContext = purpose === 'clientAuth' ? shown : judging
  const client = connect({ port, host: '127.0.0.1', secureContext, rejectUnauthorized: false })
  client.on('error', reject)
  if (purpose === 'serverAuth') client.on('secureConnect', () => resolve(openSslVerdict(client)))
  try {
    return await promise
  } finally {
    client.destroy()
    server.close()
  }
}

suite('agrees with a handshake', () => {
  for (const purpose of ['clientAuth', 'serverAuth'] as const) {
    for (const lists of ['without', 'with'] as const) {
      test(`${purpose}, ${lists} revocation lists, on every chain`, async () => {
        const crl = lists === 'with' ? crls : undefined
        const seen = new Set<string>()
        for (const [name, chain] of cases) {
          const expected = await handshakeVerdict(chain, purpose, crl)
          const verdict = await verifyWithoutKey(chain.cert, { ca: [root.cert], crls: crl, purpose })
          assert.deepEqual(verdict, expected, name)
          seen.add(expected?.code === 'UNSPECIFIED' ? expected.message : (expected?.code ?? 'good'))
        }
        assert.ok(seen.size >= 8, `only ${[...seen].join(', ')}`)
        assert.ok(seen.has('good'))
      })
    }
  }
})

suite('fails closed', () => {
  const leaf = root.issue({ subject: 'leaf' })
  const good = { ca: [root.cert], purpose: 'clientAuth' } as const

  test('without CAs nothing verifies, and roots of Node or the system are not asked', async () => {
    assert.equal(await verifyWithoutKey(leaf.cert, good), undefined)
    for (const purpose of ['clientAuth', 'serverAuth'] as const) {
      const failure = await verifyWithoutKey(leaf.cert, { ca: [], purpose })
      assert.equal(failure?.code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE')
    }
  })

  test('what is no certificate, or too much of one, is a failure', async () => {
    await assert.rejects(verifyWithoutKey('', good), /no certificate/)
    const garbage = toPem('CERTIFICATE', Buffer.from('garbage'))
    assert.notEqual(await verifyWithoutKey(garbage, good), undefined)
    assert.notEqual(await verifyWithoutKey(leaf.cert + garbage, good), undefined)
    const huge = await verifyWithoutKey(leaf.cert.repeat(400), good)
    assert.equal(huge?.code, 'CHAIN_TOO_LARGE')
  })

  test('many at once do not mix', async () => {
    const bad = foreign.issue({ subject: 'bad' })
    const all = Array.from({ length: 40 }, (_, i) =>
      verifyWithoutKey(i % 2 === 0 ? leaf.cert : bad.cert, good),
    )
    const verdicts = await Promise.all(all)
    assert.ok(verdicts.every((verdict, i) => (verdict === undefined) === (i % 2 === 0)))
  })
})
