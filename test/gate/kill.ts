/** kill -9 under load, so many times: no message that was answered 250 is lost, and none is in the mailbox twice. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

const SENDERS = 8
/** recipients of one message where it is about batches */
const BATCH = 5
/** every so many messages one is too large for the spool's database and goes to a file */
const LARGE_EVERY = 7
/** the longest that anything is waited for */
const PATIENCE = 60_000

export async function killWithMailbox(rounds: number): Promise<void> {
  const inside = 'maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }'
  await inFolder(`ESMTP_Listener { Listen "127.0.0.1:0" { } }\n${inside}`, async (file) => {
    const load = new Load(sendMessage)
    for (let round = 0; round < rounds; round += 1) await load.killOnce(file)
    const { acknowledged } = load
    assert.ok(acknowledged.size > rounds * SENDERS, `only ${acknowledged.size} messages were accepted at all`)
    const last = await startGateProcess(file)
    const copies = await waitForAll(path.join(path.dirname(file), 'mail', 'box', 'new'), acknowledged)
    assert.equal(await last.end('SIGTERM'), 0)
    for (const subject of acknowledged) {
      assert.equal(copies.get(subject)?.length, 1, `${subject} is there once`)
      assert.match(copies.get(subject)?.[0] ?? '', /\nThe end\.\n$/, `${subject} is whole`)
    }
  })
}

export async function killWithBatches(rounds: number): Promise<void> {
  const sink = await SmtpSink.start()
  const conf = `Gateway = "127.0.0.1:${sink.port}"\nESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`
  try {
    await inFolder(conf, (file) => batchesArrive(file, rounds, sink))
  } finally {
    await sink.close()
  }
}

async function batchesArrive(file: string, rounds: number, sink: SmtpSink): Promise<void> {
  const load = new Load(sendBatch)
  for (let round = 0; round < rounds; round += 1) await load.killOnce(file)
  const { acknowledged } = load
  const last = await startGateProcess(file)
  const arrived = new Set<string>()
  for (const until = Date.now() + PATIENCE; Date.now() < until; await delay(20)) {
    for (const { rcpt } of sink.received.splice(0)) for (const line of rcpt) arrived.add(line)
    if ([...acknowledged].every((recipient) => arrived.has(`RCPT TO:<${recipient}>`))) break
  }
  assert.equal(await last.end('SIGTERM'), 0)
  for (const recipient of acknowledged)
    assert.ok(arrived.has(`RCPT TO:<${recipient}>`), `${recipient} is lost`)
  assert.ok(acknowledged.size >= rounds * BATCH * SENDERS)
}

async function inFolder(conf: string, use: (file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-kill-'))
  const file = path.join(folder, 'gate.conf')
  writeFileSync(file, `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\n${conf}\n`)
  try {
    await use(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Sends one message of its number. @returns the names that stand for it, once it has been accepted */
type Send = (client: SmtpClient, number: number) => Promise<readonly string[]>

/** Senders that are cut off again and again, and what was accepted from them. */
class Load {
  readonly acknowledged = new Set<string>()
  readonly #send: Send
  #next = 0

  constructor(send: Send) {
    this.#send = send
  }

  /** Starts the gate, waits until each sender could get rid of two messages, and kills it in the midst of the next. */
  async killOnce(file: string): Promise<void> {
    const gate = await startGateProcess(file)
    const enough = this.#next + SENDERS * 3
    const senders = Array.from({ length: SENDERS }, () => this.#sendUntilCut(gate))
    // under load means in the midst of it, however slow the machine is
    for (const until = Date.now() + PATIENCE; this.#next < enough && Date.now() < until; ) await delay(5)
    await delay(Math.random() * 300)
    assert.equal(await gate.end('SIGKILL'), 'SIGKILL')
    await Promise.all(senders)
  }

  async #sendUntilCut(gate: GateProcess): Promise<void> {
    const address = gate.addresses[0]
    assert.ok(address !== undefined)
    try {
      const client = await SmtpClient.connect(address)
      await client.reply()
      await client.ehlo()
      for (;;) {
        this.#next += 1
        for (const name of await this.#send(client, this.#next)) this.acknowledged.add(name)
      }
    } catch (error) {
      // the kill ends the connection; anything else is a fault of the test
      if (error instanceof assert.AssertionError) throw error
    }
  }
}

/** @throws AssertionError, which nobody takes for the kill */
function taken(reply: string): void {
  assert.match(reply, /^250/)
}

async function sendMessage(client: SmtpClient, number: number): Promise<readonly string[]> {
  const subject = `m${number}`
  const filler = number % LARGE_EVERY === 0 ? 'x'.repeat(70).concat('\n').repeat(5000) : ''
  const text = `Subject: ${subject}\n\n${filler}The end.`
  taken(await client.deliver('a@b.example', 'box@gate.example', text))
  return [subject]
}

async function sendBatch(client: SmtpClient, number: number): Promise<readonly string[]> {
  const recipients = Array.from({ length: BATCH }, (_, n) => `r${number}-${n}@batch.example`)
  await client.command('MAIL FROM:<a@b.example>')
  for (const recipient of recipients) await client.command(`RCPT TO:<${recipient}>`)
  await client.command('DATA')
  taken(await client.command('Subject: x\r\n\r\nbody\r\n.'))
  return recipients
}

/** subject → the texts of its copies, once every expected one is there (or a minute has gone by) */
async function waitForAll(directory: string, expected: ReadonlySet<string>): Promise<Map<string, string[]>> {
  const texts = new Map<string, string>()
  for (const until = Date.now() + PATIENCE; ; await delay(50)) {
    for (const name of readdirSync(directory)) {
      if (!texts.has(name)) texts.set(name, readFileSync(path.join(directory, name), 'latin1'))
    }
    const copies = Map.groupBy(texts.values(), (text) => /^Subject: (.*)$/m.exec(text)?.[1] ?? '')
    if ([...expected].every((subject) => copies.has(subject)) || Date.now() > until) return copies
  }
}
