import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { tlsFact } from '../../test/support/tls-fact.ts'
import type { ServerEvent, TlsFact } from '../events/events.ts'
import type { Ending, EndingKind } from '../events/expiry.ts'
import { ExpiryWatch, type ExpiryWatchOptions } from './expiry-watch.ts'

const DAY = 86_400_000
const START = Date.parse('2026-01-01T00:00:00Z')

function ending(what: EndingKind, days: number, more: Partial<Ending> = {}): Ending {
  const names = { name: `CN=${what}`, issuer: 'CN=CA', fingerprint: `${what}${days}`, source: `/${what}.pem` }
  return { what, ...names, notBefore: START - 365 * DAY, notAfter: START + days * DAY, ...more }
}

function handshake(fingerprint: string, days: number, more: Partial<TlsFact['certificate']> = {}): TlsFact {
  return tlsFact({
    at: START,
    certificate: {
      subject: 'CN=partner',
      issuer: 'CN=CA',
      fingerprint,
      notBefore: START - 365 * DAY,
      notAfter: START + days * DAY,
      ...more,
    },
  })
}

function watching(configured: Ending[], more: Partial<ExpiryWatchOptions> = {}) {
  const time = { now: START }
  const events: ServerEvent[] = []
  const watch = new ExpiryWatch({
    configured: () => configured,
    thresholds: () => [30, 14, 7, 1],
    events: { emit: (event) => events.push(event) },
    clock: () => time.now,
    ...more,
  })
  /** What was told since the last time. */
  const told = (): string[] =>
    events.splice(0).flatMap((event) => (event.kind === 'panic' ? [`${event.level}: ${event.text}`] : []))
  return { time, events, watch, told }
}

suite('files of the configuration', () => {
  test('a warning once a day and once for each number of days, and an error each day after the end', () => {
    const { time, watch, told } = watching([ending('server', 31)])
    const days: string[] = []
    for (let hour = 0; hour <= 33 * 24; hour += 6) {
      time.now = START + hour * 3_600_000
      watch.look()
      days.push(...told().map((text) => `${hour / 24} ${text}`))
    }
    assert.equal(
      days[0],
      '1 warning: /server.pem: the server\'s certificate "CN=server" expires on 2026-02-01, in 30 days',
    )
    assert.equal(
      days[29],
      '30 warning: /server.pem: the server\'s certificate "CN=server" expires on 2026-02-01, in 1 day',
    )
    assert.equal(
      days[30],
      '31 error: /server.pem: the server\'s certificate "CN=server" expired on 2026-02-01',
    )
    assert.deepEqual(
      days.map((text) => Number(text.split(' ', 1)[0])),
      Array.from({ length: 33 }, (_, day) => day + 1),
    )
  })

  test('a number of days that is reached is told at once', () => {
    const { time, watch, told } = watching([ending('client-ca', 14.5)])
    watch.look()
    assert.match(told().join(), /"CN=client-ca" expires on 2026-01-15, in 14 days/)
    time.now += 0.5 * DAY
    watch.look()
    assert.equal(told().length, 1)
    watch.look()
    assert.equal(told().length, 0)
  })

  test('the event says what, whose, when and how many days', () => {
    const { watch, events } = watching([ending('ocsp-signer', 5)])
    watch.look()
    const [event] = events
    assert.deepEqual(event, { kind: 'expiry', at: START, ...ending('ocsp-signer', 5), days: 5, threshold: 7 })
  })

  test('a list that is replaced every week is told in its last third alone, and its end by others', () => {
    const { time, watch, told } = watching([ending('crl', 7, { notBefore: START })])
    watch.look()
    time.now += 4 * DAY
    watch.look()
    assert.deepEqual(told(), [])
    time.now += DAY
    watch.look()
    assert.deepEqual(told(), [
      'warning: /crl.pem: the revocation list of "CN=crl" expires on 2026-01-08, in 2 days',
    ])
    time.now += 3 * DAY
    watch.look()
    assert.deepEqual(told(), [])
    assert.equal(watch.items()[0]?.days, -1)
  })

  test('nothing is told where no days are configured, and everything can be read', () => {
    const { watch, told } = watching([ending('server', -1), ending('crl', -2)], { thresholds: () => [] })
    watch.look()
    assert.deepEqual(told(), [])
    assert.deepEqual(
      watch.items().map(({ what, days }) => `${what} ${days}`),
      ['crl -2', 'server -1'],
    )
  })
})

suite("clients' certificates", () => {
  test('one that ends soon is told when it is seen first, and then once a day', () => {
    const { time, watch, told } = watching([])
    watch.handle(handshake('a', 10))
    watch.handle(handshake('a', 10))
    watch.look()
    assert.deepEqual(told(), [
      'warning: the certificate of the client "CN=partner" from "CN=CA" expires on 2026-01-11, in 10 days',
    ])
    time.now += DAY
    watch.look()
    watch.look()
    assert.equal(told().length, 1)
  })

  test('one that has a successor is not told, as long as it is not seen again', () => {
    const { time, watch, told } = watching([])
    watch.handle(handshake('old', 10))
    assert.equal(told().length, 1)
    watch.handle({ ...handshake('new', 375), at: START + 1 })
    time.now += DAY
    watch.look()
    assert.deepEqual(told(), [])
    assert.deepEqual(
      watch.items().map(({ fingerprint, renewed }) => `${fingerprint} ${renewed}`),
      ['old true', 'new false'],
    )
    watch.handle({ ...handshake('old', 10), at: START + 2 })
    watch.look()
    assert.equal(told().length, 1)
    watch.handle({ ...handshake('other', 400, { subject: 'CN=other' }), at: START + 3 })
    time.now += DAY
    watch.look()
    assert.equal(told().length, 1)
  })

  test('the table is bounded: who has not been seen for longest goes', () => {
    const { watch } = watching([], { maxClients: 2 })
    for (const name of ['a', 'b', 'a', 'c']) watch.handle(handshake(name, 100, { subject: name }))
    assert.deepEqual(
      watch
        .items()
        .map(({ name }) => name)
        .toSorted(),
      ['a', 'c'],
    )
  })

  test('one that has ended is told, and forgotten a month later', () => {
    const { time, watch, told } = watching([])
    watch.handle(handshake('a', 10))
    told()
    time.now += 11 * DAY
    watch.look()
    assert.match(
      told().join(),
      /^error: the certificate of the client "CN=partner" from "CN=CA" expired on 2026-01-11$/,
    )
    time.now += 30 * DAY
    assert.deepEqual(watch.items(), [])
  })

  test('a handshake without a verified certificate leaves no trace', () => {
    const { watch } = watching([])
    const { certificate: _, ...rest } = handshake('a', 1)
    watch.handle(rest)
    assert.deepEqual(watch.items(), [])
  })
})
