/** kill -9 under load, repeated: no message that was answered 250 is lost, and none is in the mailbox twice. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

const ROUNDS = 4
const SENDERS = 8
/** recipients of one message where it is about batches */
const BATCH = 5
/** every so many messages one is too large for the spool's database and goes to a file */
const LARGE_EVERY = 7

test('kill -9 under load loses nothing that was answered 250', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-kill-'))
  const file = path.join(folder, 'gate.conf')
  writeFileSync(
    file,
    `Hostname = "gate.example"
     Spoolbase = "spool"
     Spool_Min_Free = 1M
     ESMTP_Listener { Listen "127.0.0.1:0" { } }
     maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }`,
  )
  const acknowledged = new Set<string>()
  const counter = { next: 0 }
  for (let round = 0; round < ROUNDS; round += 1) {
    const gate = await startGateProcess(file)
    const senders = Array.from({ length: SENDERS }, () => sendUntilCut(gate, counter, acknowledged))
    // under load means in the midst of it, however slow the machine is
    const enough = acknowledged.size + SENDERS * 2
    for (const until = Date.now() + 30_000; acknowledged.size < enough && Date.now() < until; ) await delay(5)
    await delay(Math.random() * 300)
    assert.equal(await gate.end('SIGKILL'), 'SIGKILL')
    await Promise.all(senders)
  }
  assert.ok(acknowledged.size > ROUNDS * SENDERS, `only ${acknowledged.size} messages were accepted at all`)

  const last = await startGateProcess(file)
  const copies = await waitForAll(path.join(folder, 'mail', 'box', 'new'), acknowledged)
  assert.equal(await last.end('SIGTERM'), 0)
  for (const subject of acknowledged) {
    assert.equal(copies.get(subject)?.length, 1, `${subject} is there once`)
    assert.match(copies.get(subject)?.[0] ?? '', /\nThe end\.\n$/, `${subject} is whole`)
  }
  rmSync(folder, { recursive: true, force: true })
})

test('kill -9 while batches of recipients go out loses none of them', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-kill-'))
  const sink = await SmtpSink.start()
  const file = path.join(folder, 'gate.conf')
  writeFileSync(
    file,
    `Hostname = "gate.example"
     Spoolbase = "spool"
     Spool_Min_Free = 1M
     Gateway = "127.0.0.1:${sink.port}"
     ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`,
  )
  const acknowledged = new Set<string>()
  const counter = { next: 0 }
  for (let round = 0; round < 2; round += 1) {
    const gate = await startGateProcess(file)
    const senders = Array.from({ length: SENDERS }, () => sendBatchesUntilCut(gate, counter, acknowledged))
    const enough = acknowledged.size + SENDERS * 2 * BATCH
    for (const until = Date.now() + 30_000; acknowledged.size < enough && Date.now() < until; ) await delay(5)
    await delay(Math.random() * 200)
    assert.equal(await gate.end('SIGKILL'), 'SIGKILL')
    await Promise.all(senders)
  }
  const last = await startGateProcess(file)
  const arrived = new Set<string>()
  for (const until = Date.now() + 60_000; Date.now() < until; await delay(20)) {
    for (const { rcpt } of sink.received.splice(0)) for (const line of rcpt) arrived.add(line)
    if ([...acknowledged].every((recipient) => arrived.has(`RCPT TO:<${recipient}>`))) break
  }
  assert.equal(await last.end('SIGTERM'), 0)
  await sink.close()
  for (const recipient of acknowledged)
    assert.ok(arrived.has(`RCPT TO:<${recipient}>`), `${recipient} is lost`)
  assert.ok(acknowledged.size >= BATCH * SENDERS)
  rmSync(folder, { recursive: true, force: true })
})

async function sendBatchesUntilCut(
  gate: GateProcess,
  counter: { next: number },
  acknowledged: Set<string>,
): Promise<void> {
  const address = gate.addresses[0]
  assert.ok(address !== undefined)
  try {
    const client = await SmtpClient.connect(address)
    await client.reply()
    await client.ehlo()
    for (;;) {
      const recipients = Array.from({ length: BATCH }, () => `r${counter.next++}@batch.example`)
      await client.command('MAIL FROM:<a@b.example>')
      for (const recipient of recipients) await client.command(`RCPT TO:<${recipient}>`)
      await client.command('DATA')
      const reply = await client.command('Subject: x\r\n\r\nbody\r\n.')
      if (!reply.startsWith('250')) throw new Error(`not taken: ${reply}`)
      for (const recipient of recipients) acknowledged.add(recipient)
    }
  } catch (error) {
    // the kill ends the connection; anything else is a fault of the test
    assert.doesNotMatch(String(error), /not taken: [45]/)
  }
}

async function sendUntilCut(
  gate: GateProcess,
  counter: { next: number },
  acknowledged: Set<string>,
): Promise<void> {
  const address = gate.addresses[0]
  assert.ok(address !== undefined)
  try {
    const client = await SmtpClient.connect(address)
    await client.reply()
    await client.ehlo()
    for (;;) {
      counter.next += 1
      const subject = `m${counter.next}`
      const filler = counter.next % LARGE_EVERY === 0 ? 'x'.repeat(70).concat('\n').repeat(5000) : ''
      const reply = await client.deliver(
        'a@b.example',
        'box@gate.example',
        `Subject: ${subject}\n\n${filler}The end.`,
      )
      if (!reply.startsWith('250')) throw new Error(reply)
      acknowledged.add(subject)
    }
  } catch (error) {
    // the kill ends the connection; anything else is a fault of the test
    assert.ok(
      !(error instanceof assert.AssertionError) && !/^[45]\d\d/.test((error as Error).message),
      String(error),
    )
  }
}

/** subject → the texts of its copies, once every expected one is there (or a minute has gone by) */
async function waitForAll(directory: string, expected: ReadonlySet<string>): Promise<Map<string, string[]>> {
  const until = Date.now() + 60_000
  const texts = new Map<string, string>()
  for (;;) {
    for (const name of readdirSync(directory)) {
      if (!texts.has(name)) texts.set(name, readFileSync(path.join(directory, name), 'latin1'))
    }
    const copies = new Map<string, string[]>()
    for (const text of texts.values()) {
      const subject = /^Subject: (.*)$/m.exec(text)?.[1] ?? ''
      copies.set(subject, [...(copies.get(subject) ?? []), text])
    }
    if ([...expected].every((subject) => copies.has(subject)) || Date.now() > until) return copies
    await delay(50)
  }
}
