/** Clients, and whoever stands between a gate and its OCSP responder, who want a revoked certificate to count. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Authority, type Credential } from '../../src/tls/authority.ts'
import { DerReader } from '../../src/tls/der.ts'
import { bitString, integer, sequence } from '../../src/tls/der-writer.ts'
import { toPem } from '../../src/tls/pem.ts'
import { type AskedFor, encodeError, scriptedResponder } from '../support/ocsp-responder.ts'
import { intermediateAuthority, issueClient } from '../support/test-ca.ts'
import { file } from '../tls/gate-harness.ts'
import { answer, ask, bench, close, open, stanza, verdict } from '../tls/ocsp-harness.ts'

const MINUTE = 60_000
const DAY = 86_400_000
const SOFT = { tls_client_ocsp_mode: 'soft' } as const

before(open)
after(close)

test('a revoked CA that its client hides behind one of the same name and key is not forgiven', async () => {
  const subject = 'Postern test intermediate'
  const middle = await intermediateAuthority({ subject })
  const leaf = middle.issue({ subject: 'leaf' })
  const decoy = Authority.root({ subject: 'nobody' }).intermediate({
    subject,
    key: middle.credential.key,
    notBefore: Date.now() - 2 * DAY,
    notAfter: Date.now() - DAY,
  })
  await bench.directory.write('hidden.pem', middle.cert)
  await using forLeaves = await scriptedResponder((asked) => answer(asked, { signer: middle.credential }))
  await using forCas = await scriptedResponder((asked) => answer(asked, { status: 'revoked' }))
  const two = [
    stanza(forCas.url, { name: 'root' }),
    stanza(forLeaves.url, { name: 'middle', ca: file(bench.directory.file('hidden.pem')) }),
  ]
  const hidden = { cert: [leaf.cert, decoy.cert, middle.cert].join(''), key: leaf.key }
  await ask(two, { more: { tls_client_ocsp: false } })
  assert.equal(await verdict(hidden), 'verified', 'OpenSSL takes the CA that is in its dates')
  await ask(two, { more: SOFT })
  assert.equal(await verdict({ ...hidden, cert: leaf.cert + middle.cert }), 'revoked OCSP_REVOKED 1')
  assert.equal(await verdict(hidden), 'ocsp-unavailable OCSP_CHAIN_UNKNOWN 0')
})

test('who was revoked is revoked in every encoding of the signature', async () => {
  const revoked = await issueClient({ subject: 'revoked' })
  const twin = { ...revoked, cert: toPem('CERTIFICATE', otherSignature(revoked)) }
  await using responder = await scriptedResponder((asked) => answer(asked, { status: 'revoked' }))
  const previous = await ask([stanza(responder.url)])
  assert.equal(await verdict(revoked), 'revoked OCSP_REVOKED 0')
  responder.answer = () => encodeError(3)
  const later = Date.now() + 2 * 60 * MINUTE
  await ask([stanza(responder.url)], { previous, more: SOFT, clock: () => later })
  assert.equal(await verdict(twin), 'revoked OCSP_REVOKED 0')
})

test('what was said of the same moment does not take a revocation back', async () => {
  const thisUpdate = Date.now() - MINUTE
  const of = ({ certId }: AskedFor, status: 'good' | 'revoked') => ({
    answers: [{ certId, status, thisUpdate }],
  })
  await using responder = await scriptedResponder((asked) => answer(asked, of(asked, 'revoked')))
  await ask([stanza(responder.url, { cache_time: 0 })])
  const client = await issueClient({})
  assert.equal(await verdict(client), 'revoked OCSP_REVOKED 0')
  responder.answer = (asked) => answer(asked, of(asked, 'good'))
  assert.equal(await verdict(client), 'revoked OCSP_REVOKED 0')
  responder.answer = (asked) => answer(asked, { answers: [{ certId: asked.certId, thisUpdate: Date.now() }] })
  assert.equal(await verdict(client), 'verified')
})

test('a signer of answers that a list revokes loses what it has said, by a reload and while it is asked', async () => {
  const client = await issueClient({})
  const signer = bench.ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
  const held = Promise.withResolvers<() => void>()
  await using responder = await scriptedResponder((asked) => answer(asked, { signer, certs: [signer.cert] }))
  const list = await bench.directory.write('signers.pem', bench.ca.crl())
  const more = { tls_client_crl: file(list) }
  const first = await ask([stanza(responder.url)], { more })
  assert.equal(await verdict(client), 'verified')
  responder.answer = (asked, response) => {
    held.resolve(() => {
      response.writeHead(200, { 'content-type': 'application/ocsp-response' })
      response.end(answer(asked, { signer, certs: [signer.cert] }))
    })
    return undefined
  }
  const slow = verdict(await issueClient({ subject: 'slow' }))
  const release = await held.promise
  await bench.directory.write('signers.pem', bench.ca.crl({ revoked: [signer.serial] }))
  const second = await ask([stanza(responder.url)], { more, previous: first })
  responder.answer = (asked) => answer(asked, { signer, certs: [signer.cert] })
  assert.equal(await verdict(client), 'ocsp-invalid OCSP_INVALID 0')
  release()
  await slow
  const kept = [...second.shared.ocsp.entries.values()].map((entry) => entry.answer?.status)
  assert.deepEqual(kept, [undefined], 'the answer that came late is not kept')
})

/** ECDSA: (r, n − s) is a signature of the same bytes by the same key as (r, s). */
function otherSignature({ der }: Credential): Buffer {
  const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const certificate = DerReader.of(der, 1000).enter(0x30)
  const body = certificate.read(0x30).raw
  const algorithm = certificate.read(0x30).raw
  const signature = DerReader.of(certificate.read(0x03).content.subarray(1), 3).enter(0x30)
  const [r, s] = [signature.read(0x02), signature.read(0x02)].map(({ content }) =>
    BigInt(`0x${content.toString('hex')}`),
  )
  assert.ok(r !== undefined && s !== undefined)
  return sequence(body, algorithm, bitString(sequence(integer(r), integer(ORDER - s))))
}
