/**
 * One connection of the load generator: connects, says EHLO (STARTTLS and EHLO again), sends messages one command at a
 * time (no PIPELINING), says QUIT. All it writes is made beforehand, and callbacks instead of promises keep its own cost per message low.
 *
 * Anything but the one expected reply ends it with an error that quotes the reply. It never waits on its own clock: the
 * load as a whole has a watch for a server that stands still.
 */

import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls'

/** What all connections of one load share. */
export interface ClientPlan {
  readonly host: string
  readonly port: number
  readonly security: 'plain' | 'starttls' | 'bare'
  readonly secureContext: SecureContext | undefined
  readonly mail: Buffer
  readonly recipient: Buffer
  readonly message: Buffer
  readonly awaitQuit: boolean
  /** the session to resume, if there is one */
  readonly session: () => Buffer | undefined
  readonly onSession: (session: Buffer) => void
}

/** Told of one connection's life; after `onEnd` nothing more comes. */
export interface ClientListener {
  /** TLS is up */
  readonly onSecure: (resumed: boolean) => void
  /** a message may be sent; for a bare connection: its line has come */
  readonly onReady: () => void
  /** the server has taken the message */
  readonly onAccepted: () => void
  /** @param problem undefined after a proper end */
  readonly onEnd: (problem: string | undefined) => void
}

const EHLO = Buffer.from('EHLO client.example\r\n')
const STARTTLS = Buffer.from('STARTTLS\r\n')
const DATA = Buffer.from('DATA\r\n')
const QUIT = Buffer.from('QUIT\r\n')
const NEWLINE = 0x0a
const HYPHEN = 0x2d

type Step = 'banner' | 'ehlo' | 'starttls' | 'ready' | 'mail' | 'rcpt' | 'data' | 'message' | 'quit' | 'over'

/** the only reply with which each step goes on */
const EXPECTED: Readonly<Record<Exclude<Step, 'ready' | 'over'>, string>> = {
  banner: '220',
  ehlo: '250',
  starttls: '220',
  mail: '250',
  rcpt: '250',
  data: '354',
  message: '250',
  quit: '221',
}

export class LoadClient {
  readonly #plan: ClientPlan
  readonly #listener: ClientListener
  #socket: Socket
  #step: Step = 'banner'
  #secured = false
  /** the beginning of a line whose end has not come yet */
  #rest: Buffer | undefined

  constructor(plan: ClientPlan, listener: ClientListener) {
    this.#plan = plan
    this.#listener = listener
    const { host, port } = plan
    if (plan.security === 'bare') this.#socket = this.#secure({ host, port })
    else {
      this.#socket = connectPlain({ host, port, noDelay: true })
      this.#watch(this.#socket)
    }
  }

  /** Sends the message; only when ready. */
  send(): void {
    this.#step = 'mail'
    this.#socket.write(this.#plan.mail)
  }

  /** Says goodbye; only when ready. */
  quit(): void {
    if (this.#plan.security === 'bare') {
      this.#over(undefined)
      return
    }
    this.#step = 'quit'
    this.#socket.write(QUIT)
    if (!this.#plan.awaitQuit) this.#over(undefined)
  }

  /** Cuts the connection; nothing is told any more. */
  destroy(): void {
    this.#step = 'over'
    this.#socket.destroy()
  }

  #watch(socket: Socket): void {
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', (error: Error) => this.#over(`${this.#step}: ${nameOf(error)}`))
    socket.on('close', () => this.#over(`${this.#step}: connection closed`))
  }

  #secure(over: { readonly socket: Socket } | { readonly host: string; readonly port: number }): TLSSocket {
    const { secureContext, session, onSession } = this.#plan
    const resumable = session()
    const socket = connectTls({
      ...over,
      ...(secureContext === undefined ? {} : { secureContext }),
      ...(resumable === undefined ? {} : { session: resumable }),
      rejectUnauthorized: false,
    })
    socket.setNoDelay(true)
    socket.once('secureConnect', () => {
      this.#secured = true
      this.#listener.onSecure(socket.isSessionReused())
      if (this.#plan.security === 'starttls') this.#say('ehlo', EHLO)
    })
    if (resumable === undefined) socket.on('session', onSession)
    this.#watch(socket)
    return socket
  }

  #onData(chunk: Buffer): void {
    let data = chunk
    if (this.#rest !== undefined) {
      data = Buffer.concat([this.#rest, chunk])
      this.#rest = undefined
    }
    let start = 0
    for (let end = data.indexOf(NEWLINE); end >= 0; end = data.indexOf(NEWLINE, start)) {
      // a line with a hyphen after its code is not the last one of its reply
      if (data[start + 3] !== HYPHEN) this.#onReply(data, start, end)
      start = end + 1
    }
    if (start < data.length) this.#rest = data.subarray(start)
  }

  #onReply(data: Buffer, start: number, end: number): void {
    const step = this.#step
    if (step === 'over') return
    const code = data.toString('latin1', start, start + 3)
    if (step === 'ready' || code !== EXPECTED[step]) {
      this.#over(`${step}: ${data.toString('latin1', start, Math.min(end, start + 200)).trim()}`)
      return
    }
    this.#advance(step)
  }

  #advance(step: keyof typeof EXPECTED): void {
    switch (step) {
      case 'banner':
        if (this.#plan.security === 'bare') this.#ready()
        else this.#say('ehlo', EHLO)
        return
      case 'ehlo':
        if (this.#plan.security === 'starttls' && !this.#secured) this.#say('starttls', STARTTLS)
        else this.#ready()
        return
      case 'starttls':
        this.#startTls()
        return
      case 'mail':
        this.#say('rcpt', this.#plan.recipient)
        return
      case 'rcpt':
        this.#say('data', DATA)
        return
      case 'data':
        this.#say('message', this.#plan.message)
        return
      case 'message':
        this.#listener.onAccepted()
        this.#ready()
        return
      case 'quit':
        this.#over(undefined)
        return
    }
  }

  #say(step: Step, octets: Buffer): void {
    this.#step = step
    this.#socket.write(octets)
  }

  #ready(): void {
    this.#step = 'ready'
    this.#listener.onReady()
  }

  #startTls(): void {
    const raw = this.#socket
    raw.removeAllListeners('data')
    raw.removeAllListeners('close')
    this.#step = 'ehlo'
    this.#socket = this.#secure({ socket: raw })
  }

  #over(problem: string | undefined): void {
    if (this.#step === 'over') return
    this.#step = 'over'
    if (problem === undefined) this.#socket.end()
    else this.#socket.destroy()
    this.#listener.onEnd(problem)
  }
}

/** A code such as ECONNREFUSED, else the message. */
function nameOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
