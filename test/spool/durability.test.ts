/** Accepted means on disk: a kill at any instant loses nothing, and the recorded I/O shows every sync before its answer. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openSpool } from '../../src/spool/lmdb-spool.ts'
import type { Spool } from '../../src/spool/spool.ts'
import type { IoCall } from '../support/io-trace.ts'
import { straceMissing, traceIo } from '../support/io-trace.ts'
import { bodyOf } from './place.ts'
import { contentOf } from './written.ts'

const WRITER = join(import.meta.dirname, 'writer.ts')
const KILLS = 10
/** lines that the writer gets out at least before it is killed */
const LINES = 15
const made: string[] = []
after(async () => await Promise.all(made.map(async (path) => await rm(path, { recursive: true }))))

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'postern-spool-'))
  made.push(path)
  return path
}

async function open(path: string): Promise<Spool> {
  return await openSpool({
    path,
    mode: 0o600,
    minFree: 1_000_000,
    receptionMemory: 1_000_000,
    clock: () => Date.now(),
    events: { emit: (event) => assert.fail(JSON.stringify(event)) },
  })
}

test(`${KILLS} kills at random instants lose nothing that was acknowledged and leave nothing by halves`, async () => {
  const path = await directory()
  let acknowledged = 0
  for (let round = 0; round < KILLS; round += 1) {
    const said = await runAndKill(path, `r${round}`)
    const kept = new Map(
      said.filter((line) => line.startsWith('+')).map((line) => [line.slice(1).split(' ')[0] ?? '', line]),
    )
    const removed = said.filter((line) => line.startsWith('-')).map((line) => line.slice(1))
    const spool = await open(path)
    const there = new Set<string>()
    for (const { envelope } of spool.messages()) {
      there.add(envelope.id)
      await assertWhole(spool, envelope.id, envelope.batchId, envelope.size)
    }
    for (const id of removed) assert.ok(!there.has(id), `${id} was removed and came back`)
    // a removal may have been under way when the process died: the third of four messages of each writer
    const lost = [...kept.keys()].filter((id) => !there.has(id) && !removed.includes(id) && !mayBeLeaving(id))
    assert.deepEqual(lost, [], 'acknowledged and lost')
    acknowledged += kept.size
    await Promise.all([...there].map(async (id) => await spool.remove(id)))
    await spool.close()
    assert.deepEqual(await readdir(join(path, '0', 'bodies')), [], 'body files without a message')
  }
  assert.ok(acknowledged > KILLS * 10, `only ${acknowledged} messages were acknowledged`)
})

