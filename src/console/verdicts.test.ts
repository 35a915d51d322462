/** Verdicts over time: counted in their minute, forgotten after a day, and bounded whatever clients claim. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tlsFact } from '../../test/support/tls-fact.ts'
import { addVerdicts, VERDICT_MINUTES, Verdicts } from './verdicts.ts'

const MINUTE = 60_000
const START = 1_800_000_000_000

test('handshakes count in their minute, and a day later they are forgotten', () => {
  let now = START
  const verdicts = new Verdicts(() => now)
  verdicts.handle(tlsFact())
  now += MINUTE
  verdicts.handle(tlsFact())
  verdicts.handle(tlsFact({ outcome: 'failed', issuer: '' }))
  const counts = (outcome: string, minutes: number) =>
    verdicts.table(minutes).series.find((each) => each.outcome === outcome)?.counts
  assert.deepEqual(counts('verified', 3), [0, 1, 1])
  assert.deepEqual(counts('failed', 3), [0, 0, 1])
  assert.deepEqual(counts('verified', 1), [1])
  now += (VERDICT_MINUTES - 2) * MINUTE
  assert.equal(counts('verified', VERDICT_MINUTES)?.[0], 1)
  now += MINUTE
  assert.deepEqual(counts('verified', VERDICT_MINUTES)?.slice(0, 2), [1, 0])
  now += 5000 * MINUTE
  assert.deepEqual(verdicts.table().series, [])
})

test('what clients claim cannot take the room of CAs that verify, nor more than there is', () => {
  const verdicts = new Verdicts(() => START)
  for (let index = 0; index < 500; index++)
    verdicts.handle(tlsFact({ outcome: 'unverified', issuer: `CN=claim ${index}` }))
  for (let index = 0; index < 10; index++) verdicts.handle(tlsFact({ issuer: `CN=CA ${index}` }))
  const { series } = verdicts.table()
  assert.equal(series.filter(({ outcome }) => outcome === 'verified').length, 10)
  const claimed = series.filter(({ outcome }) => outcome === 'unverified')
  assert.equal(claimed.length, 65)
  assert.deepEqual(claimed.find(({ issuer }) => issuer === 'other')?.counts.at(-1), 500 - 64)
})

test('a name that nobody has shown for a day makes room', () => {
  let now = START
  const verdicts = new Verdicts(() => now)
  for (let index = 0; index < 64; index++) verdicts.handle(tlsFact({ issuer: `CN=old ${index}` }))
  now += VERDICT_MINUTES * MINUTE
  verdicts.table()
  verdicts.handle(tlsFact({ issuer: 'CN=new' }))
  assert.deepEqual(
    verdicts.table().series.map(({ issuer }) => issuer),
    ['CN=new'],
  )
})

const series = (counts: number[]) =>
  [{ outcome: 'verified', listen: ':25', issuer: 'CN=CA', counts }] as const

test('tables of several processes are added up minute by minute', () => {
  const sum = addVerdicts([
    { until: 10, series: series([1, 2, 3]) },
    { until: 11, series: series([10, 20, 30]) },
  ])
  assert.deepEqual(sum, { until: 11, series: series([1, 12, 23, 30]) })
  assert.deepEqual(addVerdicts([]), { until: 0, series: [] })
})
