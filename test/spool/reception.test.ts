/** Bodies under reception share a budget of memory, and large ones take none. */

import assert from 'node:assert/strict'
import type { FileHandle } from 'node:fs/promises'
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { BodyWriter, EarlySyncs } from '../../src/spool/body-writer.ts'
import { openSpool } from '../../src/spool/lmdb-spool.ts'
import type { Spool } from '../../src/spool/spool.ts'
import { SpoolFullError } from '../../src/spool/spool.ts'
import { appendAll, bodyOf, bytes, envelope } from './place.ts'

const made: string[] = []
let path = ''
let spool: Spool
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'postern-reception-'))
  made.push(path)
  spool = await openSpool({
    path,
    mode: 0o600,
    minFree: 0,
    receptionMemory: 200_000,
    clock: () => Date.now(),
    events: { emit: (event) => assert.fail(JSON.stringify(event)) },
  })
})
after(async () => await Promise.all(made.map(async (directory) => await rm(directory, { recursive: true }))))

const parts = async (): Promise<number> => (await readdir(join(path, '0/bodies'))).length
const messages = (id: string) => [{ envelope: envelope(id), header: Buffer.from('A: b\r\n\r\n') }]

test('what the budget refuses goes to a file, and memory that was given back is used again', async () => {
  const writers = Array.from({ length: 6 }, () => spool.create())
  for (const [n, writer] of writers.entries()) await appendAll(writer, bytes(60_000, n))
  assert.equal(await parts(), 3, 'three fit into the budget')
  for (const [n, writer] of writers.entries()) {
    if (n % 2 === 0) await writer.commit(messages(`m${n}`))
    else await writer.abort()
  }
  assert.equal(await parts(), 1, 'one of the three files was committed')
  for (const n of [0, 2, 4]) assert.deepEqual(await bodyOf(spool, `m${n}`), bytes(60_000, n))
  const whole = spool.create()
  assert.equal(whole.append(bytes(200_000)), undefined, 'all of the budget is there again')
  await whole.abort()
  await spool.close()
})

test('an abort while a chunk is being written waits for it and leaves nothing', async () => {
  const writer = spool.create()
  const pending = writer.append(bytes(300_000))
  assert.ok(pending instanceof Promise)
  assert.throws(() => writer.append(bytes(1)), /cannot take bytes now/)
  await Promise.all([pending, writer.abort()])
  assert.equal(await parts(), 0)
  await spool.close()
})

test('a body’s file whose mode cannot be set is closed and gone', async (t) => {
  const file = await open(join(path, 'any'), 'w')
  t.mock.method(Object.getPrototypeOf(file), 'chmod', async () => {
    throw new Error('no such mode')
  })
  await file.close()
  const before = (await readdir('/proc/self/fd')).length
  const writer = spool.create()
  await assert.rejects(async () => await writer.append(bytes(300_000)), /no such mode/)
  await writer.abort()
  assert.equal(await parts(), 0)
  assert.equal((await readdir('/proc/self/fd')).length, before)
  await spool.close()
})

test('a message of 160 MB takes no memory worth speaking of, coming or going', async () => {
  const chunk = bytes(65_536)
  const writer = spool.create()
  const before = process.memoryUsage.rss()
  let most = before
  for (let n = 0; n < 2440; n += 1) {
    await writer.append(chunk)
    most = Math.max(most, process.memoryUsage.rss())
  }
  await writer.commit(messages('large'))
  let size = 0
  for await (const piece of (await spool.read('large'))?.body() ?? []) {
    size += piece.length
    most = Math.max(most, process.memoryUsage.rss())
  }
  assert.equal(size, 2440 * chunk.length)
  assert.ok(most - before < 80_000_000, `${Math.round((most - before) / 1e6)} MB more`)
  await spool.close()
})

