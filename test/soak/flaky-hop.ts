/**
 * A next hop on which nobody can rely: it greylists, answers 4xx and 5xx in every stage, drops connections (before, in and
 * after a message, with and without having kept it), is slow, hangs, and is restarted. It writes down what it took.
 *
 * Each message is checked: it must be whole, and of a transaction that was sent.
 */

import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { bodyOf } from './body.ts'
import type { Ledger, Take } from './ledger.ts'
import {
  chance,
  dataFault,
  type Fault,
  messageFault,
  type Plan,
  rcptFault,
  refusedAtRcpt,
  sessionFault,
} from './plan.ts'

export class FlakyHop {
  readonly plan: Plan
  readonly ledger: Ledger
  readonly tls: SecureContext
  connections = 0
  readonly #sockets = new Set<Socket>()
  #server: Server
  #port = 0

  private constructor(plan: Plan, ledger: Ledger, credential: { key: string; cert: string }) {
    this.plan = plan
    this.ledger = ledger
    this.tls = createSecureContext(credential)
    this.#server = createServer()
  }

  static async start(
    plan: Plan,
    ledger: Ledger,
    credential: { readonly key: string; readonly cert: string },
  ): Promise<FlakyHop> {
    const hop = new FlakyHop(plan, ledger, credential)
    await hop.#listen()
    return hop
  }

  get port(): number {
    return this.#port
  }

  /** Breaks every connection off, is away for a while, comes back on the same port. */
  async restart(milliseconds: number): Promise<void> {
    this.ledger.restarted()
    await this.close()
    await delay(milliseconds)
    await this.#listen()
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #listen(): Promise<void> {
    this.#server = createServer((socket) => this.#accept(socket))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.#port = (this.#server.address() as AddressInfo).port
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('close', () => this.#sockets.delete(socket))
    this.connections += 1
    void new HopSession(socket, this.connections, this).run()
  }
}

/** The connection is over: it ended, or it was dropped. */
class Gone extends Error {}

class HopSession {
  readonly #hop: FlakyHop
  readonly #number: number
  #socket: Socket
  #input = ''
  #searched = 0
  #ended = false
  #wake: () => void = () => undefined
  #step = 0
  /** of the transaction; undefined: there is none */
  #sender: string | undefined
  #units: number[] = []
  /** what the last message made, until something comes after it */
  #open: Take[] = []

  constructor(socket: Socket, number: number, hop: FlakyHop) {
    this.#socket = socket
    this.#number = number
    this.#hop = hop
    this.#listen(socket)
  }

  async run(): Promise<void> {
    try {
      await this.#faulty(this.#sessionFault())
      this.#say('220 hop.test ESMTP')
      for (;;) {
        const line = await this.#until('\r\n')
        for (const take of this.#open) take.state = 'confirmed'
        this.#open = []
        await this.#command(line)
      }
    } catch (error) {
      // in place of the banner
      if (error instanceof Refused) this.#socket.end(`${error.message}\r\n`)
      else this.#socket.destroy()
      if (!(error instanceof Gone) && !(error instanceof Refused)) this.#hop.ledger.fault(String(error))
    }
  }

  async #command(line: string): Promise<void> {
    try {
      await this.#obey(line)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      this.#say(error.message)
      if (!error.message.startsWith('421')) return
      this.#socket.end()
      throw new Gone()
    }
  }

