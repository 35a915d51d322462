import assert from 'node:assert/strict'
import { beforeEach, describe, test } from 'node:test'
import { tlsFact } from '../../test/support/tls-fact.ts'
import { type ConfiguredPin, PartnerReport } from './partner-report.ts'

const DAY = 86_400_000
const NOW = Date.parse('2026-06-01T12:00:00Z')

const pin = (place: ConfiguredPin['place'], digest: string): ConfiguredPin => ({
  partner: 'acme',
  option: 'SPKI_Pin',
  place,
  digest,
})

let warnings: string[]
let report: PartnerReport

beforeEach(() => {
  warnings = []
  report = new PartnerReport({ warn: (text) => warnings.push(text), maxCertificates: 3 })
})

function shake(used: ConfiguredPin, { at = NOW, days = 100, fingerprint = 'f' } = {}): void {
  const { partner, option, place, digest } = used
  report.handle(
    tlsFact({
      at,
      partner: { name: partner, pins: [{ option, place, digest }], fingerprint, notAfter: at + days * DAY },
    }),
  )
}

describe('pins in use', () => {
  test('every configured pin is listed, with when it was seen', () => {
    report.expect([pin('current', 'a'), pin('successor', 'b')], 30 * DAY)
    shake(pin('current', 'a'))
    shake(pin('current', 'a'), { at: NOW + 5 })
    assert.deepEqual(
      report
        .pins()
        .map(({ place, handshakes, firstSeen, lastSeen }) => [place, handshakes, firstSeen, lastSeen]),
      [
        ['current', 2, NOW, NOW + 5],
        ['successor', 0, undefined, undefined],
      ],
    )
  })
  test('a reload keeps what was seen of pins that stay, also in another place, and forgets the others', () => {
    report.expect([pin('current', 'a'), pin('successor', 'b')], 30 * DAY)
    shake(pin('current', 'a'))
    shake(pin('successor', 'b'))
    report.expect([pin('current', 'b'), pin('successor', 'c')], 30 * DAY)
    assert.deepEqual(
      report.pins().map(({ digest, place, handshakes }) => [digest, place, handshakes]),
      [
        ['b', 'current', 1],
        ['c', 'successor', 0],
      ],
    )
    // a session of the configuration before
    shake(pin('current', 'a'))
    report.expect([pin('current', 'a')], 30 * DAY)
    assert.equal(report.pins()[0]?.handshakes, 0)
  })
})

describe('an end that is near', () => {
  test('is told once for each certificate, while no successor was seen', () => {
    report.expect([pin('current', 'a'), pin('successor', 'b')], 30 * DAY)
    shake(pin('current', 'a'), { days: 31 })
    assert.deepEqual(warnings, [])
    for (let i = 0; i < 3; i += 1) shake(pin('current', 'a'), { days: 7 })
    assert.deepEqual(warnings, [
      'the certificate of partner acme expires in 7 days, and the successor of SPKI_Pin has not been seen yet',
    ])
    shake(pin('successor', 'b'), { fingerprint: 'g' })
    shake(pin('current', 'a'), { days: 6, fingerprint: 'h' })
    assert.equal(warnings.length, 1)
    shake(pin('successor', 'b'), { days: 1, fingerprint: 'g' })
    assert.match(warnings[1] ?? '', /expires in 1 day, and it is the successor/)
  })
  test('is told where there is no successor', () => {
    report.expect([pin('current', 'a')], 30 * DAY)
    shake(pin('current', 'a'), { days: 2 })
    assert.deepEqual(warnings, [
      'the certificate of partner acme expires in 2 days, and SPKI_Pin has no successor',
    ])
  })
})

test('certificates for servers only: counted by certificate, the latest ones kept', () => {
  for (const [index, name] of ['a', 'b', 'a', 'c', 'd'].entries()) {
    const serverOnly = { subject: `CN=${name}`, issuer: 'CN=x', fingerprint: name }
    report.handle(tlsFact({ at: NOW + index, serverOnly }))
  }
  assert.deepEqual(
    report
      .serverOnly()
      .map(({ fingerprint, handshakes, firstSeen, lastSeen }) => [
        fingerprint,
        handshakes,
        firstSeen - NOW,
        lastSeen - NOW,
      ]),
    [
      ['d', 1, 4, 4],
      ['c', 1, 3, 3],
      ['a', 2, 0, 2],
    ],
  )
})
