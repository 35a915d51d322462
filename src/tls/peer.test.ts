import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { type CertificateFacts, distrust, type Evidence, judgePeer } from './peer.ts'

const time = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom(NaN, Infinity, -Infinity))
const code = fc.constantFrom(
  '',
  'OK',
  'UNSPECIFIED',
  'CERT_REVOKED',
  'UNABLE_TO_GET_CRL',
  'X509_V_OK',
  'toString',
)
const evidence: fc.Arbitrary<Evidence> = fc.record({
  mode: fc.constantFrom('unset', 'none', 'require'),
  leaf: fc.option(
    fc.record({
      facts: fc.record({ notBefore: time, notAfter: time }) as unknown as fc.Arbitrary<CertificateFacts>,
      malformed: fc.boolean(),
    }),
    { nil: undefined },
  ),
  failure: fc.option(fc.record({ code, message: code }), { nil: undefined }),
  reachesCa: fc.boolean().map((answer) => () => answer),
  now: time,
})

test('verified means: a certificate is there, OpenSSL found no error, and it is valid now; nothing else is', () => {
  let verified = 0
  fc.assert(
    fc.property(evidence, (given) => {
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
    }),
    { numRuns: 20_000 },
  )
  assert.ok(verified > 100, `only ${verified} of them were good`)
})