test('without any budget every body goes to a file, and comes back', async () => {
  await spool.close()
  spool = await openSpool({
    path,
    mode: 0o600,
    minFree: 0,
    receptionMemory: 0,
    clock: () => 0,
    events: { emit: (event) => assert.fail(JSON.stringify(event)) },
  })
  const writer = spool.create()
  await writer.append(bytes(10))
  await writer.append(bytes(20, 2))
  await writer.commit(messages('small'))
  assert.equal(await parts(), 1)
  assert.deepEqual(await bodyOf(spool, 'small'), Buffer.concat([bytes(10), bytes(20, 2)]))
  await spool.close()
})

test('Large_Message_Threshold says from which size a body has a file of its own', async () => {
  await spool.close()
  spool = await openSpool({
    path,
    mode: 0o600,
    minFree: 0,
    receptionMemory: 200_000,
    largeBody: 1000,
    clock: () => Date.now(),
    events: { emit: (event) => assert.fail(JSON.stringify(event)) },
  })
  for (const [id, size] of [
    ['small', 1000],
    ['large', 1001],
  ] as const) {
    const writer = spool.create()
    await appendAll(writer, bytes(size))
    await writer.commit(messages(id))
    assert.deepEqual(await bodyOf(spool, id), bytes(size))
    assert.equal(await parts(), id === 'small' ? 0 : 1)
  }
  await spool.close()
})

test('what waits for a body’s file is written when the body is whole, before anybody reads it', async () => {
  await spool.close()
  spool = await openSpool({
    path,
    mode: 0o600,
    minFree: 0,
    receptionMemory: 2_000_000,
    largeBody: 1000,
    clock: () => Date.now(),
    events: { emit: (event) => assert.fail(JSON.stringify(event)) },
  })
  const writer = spool.create()
  assert.equal(writer.settle(), undefined)
  await writer.append(bytes(2000))
  assert.equal(writer.append(bytes(100_000)), undefined)
  const [name = ''] = await readdir(join(path, '0/bodies'))
  const size = async () => (await stat(join(path, '0/bodies', name))).size
  assert.equal(await size(), 2000)
  await writer.settle()
  assert.equal(await size(), 102_000)
  await writer.abort()
  await spool.close()
})

/** A file whose writes wait until they are let go, and may fail. */
class SlowFile {
  written = Buffer.alloc(0)
  readonly #waiting: { readonly go: () => void; readonly fail: (error: Error) => void }[] = []

