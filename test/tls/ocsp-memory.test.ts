/** What is remembered of OCSP responders' answers, and for how long. */

import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { after, before, suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { OcspSettings } from '../../src/config/settings.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import { OcspClient } from '../../src/tls/ocsp/client.ts'
import { type AskedFor, encodeError, encodeResponse, scriptedResponder } from '../support/ocsp-responder.ts'
import { issueClient } from '../support/test-ca.ts'
import { file } from './gate-harness.ts'
import { answer, ask, bench, close, open, panics, stanza, verdict } from './ocsp-harness.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

before(open)
after(close)

/** A responder and a gate that go by one clock. */
async function timed(settings: Partial<OcspSettings> = {}) {
  const time = { now: Date.now(), next: 10 * MINUTE }
  const say = (asked: AskedFor, status?: 'revoked' | 'unknown'): Buffer =>
    encodeResponse({
      signer: bench.ca.credential,
      nonce: asked.nonce,
      producedAt: time.now,
      answers: [
        {
          certId: asked.certId,
          thisUpdate: time.now,
          nextUpdate: time.now + time.next,
          ...(status === undefined ? {} : { status }),
        },
      ],
    })
  const responder = await scriptedResponder((asked) => say(asked))
  const events: ServerEvent[] = []
  const contexts = await ask([stanza(responder.url, settings)], { clock: () => time.now, events })
  return {
    time,
    say,
    responder,
    events,
    contexts,
    [Symbol.asyncDispose]: () => responder[Symbol.asyncDispose](),
  }
}

suite('what is remembered', () => {
  test('an answer, until its next update or for Cache_Time', async () => {
    await using one = await timed()
    for (let i = 0; i < 3; i += 1) assert.equal(await verdict(), 'verified')
    one.time.now += 9 * MINUTE
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 1)
    one.time.now += 2 * MINUTE
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 2)
    await using two = await timed({ cache_time: 60 })
    assert.equal(await verdict(), 'verified')
    two.time.now += 2 * MINUTE
    two.responder.answer = (asked) => two.say(asked, 'revoked')
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    assert.equal(two.responder.asked, 2)
  })

  test('many clients of one certificate wait for one question', async () => {
    await using one = await timed()
    const { answer: now } = one.responder
    one.responder.answer = (asked, response) => {
      setTimeout(() => {
        response.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(now(asked, response))
      }, 100)
      return undefined
    }
    assert.deepEqual(
      await Promise.all(Array.from({ length: 12 }, () => verdict())),
      Array(12).fill('verified'),
    )
    assert.equal(one.responder.asked, 1)
  })

  test('an answer stands in for a responder that fails until its next update, unless each must have our nonce', async () => {
    for (const nonce of ['send', 'require'] as const) {
      await using one = await timed({ cache_time: 60, nonce })
      assert.equal(await verdict(), 'verified')
      one.time.now += 2 * MINUTE
      one.responder.answer = () => encodeError(2)
      assert.equal(await verdict(), nonce === 'send' ? 'verified' : 'ocsp-unavailable OCSP_UNAVAILABLE 0')
      one.time.now += 10 * MINUTE
      assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNAVAILABLE 0')
      one.responder.answer = (asked) => one.say(asked)
      one.time.now += MINUTE
      assert.equal(await verdict(), 'verified')
      assert.deepEqual(panics(one.events), [
        `error TLS_OCSP "test", ${one.responder.url}: the responder says internalError`,
        `notice TLS_OCSP "test", ${one.responder.url}: answers again`,
      ])
    }
  })

  test('who was revoked stays so without an answer and with an older one, until a newer one', async () => {
    await using one = await timed()
    const older = { ...one.time }
    let replay: Buffer | undefined
    one.responder.answer = ({ certId }) => (replay ??= one.say({ certId, serial: certId, nonce: undefined }))
    assert.equal(await verdict(), 'verified')
    one.time.now = older.now + 11 * MINUTE
    one.responder.answer = (asked) => one.say(asked, 'revoked')
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    one.time.now += 11 * MINUTE
    one.responder.answer = () => encodeError(2)
    await ask([stanza(one.responder.url)], {
      clock: () => one.time.now,
      previous: one.contexts,
      more: { tls_client_ocsp_mode: 'soft' },
    })
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    one.time.now += MINUTE
    one.responder.answer = () => replay
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    one.time.now += MINUTE
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
  })

  test('an answer that is older than one that was seen does not take its place', async () => {
    await using one = await timed({ cache_time: 0, nonce: 'off' })
    one.time.next = HOUR
    let replay: Buffer | undefined
    one.responder.answer = (asked) => (replay ??= one.say(asked))
    assert.equal(await verdict(), 'verified')
    one.time.now += 5 * MINUTE
    one.time.next = MINUTE
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
    one.time.now += 5 * MINUTE
    one.responder.answer = () => replay
    assert.equal(await verdict(), 'ocsp-invalid OCSP_INVALID 0')
  })

  test('a responder that answers about some and not about others does not fill the log', async () => {
    await using one = await timed({ cache_time: 0 })
    const other = await issueClient({ subject: 'other' })
    one.responder.answer = (asked) =>
      BigInt(`0x${asked.serial.toString('hex')}`) === other.serial ? encodeError(6) : one.say(asked)
    for (let i = 0; i < 4; i += 1) {
      assert.equal(await verdict(other), 'ocsp-unavailable OCSP_UNAVAILABLE 0')
      assert.equal(await verdict(), 'verified')
      one.time.now += 11_000
    }
    assert.deepEqual(panics(one.events), [
      `error TLS_OCSP "test", ${one.responder.url}: the responder says unauthorized`,
    ])
  })

  test('who is not known yet is asked about again soon', async () => {
    await using one = await timed()
    one.responder.answer = (asked) => one.say(asked, 'unknown')
    assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNKNOWN 0')
    assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNKNOWN 0')
    assert.equal(one.responder.asked, 1)
    one.time.now += 11_000
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
  })

  test('nothing that was signed by whom a new revocation list holds', async () => {
    const signer = bench.ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
    await using responder = await scriptedResponder((asked) =>
      answer(asked, { signer, certs: [signer.cert] }),
    )
    const list = await bench.directory.write('list.pem', bench.ca.crl())
    const more = { tls_client_crl: file(list) }
    const contexts = (await ask([stanza(responder.url)], { more })).watch()
    assert.equal(await verdict(), 'verified')
    await bench.directory.write('list.new', bench.ca.crl({ revoked: [signer.serial] }))
    await rename(bench.directory.file('list.new'), list)
    for (let i = 0; i < 150 && (await verdict()) === 'verified'; i += 1) await delay(20)
    assert.equal(await verdict(), 'ocsp-invalid OCSP_INVALID 0')
    await contexts.close()
  })

  test('who was revoked, and nobody else, when the lists change; and that comes to an end', async () => {
    await using one = await timed()
    const others = await Promise.all(['a', 'b'].map((subject) => issueClient({ subject })))
    one.responder.answer = (asked) => one.say(asked, 'revoked')
    for (const other of others) assert.equal(await verdict(other), 'revoked OCSP_REVOKED 0')
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
    const memory = one.contexts.shared.ocsp
    let left = 10
    const set = memory.entries.set.bind(memory.entries)
    memory.entries.set = (key, entry) => {
      left -= 1
      assert.ok(left > 0, 'it goes round in circles')
      return set(key, entry)
    }
    new OcspClient({ events: { emit: () => undefined }, clock: () => one.time.now, memory }).forget()
    assert.deepEqual(
      [...memory.entries.values()].map((entry) => entry.answer?.status),
      ['revoked', 'revoked'],
    )
  })

  test('over a reload, and not where the responder is another', async () => {
    await using one = await timed()
    assert.equal(await verdict(), 'verified')
    const clock = () => one.time.now
    const again = await ask([stanza(one.responder.url)], { clock, previous: one.contexts })
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 1)
    await ask([stanza(`${one.responder.url}other`)], { clock, previous: again })
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 2)
  })
})
