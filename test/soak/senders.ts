/**
 * Clients that send every message of the plan until the gate has said 250, however often it dies in between.
 *
 * One half of the sessions uses STARTTLS. A client that hears nothing after its final dot sends again, as it must
 * (RFC 5321 §4.5.4.1), and says so to the ledger.
 */

import { setTimeout as delay } from 'node:timers/promises'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { messageOf } from './body.ts'
import type { Ledger } from './ledger.ts'
import { chance, type Plan, recipientOf, type Transaction } from './plan.ts'

export interface SendersOptions {
  readonly plan: Plan
  readonly ledger: Ledger
  /** where the gate listens now */
  readonly address: () => Address
  /** told after each transaction that was answered 250 */
  readonly accepted: (transactions: number) => void
  readonly concurrency: number
}

const TRANSACTIONS_PER_SESSION = 20
const TRY_AGAIN_MS = 50

/** Resolves when all is accepted. */
export async function sendAll(options: SendersOptions): Promise<void> {
  const turn = { next: 0, accepted: 0 }
  await Promise.all(Array.from({ length: options.concurrency }, () => new Sender(options, turn).run()))
}

class Sender {
  readonly #options: SendersOptions
  readonly #turn: { next: number; accepted: number }
  #client: SmtpClient | undefined
  #left = 0

  constructor(options: SendersOptions, turn: { next: number; accepted: number }) {
    this.#options = options
    this.#turn = turn
  }

  async run(): Promise<void> {
    const { plan, accepted } = this.#options
    for (;;) {
      const transaction = plan.transactions[this.#turn.next++]
      if (transaction === undefined) break
      while (!(await this.#try(transaction))) await delay(TRY_AGAIN_MS)
      this.#turn.accepted += 1
      accepted(this.#turn.accepted)
    }
    this.#client?.send('QUIT')
    this.#client?.end()
  }

  /** @returns whether it was accepted */
  async #try(transaction: Transaction): Promise<boolean> {
    const stage = { dotSent: false }
    try {
      const client = await this.#session(transaction.number)
      const reply = await this.#send(client, transaction, stage)
      if (reply.startsWith('250')) return true
      // an answer to the dot: nothing was taken
      if (reply.startsWith('5')) this.#options.ledger.fault(`the gate said ${reply}`)
    } catch {
      if (stage.dotSent) this.#options.ledger.sentAgain(transaction.number)
    }
    this.#client?.destroy()
    this.#client = undefined
    return false
  }

  async #session(transaction: number): Promise<SmtpClient> {
    if (this.#client !== undefined && this.#left > 0) {
      this.#left -= 1
      return this.#client
    }
    this.#client?.send('QUIT')
    this.#client?.end()
    this.#client = undefined
    const client = await SmtpClient.connect(this.#options.address())
    this.#client = client
    this.#left = TRANSACTIONS_PER_SESSION
    expect(await client.reply(), '220')
    await client.ehlo()
    if (chance(this.#options.plan.seed, transaction, 8) < 0.5) {
      expect(await client.command('STARTTLS'), '220')
      await client.secure({})
      await client.ehlo()
    }
    return client
  }

  async #send(client: SmtpClient, transaction: Transaction, stage: { dotSent: boolean }): Promise<string> {
    const { plan } = this.#options
    const { first, recipients, sender, pipelined } = transaction
    const commands = [
      `MAIL FROM:<${sender}>`,
      ...Array.from(
        { length: recipients },
        (_, n) => `RCPT TO:<${recipientOf(plan.seed, first + n, transaction)}>`,
      ),
      'DATA',
    ]
    if (pipelined) client.sendRaw(`${commands.join('\r\n')}\r\n`)
    for (const command of commands) {
      const reply = pipelined ? await client.reply() : await client.command(command)
      if (!/^[23]/.test(reply)) return reply
    }
    const message = messageOf(plan, transaction)
    stage.dotSent = true
    return await client.command(message)
  }
}

function expect(reply: string, code: string): void {
  if (!reply.startsWith(code)) throw new Error(reply)
}
