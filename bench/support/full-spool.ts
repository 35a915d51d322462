/** A spool that is full of mail which nobody has taken yet: many recipients each, over many domains. */

import type { Envelope } from '../../src/mail/envelope.ts'
import { openSpool } from '../../src/spool/lmdb-spool.ts'
import type { Spool } from '../../src/spool/spool.ts'

const BATCH = 500
const LANES = 8
const header = Buffer.from(
  `Received: from client.example by gate.example\r\n${'X-Header: value\r\n'.repeat(20)}\r\n`,
)

/** @param path where the spool is, or is to be */
export async function openBenchSpool(path: string): Promise<Spool> {
  return await openSpool({
    path,
    mode: 0o600,
    minFree: 64_000_000,
    receptionMemory: 64_000_000,
    clock: () => Date.now(),
    events: { emit: (event) => console.error(event) },
  })
}

/** Writes so many messages of one recipient each, which go to so many domains in turn. */
export async function fillSpool(spool: Spool, messages: number, domains: number): Promise<void> {
  for (let first = 0; first < messages; first += BATCH * LANES) {
    await Promise.all(
      Array.from({ length: LANES }, async (_, lane) => {
        const from = first + lane * BATCH
        const count = Math.min(BATCH, messages - from)
        if (count <= 0) return
        const writer = spool.create()
        await writer.append(Buffer.alloc(1024, 'body\r\n'))
        const numbers = Array.from({ length: count }, (_each, n) => from + n)
        await writer.commit(numbers.map((n) => ({ envelope: envelope(n, domains), header })))
      }),
    )
  }
}

function envelope(n: number, domains: number): Envelope {
  return {
    id: `${(n >>> 16).toString(16).padStart(2, '0')}/00-00001-${n.toString(16).padStart(8, '0')}`,
    batchId: '00/00-00001-00000001',
    connectionId: '00/00-00001-00000001',
    sender: { local: 'sender', domain: 'from.example' },
    recipient: { local: `user${n}`, domain: `d${n % domains}.test` },
    bodyType: '7BIT',
    receivedAt: Date.now(),
    size: 1500,
    client: { address: '192.0.2.1', port: 4711 },
    local: { address: '192.0.2.2', port: 25 },
    bindingGroup: 'default',
    binding: 'default',
    connectionContext: { ehlo_string: 'EHLO client.example', ehlo_domain: 'client.example' },
    messageContext: { mailfrom_string: 'sender@from.example' },
  }
}
