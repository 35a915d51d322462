import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { storedMessage } from '../../test/support/messages.ts'
import { MemorySpool } from './memory-spool.ts'
import { Partitions, partitionsIn } from './partitions.ts'

const header = Buffer.from('Subject: x\r\n\r\n')

async function spoolWith(...ids: readonly string[]): Promise<MemorySpool> {
  const spool = new MemorySpool()
  for (const id of ids) await spool.create().commit([{ envelope: storedMessage(id).envelope, header }])
  return spool
}

test('what any partition holds is there; new mail goes to the first', async () => {
  const [own, other] = [await spoolWith('a'), await spoolWith('b', 'c')]
  let closed = 0
  const all = new Partitions(own, () => (closed += 1))
  assert.equal(all.contentKey('b'), undefined)
  all.adopt(other)
  assert.deepEqual(Array.from(all.messages(), ({ envelope }) => envelope.id).toSorted(), ['a', 'b', 'c'])
  assert.equal(new Set(['a', 'b', 'c'].map((id) => all.contentKey(id))).size, 3)
  assert.ok((await all.read('b'))?.header)
  await all.update('b', { attempts: 3, nextAttempt: 5, failed: false, lastText: 'later' })
  assert.equal((await other.message('b'))?.state.attempts, 3)
  await all.remove('c')
  assert.equal(other.contentKey('c'), undefined)
  await all.create().commit([{ envelope: storedMessage('d').envelope, header }])
  assert.notEqual(own.contentKey('d'), undefined)
  assert.equal(await all.message('nowhere'), undefined)
  await Promise.all([all.close(), all.close()])
  assert.equal(closed, 1)
})

test('partitions on a disk are folders with a number, and nothing else', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-partitions-'))
  for (const name of ['10', '2', '0', '01', 'pipe', '99999']) await mkdir(path.join(folder, name))
  writeFileSync(path.join(folder, '3'), '')
  assert.deepEqual(await partitionsIn(folder), [0, 2, 10])
  rmSync(folder, { recursive: true })
  assert.deepEqual(await partitionsIn(folder), [])
})
