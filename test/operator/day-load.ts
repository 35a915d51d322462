/**
 * Clients that send all day, in clear text and over STARTTLS with a certificate, and know of each message what they were
 * told: kept, refused, or nothing, since the connection was gone.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Credential } from '../../src/tls/authority.ts'
import { type Address, ConnectionLost, SmtpClient } from '../support/smtp-client.ts'

export interface LoadOptions {
  readonly address: () => Address
  readonly credential: Credential
  /** messages go to them in turn */
  readonly domains: readonly string[]
}

const PER_CONNECTION = 5
const PAUSE_MS = 10
const COME_BACK_MS = 50
const CLIENTS = 6
const PATIENCE_MS = 120_000

export class DayLoad {
  /** answered 250 */
  readonly kept = new Set<string>()
  /** sent to the last octet, and never answered */
  readonly unanswered = new Set<string>()
  /** replies that were neither success nor an invitation to come back, which must not be */
  readonly surprises: string[] = []
  /** sessions that were told to come back, or cut off, or not let in */
  interruptions = 0
  readonly #options: LoadOptions
  readonly #ended = new AbortController()
  readonly #senders: readonly Promise<void>[]
  #next = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#senders = Array.from({ length: CLIENTS }, (_, index) => this.#run(index % 2 === 0))
  }

  /** Resolves when so many more have been kept. */
  async more(messages: number): Promise<void> {
    const enough = this.kept.size + messages
    for (const end = Date.now() + PATIENCE_MS; this.kept.size < enough; await delay(20))
      if (Date.now() > end) throw new Error(`nothing is taken any more: ${this.surprises.join()}`)
  }

  async end(): Promise<void> {
    this.#ended.abort()
    await Promise.all(this.#senders)
  }

  async #run(secure: boolean): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#session(secure)
      } catch (error) {
        // anything else is a fault of the test or of the gate
        if (!isInterruption(error)) this.surprises.push(String(error))
        this.interruptions += 1
        await delay(COME_BACK_MS)
      }
    }
  }

  async #session(secure: boolean): Promise<void> {
    const client = await SmtpClient.connect(this.#options.address())
    try {
      expect(await client.reply(), 220)
      await greet(client)
      if (secure) {
        const { cert, key } = this.#options.credential
        expect(await client.command('STARTTLS'), 220)
        await client.secure({ cert, key })
        await greet(client)
      }
      for (let sent = 0; sent < PER_CONNECTION && !this.#ended.signal.aborted; sent += 1) {
        await this.#send(client, `m${++this.#next}`)
        await delay(PAUSE_MS)
      }
      client.send('QUIT')
      await client.closed()
    } finally {
      client.destroy()
    }
  }

  async #send(client: SmtpClient, id: string): Promise<void> {
    const { domains } = this.#options
    const domain = domains[this.#next % domains.length]
    expect(await client.command('MAIL FROM:<load@origin.test>'), 250)
    expect(await client.command(`RCPT TO:<${id}@${domain}>`), 250)
    expect(await client.command('DATA'), 354)
    this.unanswered.add(id)
    const reply = await client.command(`Subject: ${id}\r\n\r\nHello.\r\n.`)
    this.unanswered.delete(id)
    expect(reply, 250)
    this.kept.add(id)
  }
}

/** 421: come back. */
class Interrupted extends Error {}

async function greet(client: SmtpClient): Promise<void> {
  expect(await client.command('EHLO load.example'), 250)
}

function expect(reply: string, code: number): void {
  if (reply.startsWith('421')) throw new Interrupted(reply)
  if (!reply.startsWith(String(code))) throw new Error(`${code} was expected, and came: ${reply}`)
}

function isInterruption(error: unknown): boolean {
  if (error instanceof Interrupted || error instanceof ConnectionLost) return true
  // nobody listens, or nobody does any more who could take what the system has taken
  return error instanceof Error && 'code' in error && /^ECONN(?:REFUSED|RESET)$/.test(String(error.code))
}
