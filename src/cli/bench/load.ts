/**
 * One load from one process: so many connections at once, so many messages over each, as fast as the server answers or
 * at a given rate.
 *
 * With a rate messages fall due at even steps, whether or not the server keeps up; one that finds no connection free waits,
 * and that wait is part of what is told (otherwise a server that stands still would look fast). Only what was answered as it
 * should be counts. After a hundred errors, or a minute without any progress, the load gives up and says so in `errors`.
 */

import { createSecureContext } from 'node:tls'
import { type ClientPlan, LoadClient } from './client.ts'
import { LatencyHistogram } from './latency.ts'
import type { LoadOrder, LoadResult } from './order.ts'

const MAX_ERRORS = 100
const STALL_MS = 60_000
const WATCH_MS = 1000
const LINE = 78
/** how often messages fall due, with a rate */
const PACE_MS = 1

/** @returns what came of it; never throws for what the server does */
export async function runLoad(order: LoadOrder): Promise<LoadResult> {
  const load = new Load(order)
  return await load.run()
}

/** A message with a short header, dot and CRLF at its end included. */
function messageOf(size: number): Buffer {
  const header = 'From: bench@client.example\r\nSubject: load\r\n\r\n'
  const lines = Math.max(0, size - header.length)
  const line = `${'x'.repeat(LINE - 2)}\r\n`
  const body = line.repeat(Math.floor(lines / LINE))
  const last = lines % LINE
  const end = last >= 2 ? `${'x'.repeat(last - 2)}\r\n` : ''
  return Buffer.from(`${header}${body}${end}.\r\n`, 'latin1')
}

/** @param onTicket told of the first TLS session that can be resumed */
export function planOf(
  order: Pick<LoadOrder, 'host' | 'port' | 'security' | 'credential'> & Partial<LoadOrder>,
  onTicket?: () => void,
): ClientPlan {
  const { host, port, security, credential, sender = '', recipient = '', size = 0 } = order
  let latest: Buffer | undefined
  return {
    host,
    port,
    security,
    secureContext: security === 'plain' ? undefined : createSecureContext(credential ?? {}),
    mail: Buffer.from(`MAIL FROM:<${sender}>\r\n`, 'latin1'),
    recipient: Buffer.from(`RCPT TO:<${recipient}>\r\n`, 'latin1'),
    message: messageOf(size),
    awaitQuit: order.awaitQuit ?? true,
    session: () => latest,
    onSession: (session) => {
      if (order.resume !== true || latest !== undefined) return
      latest = session
      onTicket?.()
    },
  }
}

class Load {
  readonly #order: LoadOrder
  readonly #plan: ClientPlan
  readonly #transactions = new LatencyHistogram()
  readonly #fromDue = new LatencyHistogram()
  readonly #late = new LatencyHistogram()
  readonly #errors = new Map<string, number>()
  readonly #ended = Promise.withResolvers<void>()
  readonly #clients = new Set<LoadClient>()
  /** connections, or places for one, that wait for a message to be due */
  readonly #idle: (() => void)[] = []
  #accepted = 0
  #handshakes = 0
  #resumed = 0
  #failures = 0
  /** messages that nobody has begun yet */
  #left: number
  /** places that have not ended */
  #places = 0
  #began = 0
  /** messages that were let go by the clock, with a rate */
  #released = 0
  #begun = 0
  #progress = 0

  constructor(order: LoadOrder) {
    this.#order = order
    this.#plan = planOf(order, () => this.#openPlaces(order.connections - 1))
    this.#left = order.messages
  }

  async run(): Promise<LoadResult> {
    const cpu = process.cpuUsage()
    const began = Date.now()
    this.#began = performance.now()
    const watch = this.#watchForStall()
    const pace = this.#startPace()
    const { connections, resume } = this.#order
    if (connections === 0) this.#ended.resolve()
    // the first connection brings the session that all others resume
    else this.#openPlaces(resume ? 1 : connections)
    await this.#ended.promise
    const ended = Date.now()
    clearInterval(watch)
    clearInterval(pace)
    for (const client of this.#clients) client.destroy()
    const used = process.cpuUsage(cpu)
    return {
      accepted: this.#accepted,
      began,
      ended,
      handshakes: this.#handshakes,
      resumed: this.#resumed,
      errors: Object.fromEntries(this.#errors),
      cpuSeconds: (used.user + used.system) / 1e6,
      transactions: this.#transactions.counts,
      fromDue: this.#fromDue.counts,
      late: this.#late.counts,
    }
  }

  #openPlaces(count: number): void {
    this.#places += count
    for (let n = 0; n < count; n += 1) this.#nextConnection()
  }

  /** One place's next connection, once there is a message for it; without any the place ends. */
  #nextConnection(): void {
    this.#take((due) => new Place(this, due).start())
  }

