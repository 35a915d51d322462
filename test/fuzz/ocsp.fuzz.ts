/** OCSP responses: whatever comes back, it is an answer that may count, or an `OcspFault`, and soon. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Authority } from '../../src/tls/authority.ts'
import { chainElement } from '../../src/tls/chain-element.ts'
import { MalformedCertificate } from '../../src/tls/der.ts'
import { OcspFault } from '../../src/tls/ocsp/fault.ts'
import { judgeResponse } from '../../src/tls/ocsp/judge.ts'
import { encodeRequest } from '../../src/tls/ocsp/request.ts'
import type { Responder } from '../../src/tls/ocsp/responders.ts'
import { parseResponse } from '../../src/tls/ocsp/response.ts'
import { encodeError, encodeResponse, readRequest } from '../support/ocsp-responder.ts'
import { holds } from '../support/properties.ts'
import { mutated } from './der-mutations.ts'

const ca = Authority.root({ subject: 'CA' })
const signer = ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
const client = ca.issue({ subject: 'client' })
const element = (pem: string) => chainElement(new X509Certificate(pem))
const subject = { element: element(client.cert), issuer: element(ca.cert) }
const nonce = Buffer.alloc(32, 1)
const { certId } = readRequest(encodeRequest(subject, nonce))
const question = {
  subject,
  nonce,
  responder: {
    settings: { nonce: 'send' },
    cas: [subject.issuer],
    signers: undefined,
  } as unknown as Responder,
  lists: [],
  now: Date.now(),
}

const revoked = { certId, status: 'revoked' } as const
const delegated = { signer, certs: [signer.cert] }
const seeds = [
  encodeResponse({ signer: ca.credential, nonce, answers: [revoked] }),
  encodeResponse({ ...delegated, nonce, answers: [revoked] }),
  encodeResponse({ ...delegated, answers: [revoked, revoked], byName: true }),
  encodeError(3),
]

/** What was signed says revoked: whatever is changed, nothing else can come of it. */
test('no change makes revoked good, and what fails is an OcspFault, within bounded time', () => {
  holds(
    fc.property(mutated(seeds), (der) => {
      const began = performance.now()
      try {
        assert.equal(judgeResponse(der, question).status, 'revoked')
      } catch (error) {
        assert.ok(error instanceof OcspFault, String(error))
      }
      assert.ok(performance.now() - began < 1000)
    }),
  )
})

test('the parser throws its own error and nothing else', () => {
  holds(
    fc.property(fc.oneof(mutated(seeds), fc.uint8Array({ maxLength: 300 })), (octets) => {
      try {
        parseResponse(Buffer.from(octets))
      } catch (error) {
        assert.ok(error instanceof MalformedCertificate, String(error))
      }
    }),
  )
})

test('a response of the greatest size takes no time', () => {
  for (const filler of [0x30, 0xa0, 0x31, 0x05, 0x00, 0xff]) {
    const began = performance.now()
    const body = Buffer.alloc(64 * 1024 - 4, Buffer.of(filler, 0))
    const whole = Buffer.concat([Buffer.of(0x30, 0x82, body.length >> 8, body.length & 255), body])
    assert.throws(() => judgeResponse(whole, question), OcspFault)
    assert.ok(performance.now() - began < 1000)
  }
})
