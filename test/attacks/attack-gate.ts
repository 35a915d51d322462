/** What the attacks have in common: a gate in this process, and the questions that are asked after each of them. */

import assert from 'node:assert/strict'
import type { Rejection } from '../../src/events/events.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import type { TestGate } from '../support/test-gate.ts'

/** What was refused of the client with this port, once its connection has ended. */
export async function rejectionsOf(gate: TestGate, port: number): Promise<readonly Rejection[]> {
  await gate.event('disconnected', ({ remote }) => remote.port === port)
  return gate.events.filter(
    (event): event is Rejection => event.kind === 'rejection' && event.remote.port === port,
  )
}

/** `code module text` of what was refused of a client, once its connection has ended. */
export async function refusalsOf(gate: TestGate, port: number): Promise<readonly string[]> {
  return (await rejectionsOf(gate, port)).map(({ code, module, text }) => `${code} ${module} ${text}`)
}

/** The next client is served as if nothing had been. */
export async function assertServes(address: Address): Promise<void> {
  const client = await SmtpClient.connect(address)
  assert.match(await client.reply(), /^220 /)
  assert.match(await client.command('EHLO next.example'), /^250/)
  assert.match(await client.deliver('a@b.example', 'next@gate.example', 'Subject: next\n\nnext'), /^250 /)
  assert.match(await client.command('QUIT'), /^221 /)
  client.destroy()
}

/** The server never told of a fault of its own. */
export function assertNoPanic(gate: TestGate): void {
  assert.deepEqual(
    gate.events.filter(({ kind }) => kind === 'panic'),
    [],
  )
}
