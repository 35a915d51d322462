/** What the attacks have in common: a gate in this process, and the questions that are asked after each of them. */

import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Rejection, TlsFact } from '../../src/events/events.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import type { TestGate } from '../support/test-gate.ts'
import type { RawClient } from './raw-client.ts'

/** The connection of a client, once the server has seen it, by the id that the server gave it. */
export async function connectionOf(gate: TestGate, client: RawClient): Promise<string> {
  const { port, server } = client
  const { connectionId } = await gate.event(
    'connected',
    ({ remote, local }) =>
      remote.port === port && local.port === server.port && local.address === server.host,
  )
  return connectionId
}

/** What was refused of a client that has left or been sent away; waits for the first where there is to be one. */
export async function rejectionsOf(
  gate: TestGate,
  client: RawClient,
  expected = 1,
): Promise<readonly Rejection[]> {
  const id = await connectionOf(gate, client)
  await gate.event('disconnected', ({ connectionId }) => connectionId === id)
  if (expected > 0) await gate.event('rejection', ({ connectionId }) => connectionId === id)
  // the session learns of the end after the socket; whatever it tells beyond what is due comes within a moment
  await delay(20)
  return gate.events.filter(
    (event): event is Rejection => event.kind === 'rejection' && event.connectionId === id,
  )
}

/** `code module text` of what was refused of a client. */
export async function refusalsOf(
  gate: TestGate,
  client: RawClient,
  expected = 1,
): Promise<readonly string[]> {
  const rejections = await rejectionsOf(gate, client, expected)
  return rejections.map(({ code, module, text }) => `${code} ${module} ${text}`)
}

/** The handshakes of a client, as they were told. */
export async function handshakesOf(gate: TestGate, client: RawClient): Promise<readonly TlsFact[]> {
  const id = await connectionOf(gate, client)
  return gate.events.filter((event): event is TlsFact => event.kind === 'tls' && event.connectionId === id)
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