/** The lines that the writer got out before it was killed, at some instant after its first few. */
async function runAndKill(path: string, prefix: string): Promise<string[]> {
  const child = spawn(process.execPath, [WRITER, path, 'forever', prefix], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  const begun = new Promise<void>((resolve) => {
    child.stdout.setEncoding('latin1').on('data', (text: string) => {
      said += text
      if (said.split('\n').length > LINES) resolve()
    })
  })
  const closed = new Promise((resolve) => child.once('close', resolve))
  await Promise.race([begun, closed])
  await sleep(Math.random() * 80)
  child.kill('SIGKILL')
  await closed
  assert.equal(child.signalCode, 'SIGKILL', 'the writer lived until it was killed')
  // a line that was cut off was not said
  return said.split('\n').slice(0, -1)
}

async function assertWhole(spool: Spool, id: string, first: string, size: number): Promise<void> {
  const header = (await spool.read(id))?.header
  assert.deepEqual(Buffer.from(header ?? []), contentOf(id, 0).header)
  assert.ok(
    (await bodyOf(spool, id)).equals(contentOf(first, size).body),
    `the body of ${id} is as it was sent`,
  )
}

function mayBeLeaving(id: string): boolean {
  return Number(/(\d+)$/.exec(id)?.[1] ?? 0) % 4 === 3
}

test('every acknowledgement comes after the syncs of data, meta page and directory entries', {
  skip: straceMissing(),
}, async () => {
  const path = await directory()
  const calls = await traceIo(
    [process.execPath, WRITER, join(path, 'new/spool'), 'few', 'm'],
    join(path, 'trace'),
  )
  const acknowledgements = calls.filter((call) => call.name === 'write' && call.text.startsWith('write(1<'))
  const acknowledged = acknowledgements.flatMap((call) =>
    [...call.text.matchAll(/\+(m\.\w+) \d/g)].map((match) => ({ id: match[1] ?? '', at: call.start })),
  )
  assert.equal(acknowledged.length, 10)
  for (const { id, at } of acknowledged) assertSynced(calls, id, at)
  const large = acknowledged.find(({ id }) => id === 'm.large')
  assertFileSynced(calls, large?.at ?? 0)
  assertEntriesSynced(calls, join(path, 'new'), acknowledged[0]?.at ?? 0)
})

/** Envelope, header and (where it is in the store) body were written, then fdatasync, then the meta page through O_DSYNC. */
function assertSynced(calls: readonly IoCall[], id: string, acknowledgedAt: number): void {
  const marks = [`\\"id\\":\\"${id}\\"`, `X-Header-Of: ${id}\\r`]
  if (!/\.(b2|b3|large)$/.test(id)) marks.push(`body-of ${id}\\r`)
  const data = calls.filter((call) => call.path.endsWith('/0/data.mdb'))
  const writes = marks.map((mark) => {
    const write = data.find((call) => /^p?writev?|^pwrite64/.test(call.name) && call.text.includes(mark))
    assert.ok(write?.ok, `${mark} was written to the store`)
    return write
  })
  const written = Math.max(...writes.map((write) => write.end))
  const sync = data.find((call) => call.name === 'fdatasync' && call.ok && call.start > written)
  assert.ok(sync !== undefined && sync.end < acknowledgedAt, `${id}: fdatasync before the acknowledgement`)
  const descriptor = /= (\d+)/.exec(data.find((call) => call.text.includes('O_DSYNC'))?.text ?? '')?.[1]
  const meta = data.find(
    (call) => call.start > sync.end && call.ok && call.text.startsWith(`pwrite64(${descriptor}<`),
  )
  assert.ok(
    meta !== undefined && meta.end < acknowledgedAt,
    `${id}: the meta page before the acknowledgement`,
  )
}

/** write, fsync, rename, fsync of the directory, and only then the record that refers to the file. */
function assertFileSynced(calls: readonly IoCall[], acknowledgedAt: number): void {
  const part = calls.filter((call) => call.path.endsWith('.part'))
  const lastWrite = part.findLast((call) => call.name.includes('write'))
  const sync = part.find(
    (call) => call.name === 'fsync' && call.ok && call.start > (lastWrite?.end ?? Infinity),
  )
  assert.ok(sync, 'the file is synced after its last write')
  const rename = calls.find((call) => call.name.startsWith('rename') && call.ok && call.start > sync.end)
  assert.ok(rename, 'the file is renamed after its sync')
  const entry = calls.find(
    (call) => call.path.endsWith('/bodies') && call.name === 'fsync' && call.start > rename.end,
  )
  assert.ok(entry?.ok, 'the directory is synced after the rename')
  const record = calls.find(
    (call) => call.path.endsWith('/0/data.mdb') && call.text.includes('\\"id\\":\\"m.large\\"'),
  )
  assert.ok(record !== undefined && record.start > entry.end, 'the record is written after that')
  assert.ok(record.end < acknowledgedAt)
}

/** Whatever was created on the way is an entry in a directory that was synced before the first acknowledgement. */
function assertEntriesSynced(calls: readonly IoCall[], top: string, firstAcknowledged: number): void {
  const made = [
    join(top, 'spool'),
    join(top, 'spool/0'),
    join(top, 'spool/0/data.mdb'),
    join(top, 'spool/0/bodies'),
    top,
  ]
  for (const path of made) {
    const creation = calls.find((call) => call.path === path && /^(mkdir|openat)/.test(call.name) && call.ok)
    assert.ok(creation, `${path} was created`)
    const sync = calls.find(
      (call) => call.path === join(path, '..') && call.name === 'fsync' && call.start > creation.end,
    )
    assert.ok(sync?.ok && sync.end < firstAcknowledged, `the entry of ${path} was synced`)
  }
}
