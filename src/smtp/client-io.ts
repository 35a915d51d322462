/**
 * The bytes of one client: read when asked for, written in batches, both with deadlines.
 *
 * Nothing is read ahead beyond the socket's own buffer, so a session that is busy stops its client by TCP. Who reads
 * takes what is there, and where nothing is, asks to be woken and then looks again: a wake promises nothing. Only one
 * waits at a time. Replies are collected and leave with `flush`, so that pipelined commands are answered in one segment
 * (RFC 2920 §3.2). A client that does not take its replies is cut off: nothing more is read from it until they are gone,
 * and not for longer than the limit.
 *
 * Socket errors never surface as events: the next `take` says `end`, the next flush throws ClientGoneError.
 *
 * A session has one timer, which is set anew only when it has rung or would ring too late.
 */

import type { Socket } from 'node:net'
import type { Transcript } from '../events/transcripts.ts'
import type { SessionLimits } from './services.ts'

export type Received =
  | { readonly kind: 'chunk'; readonly chunk: Buffer }
  /** the client has said its last word, or is gone */
  | { readonly kind: 'end' }

const END: Received = { kind: 'end' }

/** There is nobody left to talk to. */
export class ClientGoneError extends Error {
  constructor(message = 'the client is gone') {
    super(message)
    this.name = 'ClientGoneError'
  }
}

export class ClientIo {
  readonly #limits: Pick<SessionLimits, 'writeStall' | 'lingerTime' | 'lingerOctets'>
  /** the accepted socket; its end is the end of the connection */
  readonly #raw: Socket
  /** what is spoken through now: the accepted socket, or TLS over it */
  #socket: Socket
  #reading = false
  #ended = false
  /** of whoever waits */
  #wake: (() => void) | undefined
  readonly #alarm = new Alarm(() => this.wake())
  #outgoing = ''
  readonly #gone = new Leave()
  readonly #departed = new Leave()
  readonly #closed: Promise<void>

