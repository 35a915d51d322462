/** What is kept of decision records, and what the shadow mode's findings add up to; both bounded. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DecisionRecord, ShadowVerdict } from '../events/decision.ts'
import { decision, fullDecision } from './decision.fixture.ts'
import { Decisions } from './decisions.ts'
import { ShadowCounts } from './shadow-table.ts'

const refused: ShadowVerdict = {
  mode: 'require',
  from: 'gate.conf:1',
  verdict: 'would-refuse',
  reason: 'no-certificate',
}

function from(address: string, given: Partial<DecisionRecord> = {}): DecisionRecord {
  return decision({ remote: { address, port: 1 }, shadow: refused, ...given })
}

test('the last records of each outcome are kept, newest first, and found by their connection', () => {
  const decisions = new Decisions({ kept: 3 })
  for (let index = 0; index < 50; index++)
    decisions.handle(decision({ connectionId: `a${index}`, at: index, end: { ...END, at: index } }))
  decisions.handle(decision({ connectionId: 'b', outcome: 'failed', at: 7, end: { ...END, at: 7 } }))
  assert.deepEqual(
    decisions.ended().map(({ connectionId }) => connectionId),
    ['a49', 'a48', 'a47', 'b'],
  )
  assert.deepEqual(
    decisions.ended('failed').map(({ connectionId }) => connectionId),
    ['b'],
  )
  assert.equal(decisions.find('a48')?.connectionId, 'a48')
  assert.equal(decisions.find('a1'), undefined)
  assert.deepEqual(decisions.counts(), { failed: 1, anonymous: 50, unverified: 0, verified: 0, plaintext: 0 })
})

const END = { at: 0, how: 'quit', accepted: 0, refused: 0 } as const

test('a connection under way is found, with what is so at this moment', () => {
  const decisions = new Decisions()
  let accepted = 0
  const live = { connectionId: 'x', record: () => decision({ connectionId: 'x', answersLeftOut: accepted }) }
  decisions.add(live)
  accepted = 5
  assert.equal(decisions.find('x')?.answersLeftOut, 5)
  assert.equal(decisions.live().length, 1)
  decisions.remove(live)
  assert.deepEqual([decisions.live(), decisions.find('x')], [[], undefined])
})

test('clients are added up by /24 and /48, certificates by subject and issuer', () => {
  const shadow = new ShadowCounts()
  const { identity } = fullDecision
  const unverified: Partial<DecisionRecord> = {
    outcome: 'unverified',
    cause: 'expired',
    identity,
    shadow: { ...refused, verdict: 'would-continue', reason: 'unverified' },
  }
  for (const address of ['192.0.2.1', '192.0.2.200', '192.0.3.1', '2001:db8:1:2::3', '2001:db8:1:ffff::', ''])
    shadow.count(from(address))
  shadow.count(from('192.0.2.1', { ...unverified, at: 5 }))
  shadow.count(from('192.0.2.9', { ...unverified, at: 9 }))
  shadow.count(from('192.0.2.9', { ...unverified, cause: 'untrusted' }))
  shadow.count(from('192.0.2.9', { ...unverified, identity: { ...identity, issuer: 'CN=other' } }))
  const { rows, others } = shadow.table()
  const counts = rows.map(({ network, certificate, cause, count }) => {
    return `${network} ${certificate === 'none' ? '-' : `${certificate.subject}/${certificate.issuer}`} ${cause} ${count}`
  })
  assert.deepEqual(
    new Set(counts),
    new Set([
      '192.0.2.0/24 -  2',
      '192.0.3.0/24 -  1',
      '2001:db8:1::/48 -  2',
      'local -  1',
      '192.0.2.0/24 CN=subject/CN=issuer expired 2',
      '192.0.2.0/24 CN=subject/CN=issuer untrusted 1',
      '192.0.2.0/24 CN=subject/CN=other expired 1',
    ]),
  )
  const expired = rows.find(({ cause, count }) => cause === 'expired' && count === 2)
  assert.deepEqual([expired?.first, expired?.last], [5, 9])
  assert.equal(others, undefined)
})

test('who verifies, and who is in a scope without a shadow mode, is in no row', () => {
  const shadow = new ShadowCounts()
  shadow.count(decision())
  shadow.count(from('192.0.2.1', { shadow: { ...refused, verdict: 'would-continue', reason: 'verified' } }))
  const { rows, totals } = shadow.table()
  assert.deepEqual(rows, [])
  assert.deepEqual(totals, {
    wouldRefuse: 0,
    verified: 1,
    unverified: 0,
    wouldNotAsk: 0,
    unknown: 0,
    noTls: 0,
  })
})

test('clear text that Require_TLS would refuse is a row, also beside a shadow mode', () => {
  const shadow = new ShadowCounts()
  const requireTlsShadow = { from: 'gate.conf:4' }
  const plain = decision({ outcome: 'plaintext', requireTlsShadow })
  shadow.count({ ...plain, remote: { address: '192.0.2.1', port: 1 } })
  shadow.count(from('192.0.2.9', { requireTlsShadow }))
  const { rows, totals } = shadow.table()
  assert.deepEqual(
    rows.map(({ network, certificate, verdict, reason, count }) => [
      network,
      certificate,
      verdict,
      reason,
      count,
    ]),
    [
      ['192.0.2.0/24', 'none', 'would-refuse', 'no-tls', 2],
      ['192.0.2.0/24', 'none', 'would-refuse', 'no-certificate', 1],
    ],
  )
  assert.deepEqual([totals.noTls, totals.wouldRefuse], [2, 1])
})

test('a flood of networks moves into one row of others; who came often stays, and nothing is lost', () => {
  const shadow = new ShadowCounts(100)
  for (let index = 0; index < 50; index++) shadow.count(from('198.51.100.1'))
  for (let index = 0; index < 5000; index++)
    shadow.count(from(`10.${index >> 8}.${index & 255}.1`, { at: index }))
  const { rows, others, totals } = shadow.table()
  assert.ok(rows.length <= 100)
  assert.deepEqual([rows[0]?.network, rows[0]?.count], ['198.51.100.0/24', 50])
  const inRows = rows.reduce((sum, { count }) => sum + count, 0)
  assert.equal(inRows + (others?.count ?? 0), totals.wouldRefuse)
  assert.equal(totals.wouldRefuse, 5050)
  assert.equal(rows.length + (others?.rows ?? 0), 5001)
})

test('one client with certificates without number pushes nobody out but itself', () => {
  const shadow = new ShadowCounts(100)
  const { identity } = fullDecision
  const neighbours = Array.from({ length: 20 }, (_, index) => `198.51.${index}.1`)
  for (const address of neighbours) shadow.count(from(address))
  for (let index = 0; index < 5000; index++) {
    const posing = { ...identity, subject: `CN=${index}` }
    for (let twice = 0; twice < 2; twice++) shadow.count(from('192.0.2.1', { identity: posing, at: index }))
  }
  const networks = new Set(shadow.table().rows.map(({ network }) => network))
  assert.ok(neighbours.every((address) => networks.has(address.replace(/1$/, '0/24'))))
})
