/** TLS_Verify_Depth: how many CAs may stand between a client and a root, checked by us after the handshake. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Authority } from '../../src/tls/authority.ts'
import { sameTrust } from '../../src/tls/trust.ts'
import { intermediateAuthority, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, type Gate, load, openGate, scopeOf, visit } from './gate-harness.ts'

let directory: PkiDirectory
let gate: Gate
/** chains[n] has n CAs between the leaf and the root */
const chains: { cert: string; key: string }[] = []

before(async () => {
  directory = await pkiDirectory()
  const scope = scopeWith(undefined)
  gate = await openGate(await load([scope]), scope)
  let issuer: Authority = directory.pki.authority
  let above = ''
  for (let between = 0; between < 4; between += 1) {
    const leaf = issuer.issue({ subject: `under ${between}` })
    chains.push({ key: leaf.key, cert: leaf.cert + above })
    issuer =
      between === 0
        ? await intermediateAuthority({ subject: 'ca 1' })
        : issuer.intermediate({ subject: `ca ${between + 1}` })
    above = issuer.cert + above
  }
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function scopeWith(depth: number | undefined, ca = 'ca.pem') {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file(ca)),
    tls_verify_depth: depth,
  })
}

async function verdict(depth: number | undefined, credential?: { cert: string; key: string }, ca?: string) {
  const scope = scopeWith(depth, ca)
  gate.use(await load([scope]), scope)
  const { session } = await visit(gate.port, { credential })
  const { peer } = await factsOf(gate)
  const again = await visit(gate.port, { credential, session })
  assert.equal((await factsOf(gate)).peer.kind, peer.kind)
  const failing = peer.kind === 'unverified' ? ` ${peer.cause} ${peer.code} ${peer.failing?.depth}` : ''
  return { peer: `${peer.kind}${failing}`, resumes: again.reused }
}

test('a chain is verified up to the depth and too deep beyond it, at the first certificate that is too many', async () => {
  for (const depth of [0, 1, 2, 3]) {
    for (const [between, chain] of chains.entries()) {
      const expected = between <= depth ? 'verified' : `unverified too-deep VERIFY_DEPTH ${depth + 1}`
      assert.deepEqual(
        await verdict(depth, chain),
        { peer: expected, resumes: false },
        `${between} under ${depth}`,
      )
    }
  }
})

test('CAs that the client does not send because we have them count as well', async () => {
  const [, , third] = chains
  assert.ok(third)
  const [leaf = '', ...above] = third.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
  await directory.write('all.pem', directory.pki.authority.cert + above.join(''))
  const alone = { key: third.key, cert: leaf }
  assert.equal((await verdict(1, alone, 'all.pem')).peer, 'unverified too-deep VERIFY_DEPTH 2')
  assert.equal((await verdict(2, alone, 'all.pem')).peer, 'verified')
})

test('a shorter way that is out of date does not hide how long the chain is that verified', async () => {
  const subject = 'twice certified'
  const short = await intermediateAuthority({ subject, notAfter: Date.now() - 60_000 })
  const between = await intermediateAuthority({ subject: 'between' })
  const long = between.intermediate({ subject, key: short.credential.key })
  const { cert, key } = long.issue({ subject: 'leaf' })
  const credential = { key, cert: [cert, short.cert, long.cert, between.cert].join('') }
  assert.equal((await verdict(undefined, credential)).peer, 'verified')
  assert.match((await verdict(1, credential)).peer, /^unverified too-deep VERIFY_DEPTH /)
})

test('the depth excuses nothing, and a client without a certificate stays anonymous', async () => {
  assert.match((await verdict(8, directory.pki.clients.untrusted)).peer, /^unverified untrusted /)
  assert.equal((await verdict(0)).peer, 'anonymous')
})

test('without a limit tickets are given', async () => {
  assert.deepEqual(await verdict(undefined, chains[3]), { peer: 'verified', resumes: true })
})

test('two scopes with another depth do not judge alike', () => {
  assert.equal(sameTrust(scopeWith(1).options, scopeWith(1).options), true)
  assert.equal(sameTrust(scopeWith(1).options, scopeWith(2).options), false)
  assert.equal(sameTrust(scopeWith(0).options, scopeWith(undefined).options), false)
})