  constructor(socket: Socket, limits: Pick<SessionLimits, 'writeStall' | 'lingerTime' | 'lingerOctets'>) {
    this.#raw = socket
    this.#socket = socket
    this.#limits = limits
    // A client may send everything and shut down its side; it still gets its replies.
    socket.allowHalfOpen = true
    socket.on('error', this.#onLost)
    this.#closed = new Promise((resolve) => {
      const closed = (): void => {
        this.#onLost()
        resolve()
      }
      if (socket.closed) closed()
      else socket.on('close', closed)
    })
  }

  /** aborted when the connection is lost; for waits that are not reads */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /** aborted when the connection is lost, and when the client has said its last word: it may still be listening */
  get departed(): AbortSignal {
    return this.#departed.signal
  }

  /** octets of replies that wait for `flush` */
  get unsent(): number {
    return this.#outgoing.length
  }

  /** What the client has sent; undefined where nothing more is there yet. */
  take(): Received | undefined {
    this.#listen()
    const chunk = this.#socket.read() as Buffer | null
    if (chunk !== null) return { kind: 'chunk', chunk }
    return this.#ended || this.#gone.taken ? END : undefined
  }

  /**
   * Calls `wake` once, as soon as there may be something to take, when the client is gone, at `wake`, or at the
   * deadline (by performance.now(), Infinity for none); perhaps sooner, for nothing. A function that lives as long as
   * the session makes a wait that leaves nothing for the collector of garbage.
   */
  whenMore(deadline: number, wake: () => void): void {
    if (deadline !== Number.POSITIVE_INFINITY && !this.#gone.taken) this.#alarm.ringBy(deadline)
    this.#wake = wake
  }

  /** The same as a promise. */
  more(deadline: number): Promise<void> {
    return new Promise((resolve) => this.whenMore(deadline, resolve))
  }

  /** Whoever waits looks again. */
  wake(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }

  /** told of what is said to the client, where an operator asks for it */
  transcript: Transcript | undefined

  /** Queues a reply (a byte string that ends in CR LF). */
  send(text: string): void {
    this.#outgoing += text
    this.transcript?.server(text)
  }

  /** Notices from here on when the client leaves, before anything is read or written. */
  watch(): void {
    this.#listen()
  }

  /**
   * Writes what was queued.
   * @returns what to wait for while the client takes nothing: a rejection is ClientGoneError
   * @throws ClientGoneError
   */
  flush(): Promise<undefined> | undefined {
    if (this.#outgoing === '') return undefined
    const text = this.#outgoing
    this.#outgoing = ''
    if (this.#gone.taken || !this.#socket.writable) throw new ClientGoneError()
    this.#listen()
    return this.#socket.write(text, 'latin1') ? undefined : this.#drained()
  }

  /**
   * Stops reading so that TLS can take over the socket. Returns what had arrived already: bytes that the client sent
   * in clear text before it could have seen our answer.
   */
  takeBuffered(): Buffer {
    const chunks: Buffer[] = []
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null
      if (chunk === null) break
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  /** Gives the socket away. Reads and writes rest until `attach`. */
  detach(): Socket {
    const socket = this.#socket
    socket.off('readable', this.#onReadable)
    socket.off('end', this.#onEnd)
    socket.off('drain', this.#onDrain)
    this.#reading = false
    return socket
  }

  /** Goes on over a TLS socket that stands on the accepted one. */
  attach(socket: Socket): void {
    this.#socket = socket
    socket.allowHalfOpen = true
    socket.on('error', this.#onLost)
    socket.on('close', this.#onLost)
    if (socket.destroyed) this.#onLost()
  }

  /**
   * Ends the connection: what is queued goes out, then our side is shut down, then the client has a moment to take
   * it. Without that moment unread input would turn the close into a reset that destroys the last reply.
   */
  async close(): Promise<void> {
    try {
      await this.flush()
      this.#socket.end()
      await this.#linger()
    } catch (error) {
      if (!(error instanceof ClientGoneError)) throw error
    } finally {
      await this.destroy()
    }
  }

  /** Ends the connection without a word. */
  async destroy(): Promise<void> {
    this.#socket.destroy()
    this.#raw.destroy()
    await this.#closed
  }

  async #linger(): Promise<void> {
    const deadline = performance.now() + this.#limits.lingerTime
    let octets = 0
    while (octets <= this.#limits.lingerOctets && performance.now() < deadline) {
      const received = this.take()
      if (received?.kind === 'end') return
      if (received === undefined) await this.more(deadline)
      else octets += received.chunk.length
    }
  }

  /** @throws ClientGoneError */
  async #drained(): Promise<undefined> {
    const deadline = performance.now() + this.#limits.writeStall
    while (this.#socket.writableNeedDrain) {
      if (this.#gone.taken || performance.now() >= deadline) {
        this.#socket.destroy()
        throw new ClientGoneError('the client does not read its replies')
      }
      await this.more(deadline)
    }
    return undefined
  }

  #listen(): void {
    if (this.#reading) return
    this.#reading = true
    this.#socket.on('readable', this.#onReadable)
    this.#socket.on('end', this.#onEnd)
    this.#socket.on('drain', this.#onDrain)
    if (this.#socket.readableEnded) this.#onEnd()
  }

  readonly #onReadable = (): void => {
    // An end that nobody reads up to would otherwise go unnoticed while policy lets the client wait.
    if (this.#socket.readableLength === 0) this.#socket.read(0)
    this.wake()
  }

  readonly #onDrain = (): void => this.wake()

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#departed.take()
    this.wake()
  }

  readonly #onLost = (): void => {
    this.#alarm.stop()
    this.#gone.take()
    this.#departed.take()
    this.wake()
  }
}

/** Somebody leaves, once. Few sessions have anything that waits for it, so the signal is made when one is asked for. */
class Leave {
  taken = false
  #controller: AbortController | undefined

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.taken) this.#controller.abort()
    return this.#controller.signal
  }

  take(): void {
    this.taken = true
    this.#controller?.abort()
  }
}

/** Rings at the time asked for last or before it. Who is woken too early asks again, which costs nothing in most cases. */
class Alarm {
  readonly #ring: () => void
  #timer: NodeJS.Timeout | undefined
  /** when the timer goes off, by performance.now() */
  #at = 0

  constructor(ring: () => void) {
    this.#ring = ring
  }

  ringBy(time: number): void {
    if (this.#timer !== undefined) {
      if (this.#at <= time) return
      clearTimeout(this.#timer)
    }
    const left = Math.max(0, time - performance.now())
    this.#at = time
    // a longer wait is cut into several
    this.#timer = setTimeout(this.#rung, Math.min(left, LONGEST_TIMER))
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #rung = (): void => {
    this.#timer = undefined
    this.#ring()
  }
}

/** what setTimeout can count */
const LONGEST_TIMER = 2_147_483_647
