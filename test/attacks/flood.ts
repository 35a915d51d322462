/** A gate in a process of its own that is flooded: what its memory did meanwhile, and clients that pour out whatever it takes. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { GateProcess } from '../support/gate-process.ts'
import type { Address } from '../support/smtp-client.ts'
import { RawClient } from './raw-client.ts'

export const MIB = 1024 * 1024
/** above what the garbage collector may leave lying about and Reception_Memory; six clients without bound would take 1200 MiB */
const FLAT = 160 * MIB

function memory({ child }: GateProcess, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'latin1')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
}

/** Runs work and sees to it that the gate's memory never rose by more than the bound. */
export async function flat(gate: GateProcess, work: () => Promise<void>): Promise<void> {
  // resets the high-water mark
  writeFileSync(`/proc/${gate.child.pid}/clear_refs`, '5')
  const before = memory(gate, 'VmRSS')
  await work()
  const growth = memory(gate, 'VmHWM') - before
  assert.ok(growth < FLAT, `memory grew by ${(growth / MIB).toFixed(0)} MiB`)
}

export async function greeted(address: Address): Promise<RawClient> {
  const client = await RawClient.connect(address)
  await client.until(/^220 .*\r\n/)
  await client.command('EHLO client.example')
  return client
}

export async function inData(address: Address): Promise<RawClient> {
  const client = await greeted(address)
  await client.command('MAIL FROM:<a@b.example>')
  await client.command('RCPT TO:<box@gate.example>')
  assert.match(await client.command('DATA'), /^354 /)
  client.received = ''
  return client
}

/**
 * Writes as much as the server takes. Ends after so many octets, with a reply, with the connection, or when nothing has
 * been taken for a while. @returns octets that were handed to the system
 */
export async function pour(client: RawClient, chunk: Buffer, most: number, patience = 1000): Promise<number> {
  let sent = 0
  while (sent < most && client.lost === undefined && !client.socket.destroyed) {
    sent += chunk.length
    if (client.socket.write(chunk)) continue
    const giveUp = AbortSignal.timeout(patience)
    const goesOn = await once(client.socket, 'drain', { signal: giveUp }).then(
      () => true,
      () => false,
    )
    if (!goesOn || client.received !== '') break
  }
  return sent - client.socket.writableLength
}

/** text of a message */
export const lines = Buffer.from(`${'x'.repeat(998)}\r\n`.repeat(64))