  async write(bytes: Uint8Array, from: number, length: number): Promise<{ bytesWritten: number }> {
    await new Promise<void>((go, fail) => this.#waiting.push({ go, fail }))
    // a partial write
    const bytesWritten = Math.min(length, 100_000)
    this.written = Buffer.concat([this.written, bytes.subarray(from, from + bytesWritten)])
    return { bytesWritten }
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Lets one write go, or fail. */
  async go(failure?: Error): Promise<void> {
    const next = this.#waiting.shift()
    if (failure === undefined) next?.go()
    else next?.fail(failure)
    await setImmediate()
  }
}

const slow = async (buffers: boolean) => {
  // the one that every test here gets is not needed
  await spool.close()
  const file = new SlowFile()
  let room = 0
  const asked = {
    forFile: (octets: number) => {
      room += octets
    },
    forBuffers: () => buffers,
  }
  const writer = new BodyWriter(file as unknown as FileHandle, asked, new EarlySyncs())
  return { file, writer, room: () => room }
}

for (const buffers of [true, false]) {
  test(`octets reach the file in order, with ${buffers ? '' : 'no '}buffers, partial writes or not`, async () => {
    const { file, writer, room } = await slow(buffers)
    const whole = bytes(1_500_000)
    const work = (async () => {
      for (let at = 0; at < whole.length; at += 70_001) await writer.push(whole.subarray(at, at + 70_001))
      await writer.flush()
    })()
    while (file.written.length < whole.length) await file.go()
    await work
    assert.ok(file.written.equals(whole))
    assert.equal(room(), whole.length)
  })
}

test('one buffer is filled while the other is written; then whoever brings octets waits', async () => {
  const { file, writer } = await slow(true)
  const chunk = bytes(128 * 1024)
  for (let n = 0; n < 3; n += 1) assert.equal(writer.push(chunk), undefined)
  assert.equal(file.waiting, 1)
  const full = writer.push(chunk)
  assert.ok(full instanceof Promise)
  while (file.written.length < 2 * chunk.length) await file.go()
  await full
  assert.equal(file.waiting, 1)
})

test('a write that fails in the background is told by the next call, whichever it is', async () => {
  for (const next of ['push', 'flush'] as const) {
    const { file, writer } = await slow(true)
    for (let n = 0; n < 2; n += 1) void writer.push(bytes(128 * 1024))
    await file.go(Object.assign(new Error('full'), { code: 'ENOSPC' }))
    if (next === 'push') assert.throws(() => writer.push(bytes(1)), SpoolFullError)
    else await assert.rejects(writer.flush(), SpoolFullError)
  }
})

/** A file that takes everything at once, and whose syncs wait until they are let go. */
class UnsyncedFile {
  readonly syncs: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = []

  async write(_bytes: Uint8Array, _from: number, length: number): Promise<{ bytesWritten: number }> {
    return await Promise.resolve({ bytesWritten: length })
  }

  async datasync(): Promise<void> {
    const { promise, ...ends } = Promise.withResolvers<void>()
    this.syncs.push(ends)
    await promise
  }
}

const A_MEBIBYTE = Buffer.alloc(1024 * 1024)

/** A body of 10 MiB that has been written, and whose first 8 are being synced. */
async function arriving(syncs = new EarlySyncs(), buffers = true) {
  const file = new UnsyncedFile()
  const room = { forFile: () => undefined, forBuffers: () => buffers }
  const writer = new BodyWriter(file as unknown as FileHandle, room, syncs)
  for (let n = 0; n < 10; n += 1) await writer.push(A_MEBIBYTE)
  await writer.flush()
  return { file, writer }
}

for (const buffers of [true, false]) {
  test(`a large body is synced while it arrives, with ${buffers ? '' : 'no '}buffers; who ends it waits for that`, async () => {
    await spool.close()
    const { file, writer } = await arriving(new EarlySyncs(), buffers)
    assert.equal(file.syncs.length, 1)
    let ended = false
    const end = (async () => {
      await writer.end()
      ended = true
    })()
    const idle = writer.idle()
    await setImmediate()
    assert.equal(ended, false)
    file.syncs[0]?.resolve()
    await Promise.all([end, idle])
    for (let n = 0; n < 7; n += 1) await writer.push(A_MEBIBYTE)
    await writer.flush()
    assert.equal(file.syncs.length, 2)
  })
}

test('what a sync reports while a body arrives is told, since no later one would find it', async () => {
  await spool.close()
  const failures = [
    { code: 'ENOSPC', told: SpoolFullError },
    { code: 'EIO', told: { code: 'EIO' } },
  ]
  for (const { code, told } of failures) {
    for (const next of ['push', 'end'] as const) {
      const { file, writer } = await arriving()
      const end = next === 'end' ? writer.end() : undefined
      file.syncs[0]?.reject(Object.assign(new Error('the disk'), { code }))
      if (end !== undefined) await assert.rejects(end, told)
      await setImmediate()
      assert.throws(() => writer.push(bytes(1)), told)
    }
  }
})

test('few bodies are synced at the same time while they arrive', async () => {
  await spool.close()
  const syncs = new EarlySyncs()
  const all = await Promise.all(Array.from({ length: 6 }, async () => await arriving(syncs)))
  const begun = () => all.map(({ file }) => file.syncs.length)
  assert.deepEqual(begun(), [1, 1, 1, 1, 0, 0])
  all[2]?.file.syncs[0]?.resolve()
  await setImmediate()
  await all[5]?.writer.push(A_MEBIBYTE)
  await setImmediate()
  assert.deepEqual(begun(), [1, 1, 1, 1, 0, 1])
})
