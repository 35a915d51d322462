/** What a start makes of the remains of a crash, and of damage. */

import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { DataFileError } from './data-file.ts'
import { openSpool } from './lmdb-spool.ts'
import type { Spool } from './spool.ts'
import { Store } from './store.ts'

const made: string[] = []
let path = ''
let panics: string[] = []
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'postern-recover-'))
  made.push(path)
  panics = []
})
after(async () => await Promise.all(made.map(async (directory) => await rm(directory, { recursive: true }))))

async function open(): Promise<Spool> {
  return await openSpool({
    path,
    mode: 0o640,
    minFree: 0,
    receptionMemory: 1_000_000,
    clock: () => 77,
    events: {
      emit: (event) => {
        if (event.kind === 'panic') panics.push(`${event.at} ${event.module} ${event.level} ${event.text}`)
      },
    },
  })
}

async function keep(spool: Spool, id: string, size: number): Promise<void> {
  const mailbox = { local: 'a', domain: 'example.org' }
  const endpoint = { address: '192.0.2.1', port: 25 }
  const writer = spool.create()
  await writer.append(Buffer.alloc(size, id))
  await writer.commit([
    {
      header: Buffer.from('A: b\r\n\r\n'),
      envelope: {
        id,
        batchId: id,
        connectionId: 'c',
        sender: mailbox,
        recipient: mailbox,
        bodyType: '7BIT',
        receivedAt: 0,
        size,
        client: endpoint,
        local: endpoint,
        bindingGroup: 'default',
        binding: 'default',
        connectionContext: {},
        messageContext: {},
      },
    },
  ])
}

const bodies = (): string => join(path, '0/bodies')
const stored = async (id: string, spool: Spool): Promise<string> => {
  const content = await spool.read(id)
  const chunks: Uint8Array[] = []
  for await (const chunk of content?.body() ?? []) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}
const states = (spool: Spool) =>
  new Map([...spool.messages()].map(({ envelope, state }) => [envelope.id, state]))

test('files and content that no message refers to are removed', async () => {
  const first = await open()
  await keep(first, 'kept', 300_000)
  await first.close()
  await writeFile(join(bodies(), '77.part'), 'half a body')
  await writeFile(join(bodies(), '78'), 'a body without a record')
  const store = new Store(join(path, '0'), 0o640)
  await store.apply([
    { table: 'bodies', key: 79, value: Buffer.from('orphan') },
    { table: 'headers', key: 79, value: Buffer.from('orphan') },
  ])
  await store.close()
  const spool = await open()
  assert.equal((await readdir(bodies())).length, 1)
  assert.equal(await stored('kept', spool), Buffer.alloc(300_000, 'kept').toString())
  await keep(spool, 'new', 300_000)
  assert.equal(await stored('new', spool), Buffer.alloc(300_000, 'new').toString())
  await spool.close()
  const after = new Store(join(path, '0'), 0o640)
  assert.deepEqual([after.count('headers'), after.count('bodies'), after.count('messages')], [2, 0, 2])
  await after.close()
  assert.deepEqual(panics, [])
})

test('a message whose body file is missing or cut short is told, kept as failed and listed', async () => {
  const first = await open()
  for (const id of ['gone', 'short', 'whole']) await keep(first, id, 300_000)
  await first.close()
  const [gone = '', short = ''] = (await readdir(bodies())).toSorted((a, b) => Number(a) - Number(b))
  await unlink(join(bodies(), gone))
  await truncate(join(bodies(), short), 1000)
  for (let start = 0; start < 2; start += 1) {
    panics = []
    const spool = await open()
    assert.deepEqual(panics, [
      '77 spool error message gone: its body file is missing; it is kept as failed',
      '77 spool error message short: its body file has 1000 octets instead of 300000; it is kept as failed',
    ])
    const all = states(spool)
    assert.deepEqual(
      [all.get('gone')?.failed, all.get('short')?.failed, all.get('whole')?.failed],
      [true, true, false],
    )
    assert.match(all.get('gone')?.lastText ?? '', /body file is missing/)
    await assert.rejects(stored('gone', spool), /ENOENT/)
    await assert.rejects(stored('short', spool), /not 300000 octets/)
    assert.equal((await stored('whole', spool)).length, 300_000)
    await spool.close()
  }
})

