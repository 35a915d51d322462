/** The account of what OCSP responders were asked, by which an operator sees why a certificate counts or does not. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { DecisionOcsp } from '../../src/events/decision.ts'
import { encodeError, scriptedResponder } from '../support/ocsp-responder.ts'
import { factsOf, file, visit } from './gate-harness.ts'
import { answer, ask, bench, close, open, stanza } from './ocsp-harness.ts'

before(open)
after(close)

async function account(credential = bench.client): Promise<DecisionOcsp | undefined> {
  await visit(bench.gate.port, { credential })
  return (await factsOf(bench.gate)).ocsp
}

/** One line for each certificate. */
const lines = (told: DecisionOcsp | undefined): string[] =>
  (told?.asked ?? []).map(({ depth, responder, answer: said, reason, from, age }) =>
    [depth ?? '-', responder ?? '-', said, reason || '-', from ?? '-', age ?? '-'].join(' | '),
  )

test('a fresh answer, and the same one from memory, with its age', async () => {
  const start = Math.floor(Date.now() / 1000) * 1000
  let now = start
  await using responder = await scriptedResponder((asked) =>
    answer(asked, {
      answers: [{ certId: asked.certId, thisUpdate: start - 60_000, nextUpdate: start + 600_000 }],
    }),
  )
  await ask([stanza(responder.url)], { clock: () => now })
  assert.deepEqual(lines(await account()), ['0 | test | good | - | responder | 60'])
  now += 30_000
  const told = await account()
  assert.deepEqual(lines(told), ['0 | test | good | - | memory | 90'])
  assert.deepEqual([told?.mode, told?.forgiven, told?.askedLeftOut], ['hard', false, 0])
  assert.equal(told?.asked[0]?.subject, 'CN=client.example')
  assert.equal(responder.asked, 1)
})

test('revoked is told, and who answered', async () => {
  await using responder = await scriptedResponder((asked) => answer(asked, { status: 'revoked' }))
  await ask([stanza(responder.url)], { more: { tls_client_ocsp_mode: 'soft' } })
  const told = await account()
  assert.match(lines(told).join(), /^0 \| test \| revoked \| - \| responder \| \d+$/)
  assert.equal(told?.forgiven, false)
})

test('no answer, with the reason: at once, from memory, and forgiven where the mode is soft', async () => {
  await using responder = await scriptedResponder(() => encodeError(3))
  const why = '0 | test | unavailable | the responder says tryLater'
  await ask([stanza(responder.url)])
  assert.deepEqual(lines(await account()), [`${why} | responder | -`])
  assert.deepEqual(lines(await account()), [`${why} | memory | -`])
  await ask([stanza(responder.url)], { more: { tls_client_ocsp_mode: 'soft' } })
  const told = await account()
  assert.deepEqual([told?.mode, told?.forgiven], ['soft', true])
})

test('an answer that does not count is invalid, with the reason in printable ASCII', async () => {
  await using responder = await scriptedResponder(() => Buffer.from('\x1b[31mnot DER'))
  await ask([stanza(responder.url)])
  assert.match(
    lines(await account()).join(),
    /^0 \| test \| invalid \| the answer is malformed: [ -~]+ \| responder \| -$/,
  )
})

test('an earlier answer that stands in for a responder that fails is from memory', async () => {
  let fails = false
  let now = Math.floor(Date.now() / 1000) * 1000
  await using responder = await scriptedResponder((asked) => {
    if (fails) return encodeError(2)
    return answer(asked, {
      answers: [{ certId: asked.certId, thisUpdate: now, nextUpdate: now + 3_600_000 }],
    })
  })
  await ask([stanza(responder.url, { cache_time: 10 })], { clock: () => now })
  await account()
  fails = true
  now += 60_000
  assert.deepEqual(lines(await account()), ['0 | test | good | - | memory | 60'])
  assert.equal(responder.asked, 2)
})

test('nobody speaks for the issuer: that is told, without a responder', async () => {
  const foreign = stanza('http://127.0.0.1:1/', { ca: file(bench.directory.file('server.pem')) })
  await ask([foreign])
  assert.deepEqual(lines(await account()), [
    '0 | - | unavailable | no TLS_OCSP speaks for its issuer | - | -',
  ])
})

test('nothing is told where nobody was asked: it is off, or the certificate does not verify by itself', async () => {
  await ask([], { more: { tls_client_ocsp: false } })
  assert.equal(await account(), undefined)
  await using responder = await scriptedResponder((asked) => answer(asked))
  await ask([stanza(responder.url)])
  assert.equal(await account(bench.directory.pki.clients.expired), undefined)
})