  async #obey(line: string): Promise<void> {
    const [verb = ''] = line.split(/[ :]/, 1)
    switch (verb) {
      case 'EHLO':
        await this.#faulty(this.#sessionFault())
        return this.#say(
          `250-hop.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES${this.#secure ? '' : '\r\n250-STARTTLS'}\r\n250 SIZE 0`,
        )
      case 'STARTTLS':
        return await this.#startTls()
      case 'MAIL':
        return await this.#mail(/<(.*?)>/.exec(line)?.[1] ?? '')
      case 'RCPT':
        return await this.#rcpt(line)
      case 'DATA':
        return await this.#data()
      case 'RSET':
        this.#sender = undefined
        return this.#say('250 2.0.0 ok')
      case 'QUIT':
        this.#socket.end('221 2.0.0 bye\r\n')
        throw new Gone()
      default:
        this.#hop.ledger.fault(`the next hop was told ${JSON.stringify(line.slice(0, 80))}`)
        return this.#say('500 5.5.1 what?')
    }
  }

  async #mail(sender: string): Promise<void> {
    this.#sender = undefined
    this.#units = []
    await this.#faulty(this.#sessionFault())
    if (sender.startsWith('mail')) throw new Refused('550 5.7.1 not from you')
    this.#sender = sender
    this.#say('250 2.1.0 ok')
  }

  async #rcpt(line: string): Promise<void> {
    if (this.#sender === undefined) throw new Refused('503 5.5.1 MAIL first')
    const { plan, ledger } = this.#hop
    const [, unitText, domain] = /<u(\d+)@d(\d+)\.hop\.test>/.exec(line) ?? []
    if (unitText === undefined) throw new Error(`a recipient that nobody named: ${line}`)
    const unit = Number(unitText)
    const attempt = ledger.attempt(unit)
    await this.#faulty(rcptFault(plan.seed, unit, Number(domain), attempt))
    if (refusedAtRcpt(plan.seed, unit)) {
      ledger.refuse(unit)
      throw new Refused('550 5.1.1 no such user')
    }
    this.#units.push(unit)
    this.#say('250 2.1.5 ok')
  }

  async #data(): Promise<void> {
    const { plan, ledger } = this.#hop
    const [unit] = this.#sender === undefined ? [] : this.#units
    if (unit === undefined) throw new Refused('554 5.5.1 no valid recipients')
    if (this.#sender?.startsWith('data') === true) throw new Refused('554 5.6.0 not that')
    const attempt = ledger.attemptsOf(unit)
    const fault = dataFault(plan.seed, unit, attempt)
    if (fault !== 'drop-inside') await this.#faulty(fault)
    this.#say('354 go ahead')
    if (fault === 'drop-inside') {
      await this.#until('\r\n')
      throw new Gone()
    }
    const message = await this.#until('\r\n.\r\n')
    const [, number] = /^X-Soak: t(\d+)$/m.exec(message) ?? []
    const transaction = plan.transactions[Number(number)]
    const plain = message.replaceAll(/^\./gm, '')
    if (transaction === undefined || !plain.endsWith(`\r\n\r\n${bodyOf(transaction)}`)) {
      ledger.fault(`what came for unit ${unit} is not whole: ${JSON.stringify(message.slice(-60))}`)
    }
    await this.#decide(messageFault(plan.seed, unit, attempt), transaction?.fate ?? 'taken')
  }

  async #decide(fault: Fault | undefined, fate: string): Promise<void> {
    const { ledger } = this.#hop
    if (fate === 'message' || fate === 'null-sender') {
      for (const unit of this.#units) ledger.refuse(unit)
      throw new Refused('554 5.7.1 we do not like it')
    }
    if (fault === 'later' || fault === 'busy' || fault === 'drop-untaken') {
      return await this.#faulty(fault === 'drop-untaken' ? 'drop' : fault)
    }
    const takes = this.#units.map((unit) => ledger.take(unit))
    this.#units = []
    if (fault === 'drop-taken' || fault === 'hang') {
      for (const take of takes) take.state = 'dropped'
      // the other end gives up first
      if (fault === 'hang') await this.#until('\0')
      throw new Gone()
    }
    if (fault === 'slow') await this.#faulty('slow')
    for (const take of takes) take.state = 'unconfirmed'
    this.#open = takes
    this.#say('250 2.0.0 kept')
  }

  #sessionFault(): Fault | undefined {
    this.#step += 1
    return sessionFault(this.#hop.plan.seed, this.#number, this.#step)
  }

  async #faulty(fault: Fault | undefined): Promise<void> {
    if (fault === undefined) return
    if (fault === 'later') throw new Refused('451 4.7.1 greylisted, come back later')
    if (fault === 'busy') throw new Refused('421 4.3.2 too busy')
    if (fault !== 'slow') throw new Gone()
    await delay(20 + 300 * chance(this.#hop.plan.seed, this.#number, 1000 + this.#step))
    if (this.#ended) throw new Gone()
  }

  get #secure(): boolean {
    return this.#socket instanceof TLSSocket
  }

  async #startTls(): Promise<void> {
    this.#say('220 2.0.0 go ahead')
    const raw = this.#socket
    raw.removeAllListeners('data')
    this.#input = ''
    this.#socket = new TLSSocket(raw, { isServer: true, secureContext: this.#hop.tls })
    this.#listen(this.#socket)
    await Promise.resolve()
  }

  #listen(socket: Socket): void {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      this.#input += chunk.toString('latin1')
      this.#wake()
    })
    for (const event of ['end', 'close']) {
      socket.on(event, () => {
        this.#ended = true
        this.#wake()
      })
    }
  }

  #say(text: string): void {
    if (this.#ended) throw new Gone()
    this.#socket.write(`${text}\r\n`, 'latin1')
  }

  /** What comes before the mark. */
  async #until(mark: string): Promise<string> {
    this.#searched = 0
    for (;;) {
      const at = this.#input.indexOf(mark, this.#searched)
      if (at >= 0) {
        const text = this.#input.slice(0, at)
        this.#input = this.#input.slice(at + mark.length)
        return text
      }
      this.#searched = Math.max(0, this.#input.length - mark.length)
      if (this.#ended) throw new Gone()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** The answer to a command that is not obeyed. */
class Refused extends Error {}