  /** Calls back with the moment at which a message is due, as soon as that has come; ends the place without one. */
  #take(begin: (due: number) => void): void {
    if (this.#left === 0) {
      this.#endPlace()
      return
    }
    const { rate } = this.#order
    if (rate !== undefined && this.#begun >= this.#released) {
      this.#idle.push(() => this.#take(begin))
      return
    }
    const due = rate === undefined ? performance.now() : this.#began + (this.#begun / rate) * 1000
    this.#left -= 1
    this.#begun += 1
    begin(due)
  }

  get plan(): ClientPlan {
    return this.#plan
  }

  get perConnection(): number {
    return this.#order.perConnection
  }

  /** For a connection that is open: its next message, or none. */
  another(begin: (due: number) => void, none: () => void): void {
    if (this.#left === 0) none()
    else if (this.#order.rate !== undefined && this.#begun >= this.#released) {
      this.#idle.push(() => this.another(begin, none))
    } else this.#take(begin)
  }

  secured(resumed: boolean): void {
    this.#handshakes += 1
    if (resumed) this.#resumed += 1
  }

  accepted(due: number, since: number): void {
    const now = performance.now()
    this.#accepted += 1
    this.#progress += 1
    this.#transactions.add(now - since)
    if (this.#order.rate !== undefined) this.#fromDue.add(now - due)
  }

  opened(client: LoadClient): void {
    this.#clients.add(client)
  }

  closed(client: LoadClient, problem: string | undefined): void {
    this.#clients.delete(client)
    if (problem !== undefined) this.#fail(problem)
    if (this.#failures >= MAX_ERRORS) this.#endPlace()
    else this.#nextConnection()
  }

  #fail(problem: string): void {
    this.#errors.set(problem, (this.#errors.get(problem) ?? 0) + 1)
    this.#failures += 1
    if (this.#failures >= MAX_ERRORS) this.#giveUp()
  }

  #giveUp(): void {
    this.#left = 0
    this.#ended.resolve()
  }

  #endPlace(): void {
    this.#places -= 1
    if (this.#places === 0) this.#ended.resolve()
  }

  #watchForStall(): NodeJS.Timeout {
    let seen = -1
    let since = performance.now()
    return setInterval(() => {
      if (this.#progress !== seen) {
        seen = this.#progress
        since = performance.now()
      } else if (performance.now() - since > STALL_MS) {
        this.#fail(`no progress for ${STALL_MS / 1000} s`)
        this.#giveUp()
      }
    }, WATCH_MS)
  }

  #startPace(): NodeJS.Timeout | undefined {
    const { rate } = this.#order
    if (rate === undefined) return undefined
    let before = performance.now()
    return setInterval(() => {
      const now = performance.now()
      this.#late.add(now - before - PACE_MS)
      before = now
      this.#released = Math.floor(((now - this.#began) / 1000) * rate) + 1
      while (this.#idle.length > 0 && (this.#begun < this.#released || this.#left === 0))
        this.#idle.shift()?.()
    }, PACE_MS)
  }
}

/** One connection's turn, from its first message to its last. */
class Place {
  readonly #load: Load
  readonly #client: LoadClient
  #due: number
  #since = 0
  #sent = 0

  constructor(load: Load, due: number) {
    this.#load = load
    this.#due = due
    this.#client = new LoadClient(load.plan, {
      onSecure: (resumed) => load.secured(resumed),
      onReady: () => this.#ready(),
      onAccepted: () => load.accepted(this.#due, this.#since),
      onEnd: (problem) => load.closed(this.#client, problem),
    })
  }

  start(): void {
    this.#since = performance.now()
    this.#load.opened(this.#client)
  }

  #ready(): void {
    const load = this.#load
    if (load.plan.security === 'bare') {
      load.accepted(this.#due, this.#since)
      this.#client.quit()
    } else if (this.#sent === 0) this.#send()
    else if (this.#sent === load.perConnection) this.#client.quit()
    else {
      load.another(
        (due) => {
          this.#due = due
          this.#send()
        },
        () => this.#client.quit(),
      )
    }
  }

  #send(): void {
    this.#sent += 1
    this.#since = performance.now()
    this.#client.send()
  }
}