test('a damaged record is set aside byte for byte; the others live and no content is thrown away', async () => {
  const first = await open()
  for (const id of ['a', 'b', 'c']) await keep(first, id, 300_000)
  await first.close()
  const store = new Store(join(path, '0'), 0o640)
  const [, second] = [...store.entries('messages')]
  const damaged = Buffer.from(second?.value ?? '')
  damaged[60] = (damaged[60] ?? 0) ^ 1
  await store.apply([{ table: 'messages', key: second?.key ?? 0, value: damaged }])
  await store.close()
  const spool = await open()
  assert.deepEqual([...states(spool).keys()], ['a', 'c'])
  assert.equal((await stored('c', spool)).length, 300_000)
  await spool.close()
  assert.match(
    panics[0] ?? '',
    /^77 spool error record \d+ is damaged \(the checksum does not match\); it is set aside$/,
  )
  const again = await open()
  await again.close()
  assert.match(panics.at(-1) ?? '', /1 damaged records are set aside/)
  assert.equal((await readdir(bodies())).length, 3)
  const after = new Store(join(path, '0'), 0o640)
  assert.deepEqual(
    [...after.entries('damaged')].map(({ value }) => Buffer.from(value)),
    [damaged],
  )
  await after.close()
})

test('a record of another format, a record cut short and one of a few octets are damage too', async () => {
  const first = await open()
  for (const id of ['a', 'b', 'c', 'd']) await keep(first, id, 10)
  await first.close()
  const store = new Store(join(path, '0'), 0o640)
  const records = [...store.entries('messages')].map(({ key, value }) => ({ key, value: Buffer.from(value) }))
  records[0]?.value.writeUInt8(9, 0)
  const spoiled = [records[0]?.value, records[1]?.value.subarray(0, 100), Buffer.from('few')]
  await store.apply(
    spoiled.map((value, at) => ({ table: 'messages' as const, key: records[at]?.key ?? 0, value })),
  )
  await store.close()
  const spool = await open()
  assert.deepEqual([...states(spool).keys()], ['d'])
  await spool.close()
  assert.equal(panics.length, 4)
})

test('a data file that is something else or was cut short is refused in words, and an empty one is a new spool', async () => {
  const first = await open()
  await keep(first, 'a', 200_000)
  await first.close()
  const file = join(path, '0/data.mdb')
  const good = await readFile(file)
  for (const [bytes, expected] of [
    [Buffer.alloc(100_000, 'x'), /data\.mdb is damaged or something else/],
    [Buffer.from('short'), /is damaged or something else/],
    [good.subarray(0, 8192), /is cut short: 8192 of \d+ octets/],
  ] as const) {
    await writeFile(file, bytes)
    await assert.rejects(open(), (error) => error instanceof DataFileError && expected.test(error.message))
  }
  await writeFile(file, good)
  const again = await open()
  assert.deepEqual([...states(again).keys()], ['a'])
  await again.close()
  await writeFile(file, '')
  const fresh = await open()
  assert.deepEqual([...states(fresh).keys()], [])
  await fresh.close()
})

test('files have Spool_Mode whatever the umask, and directories may be searched by who may read', async () => {
  const before = process.umask(0o077)
  const spool = await open()
  await keep(spool, 'a', 300_000)
  process.umask(before)
  const [body = ''] = await readdir(bodies())
  for (const name of ['data.mdb', 'lock.mdb', 'lock', `bodies/${body}`]) {
    assert.equal((await stat(join(path, '0', name))).mode & 0o777, 0o640, name)
  }
  await spool.close()
})
