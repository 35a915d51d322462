/** A decision record as one line of JSON: nothing is lost, nothing gets out of its place, every key is documented. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { suite, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds } from '../../test/support/properties.ts'
import type { DecisionRecord } from '../events/decision.ts'
import { Authority } from '../tls/authority.ts'
import { readCertificate } from '../tls/certificate.ts'
import { PemError, parsePem } from '../tls/pem.ts'
import { decision, fullDecision } from './decision.fixture.ts'
import {
  formatTlsLog,
  tlsLogAnswerKeys,
  tlsLogChangeKeys,
  tlsLogHeartbeat,
  tlsLogKeys,
  tlsLogOcspKeys,
} from './tls-log.ts'

const page = readFileSync(path.join(import.meta.dirname, '../../docs/decision-record.md'), 'utf8')

function parsed(record: DecisionRecord): Record<string, unknown> {
  const line = formatTlsLog(record)
  assert.match(line, /^[ -~]+$/, 'printable ASCII on one line')
  return JSON.parse(line) as Record<string, unknown>
}

test('every value of a record is in its line, and every key has a value', () => {
  const record = fullDecision
  const values = new Set(leaves(parsed(record)))
  for (const [where, value] of pathsOf(record)) {
    const shown = typeof value === 'number' && value > 1e11 ? new Date(value).toISOString() : value
    assert.ok(values.has(shown), `${where} is missing`)
  }
  assert.deepEqual(
    Object.keys(parsed(record)),
    tlsLogKeys.map(({ key }) => key),
  )
  const [answer] = parsed(record)['answers'] as Record<string, unknown>[]
  assert.deepEqual(Object.keys(answer ?? {}), Object.keys(tlsLogAnswerKeys))
  const [change] = parsed(record)['changes'] as Record<string, unknown>[]
  assert.deepEqual(Object.keys(change ?? {}), Object.keys(tlsLogChangeKeys))
  const [asked] = parsed(record)['ocsp'] as Record<string, unknown>[]
  assert.deepEqual(Object.keys(asked ?? {}), Object.keys(tlsLogOcspKeys))
})

test('a key without a value is absent', () => {
  const line = parsed(decision())
  for (const name of ['shadow_mode', 'ca', 'crl', 'subject', 'partner', 'answers', 'cause', 'sni']) {
    assert.ok(!(name in line), name)
  }
})

suite('docs/decision-record.md', () => {
  for (const { key, meaning } of tlsLogKeys) {
    test(`documents ${key}`, () => assert.ok(page.includes(`| \`${key}\` | ${meaning} |`)))
  }
  for (const [key, meaning] of Object.entries(tlsLogAnswerKeys)) {
    test(`documents ${key} of an answer`, () => assert.ok(page.includes(`| \`${key}\` | ${meaning} |`)))
  }
  for (const [key, meaning] of Object.entries(tlsLogChangeKeys)) {
    test(`documents ${key} of a change`, () => assert.ok(page.includes(`| \`${key}\` | ${meaning} |`)))
  }
  for (const [key, meaning] of Object.entries(tlsLogOcspKeys)) {
    test(`documents ${key} of an OCSP answer`, () => assert.ok(page.includes(`| \`${key}\` | ${meaning} |`)))
  }
  test('documents nothing that is not there', () => {
    const documented = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, name]) => name)
    assert.deepEqual(documented, [
      ...tlsLogKeys.map(({ key }) => key),
      ...Object.keys(tlsLogAnswerKeys),
      ...Object.keys(tlsLogChangeKeys),
      ...Object.keys(tlsLogOcspKeys),
    ])
  })
})

test('a heartbeat says when', () => {
  assert.equal(tlsLogHeartbeat(0), '{"event":"heartbeat","time":"1970-01-01T00:00:00.000Z","log":"tlslog"}')
})

test('octets become the text that they encode; dates beyond all calendars are left out', () => {
  const { identity } = fullDecision
  const line = parsed(
    decision({
      identity: { ...identity, subject: 'CN=M\xc3\xbcller', notBefore: Number.NaN, notAfter: 9e15 },
    }),
  )
  assert.equal(line['subject'], 'CN=Müller')
  assert.ok(!('not_before' in line) && !('not_after' in line))
})

test('whatever a client, a certificate or a script writes stays in its value', () => {
  const text = fc.oneof(
    anyText({ maxLength: 60 }),
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  holds(
    fc.property(text, (hostile) => {
      const full = fullDecision
      const [answer] = full.answers
      assert.ok(answer)
      const line = parsed({
        ...full,
        sni: hostile,
        cause: hostile,
        failing: { depth: 0, subject: hostile },
        identity: { ...full.identity, subject: hostile, issuer: hostile, sanDns: [hostile] },
        answers: [{ ...answer, text: hostile }],
        partner: hostile,
      })
      const keys = tlsLogKeys.map(({ key }) => key).filter((key) => key in line || hostile !== '')
      assert.deepEqual(Object.keys(line), keys)
    }),
    { numRuns: 300 },
  )
})

test('a certificate with any name in it makes a line that can be read', () => {
  const authority = Authority.root({ subject: 'CA' })
  const value = fc.uint8Array({ maxLength: 40 })
  holds(
    fc.property(value, value, fc.constantFrom(0x0c, 0x13, 0x14, 0x16, 0x1e, 0x1c, 0x04), (cn, san, tag) => {
      const { cert } = authority.issue({
        subject: [{ type: '2.5.4.3', value: Buffer.from(cn), tag }],
        altNames: [{ kind: 'dns', value: Buffer.from(san) }],
      })
      const [block] = parsePem(cert)
      if (block?.der === undefined) throw new PemError('no certificate')
      const { sanDns, sanEmail, sanUri, sanIp, ...rest } = readCertificate(block.der)
      const identity = { ...rest, sanDns, sanEmail, sanUri, sanIp, sansLeftOut: 0 }
      const line = parsed(decision({ outcome: 'verified', identity }))
      // what could change the order of characters or the lines of a terminal was escaped before
      // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
      assert.doesNotMatch(String(line['subject']), /[\0-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/)
    }),
    { numRuns: 60 },
  )
})

function* pathsOf(value: unknown, where = ''): Generator<readonly [string, unknown]> {
  if (typeof value !== 'object' || value === null) yield [where, value]
  else for (const [name, each] of Object.entries(value)) yield* pathsOf(each, `${where}.${name}`)
}

function leaves(value: unknown): unknown[] {
  return [...pathsOf(value)].map(([, each]) => each)
}
