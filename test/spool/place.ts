/** What tests of spools keep in them, and how they look at it. */

import assert from 'node:assert/strict'
import type { Envelope } from '../../src/mail/envelope.ts'
import type { ReceptionWriter, Spool } from '../../src/spool/spool.ts'

export interface SpoolPlace {
  open(): Promise<Spool>
  /** Uses up the room, so that new mail does not fit; the answer undoes it. */
  fill(spool: Spool): Promise<() => Promise<void>>
}

export function envelope(id: string, changes: Partial<Envelope> = {}): Envelope {
  return {
    id,
    batchId: `${id}-batch`,
    connectionId: '00/01-00001-00000001',
    sender: { local: 'J\xf6rg', domain: 'example.org' },
    recipient: { local: 'bob', domain: 'example.net' },
    bodyType: '8BITMIME',
    receivedAt: 1_700_000_000_000,
    size: 42,
    client: { address: '192.0.2.1', port: 4711 },
    local: { address: '2001:db8::1', port: 25 },
    bindingGroup: 'default',
    binding: 'default',
    connectionContext: { tls: 'on', odd: '\0\r\n"\xff' },
    messageContext: {},
    ...changes,
  }
}

export const HEADER = Buffer.from('Received: by gate\r\nSubject: x\r\n\r\n', 'latin1')

/** Keeps one message; the body in chunks of 64 KiB. */
export async function keep(spool: Spool, id: string, body: Uint8Array, changes: Partial<Envelope> = {}) {
  const writer = spool.create()
  await appendAll(writer, body)
  await writer.commit([{ envelope: envelope(id, changes), header: HEADER }])
}

export async function appendAll(writer: ReceptionWriter, body: Uint8Array): Promise<void> {
  for (let at = 0; at < body.length; at += 65536) await writer.append(body.subarray(at, at + 65536))
}

/** Octets that differ from place to place. */
export function bytes(length: number, seed = 1): Buffer {
  const out = Buffer.alloc(length)
  let x = seed
  for (let i = 0; i < length; i += 1) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    out[i] = x >>> 16
  }
  return out
}

export async function bodyOf(spool: Spool, id: string): Promise<Buffer> {
  const content = await spool.read(id)
  assert.ok(content, `message ${id} is there`)
  const chunks: Uint8Array[] = []
  for await (const chunk of content.body()) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  assert.equal(content.bodySize, body.length)
  return body
}

export function idsOf(spool: Spool): string[] {
  return [...spool.messages()].map((message) => message.envelope.id).toSorted((a, b) => a.localeCompare(b))
}
export async function reopen(place: SpoolPlace, spool: Spool): Promise<Spool> {
  await spool.close()
  return await place.open()
}
