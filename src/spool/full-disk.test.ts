/** A file system that really is full: a small tmpfs, which only root may mount. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmdirSync,
  statfsSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { Panic } from '../events/events.ts'
import type { Envelope } from '../mail/envelope.ts'
import { openSpool } from './lmdb-spool.ts'
import type { Spool } from './spool.ts'
import { SpoolFullError } from './spool.ts'

const MIB = 1024 * 1024
const RESERVE = 6 * MIB

/** A mounted file system of 32 MiB, or why there is none. */
function mountSmall(): { readonly path: string; readonly unmount: () => void } | string {
  const path = mkdtempSync(join(tmpdir(), 'postern-full-'))
  const mounted = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', path], {
    encoding: 'utf8',
  })
  if (mounted.status !== 0) {
    rmdirSync(path)
    return `mounting a small file system is not permitted here: ${(mounted.stderr ?? '').trim()}`
  }
  return {
    path,
    unmount: () => {
      spawnSync('/bin/umount', [path])
      rmdirSync(path)
    },
  }
}

function envelope(id: string): Envelope {
  const mailbox = { local: 'a', domain: 'example.org' }
  const endpoint = { address: '192.0.2.1', port: 25 }
  return {
    id,
    batchId: id,
    connectionId: 'c',
    sender: mailbox,
    recipient: mailbox,
    bodyType: '7BIT',
    receivedAt: 0,
    size: 0,
    client: endpoint,
    local: endpoint,
    bindingGroup: 'default',
    binding: 'default',
    connectionContext: {},
    messageContext: {},
  }
}

async function keep(spool: Spool, id: string, size: number): Promise<void> {
  const writer = spool.create()
  try {
    for (let left = size; left > 0; left -= 65536)
      await writer.append(Buffer.alloc(Math.min(left, 65536), id))
    await writer.commit([{ envelope: envelope(id), header: Buffer.from('A: b\r\n\r\n') }])
  } finally {
    await writer.abort()
  }
}

/** Keeps mail until there is no room for more. */
async function fillWithMail(spool: Spool, prefix: string, size: number): Promise<string[]> {
  const ids: string[] = []
  for (let n = 0; spool.hasRoom(); n += 1) {
    try {
      await keep(spool, `${prefix}${n}`, size)
    } catch (error) {
      assert.ok(error instanceof SpoolFullError, String(error))
      break
    }
    ids.push(`${prefix}${n}`)
  }
  return ids
}

/** Somebody else fills the disk to the last octet. */
function fillWithOther(path: string): string {
  const file = join(path, 'other')
  const descriptor = openSync(file, 'w')
  for (let size = MIB; size >= 4096; ) {
    try {
      writeSync(descriptor, Buffer.alloc(size))
    } catch {
      size /= 2
    }
  }
  closeSync(descriptor)
  return file
}

function free(path: string): number {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}

const mount = mountSmall()
const skip = typeof mount === 'string' ? mount : false

describe('on a small file system', { skip }, () => {
  const { path, unmount } = typeof mount === 'string' ? { path: '', unmount: () => undefined } : mount
  const panics: Panic[] = []
  after(async () => {
    await spool.close()
    unmount()
  })
  let now = 0
  let spool: Spool
  const open = async (): Promise<Spool> =>
    await openSpool({
      path: join(path, 'spool'),
      mode: 0o600,
      minFree: RESERVE,
      receptionMemory: 4 * MIB,
      // each look at the clock is a second later: every figure is fresh
      clock: () => (now += 1000),
      events: { emit: (event) => panics.push(event as Panic) },
    })
  let mail: string[] = []

  test('mail is refused before the reserve is touched, and half of it stays on the disk itself', async () => {
    spool = await open()
    mail = await fillWithMail(spool, 'first', 20_000)
    assert.ok(mail.length > 400, `${mail.length} messages`)
    assert.equal(spool.hasRoom(), false)
    assert.ok(free(path) >= RESERVE / 2, `${free(path)} octets are free`)
  })

  test('a large message is refused while it arrives and leaves no file', async () => {
    await assert.rejects(keep(spool, 'large', 8 * MIB), SpoolFullError)
    assert.deepEqual(readdirSync(join(path, 'spool/0/bodies')), [])
  })

  test('when others have taken the last octet, mail is updated and leaves all the same', async () => {
    const other = fillWithOther(path)
    assert.ok(free(path) < 4096, `${free(path)} octets are free`)
    const state = { attempts: 1, nextAttempt: 1, failed: false, lastText: 'x'.repeat(500) }
    await Promise.all(mail.slice(0, 50).map(async (id) => await spool.update(id, state)))
    for (const id of mail.slice(0, 50)) await spool.remove(id)
    await Promise.all(mail.slice(50).map(async (id) => await spool.remove(id)))
    assert.deepEqual([...spool.messages()], [])
    unlinkSync(other)
    const { size, blocks } = statSync(join(path, 'spool/0/data.mdb'))
    assert.ok(blocks * 512 >= size, 'the data file has no holes that would need the disk')
  })

  test('the same process accepts mail again, as much as before, small and large', async () => {
    assert.equal(spool.hasRoom(), true)
    const again = await fillWithMail(spool, 'second', 20_000)
    assert.ok(again.length >= mail.length * 0.9, `${again.length} of ${mail.length}`)
    await Promise.all(again.map(async (id) => await spool.remove(id)))
    const mixed = await fillWithMail(spool, 'third', 90_000)
    assert.ok(mixed.length * 90_000 > mail.length * 20_000 * 0.7, `${mixed.length}`)
    mail = mixed
  })

  test('a start on a full disk recovers everything, and nothing ends the process', async () => {
    await spool.close()
    const other = fillWithOther(path)
    spool = await open()
    assert.equal([...spool.messages()].length, mail.length)
    assert.equal(spool.hasRoom(), false)
    await assert.rejects(keep(spool, 'more', 3 * MIB), SpoolFullError)
    await Promise.all(mail.map(async (id) => await spool.remove(id)))
    assert.deepEqual([...spool.messages()], [])
    unlinkSync(other)
    assert.equal(spool.hasRoom(), true)
    await keep(spool, 'after', 100_000)
    assert.deepEqual(panics, [], 'LMDB never met the full disk')
  })
})
