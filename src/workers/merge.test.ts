import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadSettingsFromText } from '../config/load.ts'
import { restartWarnings } from '../config/restart.ts'
import { nodeWarnings } from './configuration.ts'
import { addCounts, mergeExpiries, mergePins, mergeQueues, mergeServerOnly, mergeShadows } from './merge.ts'

test('counts and queues add up; a domain in several processes is one', () => {
  const counts = { delivered: 1, failed: 2, rejected: 3, received: 4 }
  assert.deepEqual(addCounts([counts, counts]), { delivered: 2, failed: 4, rejected: 6, received: 8 })
  assert.deepEqual(addCounts([]), { delivered: 0, failed: 0, rejected: 0, received: 0 })
  const egress = { bindingGroup: 'default', binding: 'default' }
  const part = {
    counts: { ready: 1, active: 1, delayed: 2, failed: 0, domains: 2, resident: 1 },
    domains: [
      { ...egress, domain: 'a.test', active: 2, delayed: 0 },
      { ...egress, domain: 'b.test', active: 0, delayed: 2 },
    ],
  }
  const all = mergeQueues([part, part])
  assert.deepEqual(all.counts, { ready: 2, active: 2, delayed: 4, failed: 0, domains: 1, resident: 2 })
  assert.deepEqual(
    all.domains.map(({ domain, active, delayed }) => [domain, active, delayed]),
    [
      ['a.test', 4, 0],
      ['b.test', 0, 4],
    ],
  )
})

test('what several have seen is told once, with the first and the last time', () => {
  const pin = { partner: 'p', option: 'SPKI_Pin', place: 'current', digest: 'd' } as const
  const unseen = { ...pin, handshakes: 0, firstSeen: undefined, lastSeen: undefined, notAfter: undefined }
  const early = { ...pin, handshakes: 2, firstSeen: 10, lastSeen: 20, notAfter: 100 }
  const late = { ...pin, handshakes: 3, firstSeen: 15, lastSeen: 40, notAfter: 900 }
  assert.deepEqual(mergePins([[unseen], [late], [early]]), [
    { ...pin, handshakes: 5, firstSeen: 10, lastSeen: 40, notAfter: 900 },
  ])
  const certificate = { subject: 's', issuer: 'i', fingerprint: 'f', partner: undefined }
  const seen = { ...certificate, address: 'x', handshakes: 1, firstSeen: 5, lastSeen: 6 }
  assert.deepEqual(mergeServerOnly([[seen], [{ ...seen, address: 'y', firstSeen: 7, lastSeen: 9 }]]), [
    { ...certificate, address: 'y', handshakes: 2, firstSeen: 5, lastSeen: 9 },
  ])
  const ending = {
    what: 'client',
    name: 'n',
    issuer: 'i',
    source: '',
    fingerprint: 'f',
    notBefore: 0,
    notAfter: 9,
    days: 1,
    threshold: undefined,
    renewed: false,
  } as const
  const [merged] = mergeExpiries([[{ ...ending, lastSeen: 5 }], [{ ...ending, lastSeen: 3, renewed: true }]])
  assert.deepEqual(merged, { ...ending, lastSeen: 5, renewed: true })
})

test('rows of the shadow table are one where client, certificate and verdict are the same', () => {
  const row = {
    network: '192.0.2.0/24',
    certificate: 'none',
    verdict: 'would-refuse',
    reason: 'no-certificate',
    cause: '',
    count: 2,
    first: 5,
    last: 9,
  } as const
  const { totals } = mergeShadows([])
  const table = { rows: [row], others: undefined, totals: { ...totals, wouldRefuse: 2 } }
  const other = { rows: 3, count: 4, first: 1, last: 2 }
  const merged = mergeShadows([table, { ...table, rows: [{ ...row, last: 30 }], others: other }])
  assert.deepEqual(merged.rows, [{ ...row, count: 4, last: 30 }])
  assert.deepEqual(merged.others, other)
  assert.equal(merged.totals.wouldRefuse, 4)
})

test('what a reload cannot change says how else: a start of the node, or of its workers one by one', async () => {
  const [before, now] = await Promise.all(
    ['Reception_Memory = 1M Spoolbase = "a"', 'Reception_Memory = 2M Spoolbase = "b"'].map(
      async (text) => (await loadSettingsFromText(text.replaceAll(' S', '\nS'), 'gate.conf')).settings,
    ),
  )
  assert.ok(before && now)
  const said = restartWarnings(before, now)
  const told = (workers: number) => nodeWarnings(now, before, workers, said).map(({ message }) => message)
  const spool = 'a change of Spoolbase is in force only after the next start'
  const memory = 'a change of Reception_Memory is in force only after the next start'
  assert.deepEqual(told(2), [spool, `${memory}, or after "threads restart" at the console`])
  // a worker that is alone is never replaced while mail goes on
  assert.deepEqual(told(1), [spool, memory])
})
