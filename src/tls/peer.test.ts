import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type CertificateFacts, distrust, type Evidence, judgePeer } from './peer.ts'

const times = [-1, 0, 1, NaN, Infinity, -Infinity]
const codes = [undefined, '', 'OK', 'UNSPECIFIED', 'CERT_REVOKED', 'UNABLE_TO_GET_CRL', 'toString']

/** a walk may find nothing at all, or anything: it must not matter */
const walks = [
  { complete: true, reachesCa: true, path: [], problems: [] },
  {
    complete: false,
    reachesCa: false,
    path: [],
    problems: [{ cause: 'revoked', depth: 1, subject: 'CN=a', subjectOneline: '/CN=a' }],
  },
] as const

/** Every combination of what a handshake can bring to light, sensible or not. */
function* evidence(): Iterable<Evidence> {
  for (const mode of ['unset', 'none', 'require'] as const) {
    for (const code of codes) {
      const failure = code === undefined ? undefined : { code, message: code }
      for (const [now, notBefore, notAfter] of triples(times)) {
        const facts = { notBefore, notAfter } as CertificateFacts
        for (const leaf of [undefined, { facts, malformed: false }, { facts, malformed: true }]) {
          for (const chain of walks) yield { mode, leaf, failure, chain: () => chain, now }
        }
      }
    }
  }
}

function* triples(all: readonly number[]): Iterable<readonly [number, number, number]> {
  for (const a of all) for (const b of all) for (const c of all) yield [a, b, c]
}

test('verified means: a certificate is there, OpenSSL found no error, and it is valid now; nothing else is', () => {
  let verified = 0
  for (const given of evidence()) {
    const { mode, leaf, failure, now } = given
    const good =
      mode !== 'none' &&
      leaf !== undefined &&
      !leaf.malformed &&
      failure === undefined &&
      leaf.facts.notBefore <= now &&
      now < leaf.facts.notAfter
    const peer = judgePeer(given)
    assert.equal(peer.kind === 'verified', good)
    assert.equal(peer.kind === 'anonymous', mode === 'none' || leaf === undefined)
    assert.notEqual(distrust(peer).kind, 'verified')
    if (good) verified += 1
  }
  assert.ok(verified > 10)
})
