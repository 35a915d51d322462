/**
 * How fast the spool keeps mail: `node bench/spool.ts [DIRECTORY] [SECONDS]`.
 *
 * Fifty sessions commit messages of 4 KiB, one after the other each; then a start with what is there, reading and
 * removal; then a message of 200 MB, with the memory that it takes. Every figure is durable: a commit counts when it
 * has resolved. Use a directory on the disk in question.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Envelope } from '../src/mail/envelope.ts'
import { openSpool } from '../src/spool/lmdb-spool.ts'
import type { Spool } from '../src/spool/spool.ts'

const [directory = tmpdir(), seconds = '3'] = process.argv.slice(2)
const path = await mkdtemp(join(directory, 'postern-bench-'))
const WRITERS = 50
const header = Buffer.from(
  `Received: from client.example by gate.example\r\n${'X-Header: value\r\n'.repeat(40)}\r\n`,
)
const body = Buffer.alloc(4096, 'body\r\n')

const open = async (): Promise<Spool> =>
  await openSpool({
    path,
    mode: 0o600,
    minFree: 64_000_000,
    receptionMemory: 64_000_000,
    clock: () => Date.now(),
    events: { emit: (event) => console.error(event) },
  })

try {
  let spool = await open()
  for (const writers of [1, WRITERS]) await commits(spool, writers)
  await spool.close()
  spool = await timed('open', open)
  const ids = await timed('list', async () => {
    await Promise.resolve()
    return [...spool.messages()].map((message) => message.envelope.id)
  })
  console.log(`  ${ids.length} messages`)
  await timed('read 10000', async () => {
    for (const id of ids.slice(0, 10_000)) for await (const _ of (await spool.read(id))?.body() ?? []);
  })
  await timed('remove all, 50 at a time', async () => {
    const rest = ids.values()
    await Promise.all(
      Array.from({ length: WRITERS }, async () => {
        for (const id of rest) await spool.remove(id)
      }),
    )
  })
  await large(spool, 200_000_000)
  await spool.close()
} finally {
  await rm(path, { recursive: true })
}

async function commits(spool: Spool, writers: number): Promise<void> {
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const waits: number[] = []
  const cpu = process.cpuUsage()
  const start = performance.now()
  const end = start + Number(seconds) * 1000
  delay.enable()
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      for (let n = 0; performance.now() < end; n += 1) {
        const began = performance.now()
        const reception = spool.create()
        await reception.append(body)
        await reception.commit([{ envelope: envelope(`${writers}/${writer}-${n}`), header }])
        waits.push(performance.now() - began)
      }
    }),
  )
  delay.disable()
  const elapsed = performance.now() - start
  const used = process.cpuUsage(cpu)
  waits.sort((a, b) => a - b)
  const at = (share: number): string => (waits[Math.floor(waits.length * share)] ?? 0).toFixed(2)
  console.log(
    `commit 4 KiB, ${writers} writers: ${Math.round((waits.length / elapsed) * 1000)}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ` +
      `cpu ${((used.user + used.system) / waits.length).toFixed(1)} us each, longest event-loop stall ${(delay.max / 1e6).toFixed(1)} ms`,
  )
}

async function large(spool: Spool, size: number): Promise<void> {
  const before = process.memoryUsage.rss()
  let most = before
  const chunk = Buffer.alloc(65536, 'large')
  await timed(`receive ${size / 1e6} MB`, async () => {
    const reception = spool.create()
    for (let left = size; left > 0; left -= chunk.length) {
      await reception.append(chunk.subarray(0, Math.min(left, chunk.length)))
      most = Math.max(most, process.memoryUsage.rss())
    }
    await reception.commit([{ envelope: envelope('large'), header }])
  })
  await timed('read it', async () => {
    for await (const _ of (await spool.read('large'))?.body() ?? [])
      most = Math.max(most, process.memoryUsage.rss())
  })
  console.log(`  resident memory grew by ${((most - before) / 1e6).toFixed(1)} MB`)
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await work()
  console.log(`${what}: ${(performance.now() - start).toFixed(0)} ms`)
  return result
}

function envelope(id: string): Envelope {
  const mailbox = { local: 'someone', domain: 'example.org' }
  const endpoint = { address: '192.0.2.1', port: 25 }
  return {
    id,
    batchId: id,
    connectionId: id,
    sender: mailbox,
    recipient: mailbox,
    bodyType: '8BITMIME',
    receivedAt: 1_700_000_000_000,
    size: header.length + body.length,
    client: endpoint,
    local: endpoint,
    bindingGroup: 'default',
    binding: 'default',
    connectionContext: { tls: 'on', tls_cipher: 'TLS_AES_256_GCM_SHA384', tls_client_verified: 'yes' },
    messageContext: { spam: 'no' },
  }
}
