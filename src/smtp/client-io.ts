/**
 * The bytes of one client: read when asked for, written in batches, both with deadlines.
 *
 * Nothing is read ahead beyond the socket's own buffer, so a session that is busy stops its client by TCP. Replies
 * are collected and leave with `flush`, so that pipelined commands are answered in one segment (RFC 2920 §3.2). A
 * client that does not take its replies is cut off: nothing more is read from it until they are gone, and not for
 * longer than the limit.
 *
 * Socket errors never surface as events: the next read says `end`, the next flush throws ClientGoneError.
 */

import type { Socket } from 'node:net'
import type { SessionLimits } from './services.ts'

export type Received =
  | { readonly kind: 'chunk'; readonly chunk: Buffer }
  | { readonly kind: 'end' }
  | { readonly kind: 'timeout' }
  /** `interrupt()` was called while waiting */
  | { readonly kind: 'interrupted' }

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
  #interrupted = false
  #wake: (() => void) | undefined
  #outgoing: string[] = []
  #outgoingLength = 0
  readonly #gone = new Leave()
  readonly #departed = new Leave()
  readonly #closed: Promise<void>

  constructor(socket: Socket, limits: Pick<SessionLimits, 'writeStall' | 'lingerTime' | 'lingerOctets'>) {
    this.#raw = socket
    this.#socket = socket
    this.#limits = limits
    // A client may send everything and shut down its side; it still gets its replies.
    socket.allowHalfOpen = true
    socket.on('error', () => this.#lost())
    this.#closed = new Promise((resolve) => {
      if (socket.closed) resolve()
      else socket.once('close', () => resolve())
    })
    void this.#closed.then(() => this.#lost())
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
    return this.#outgoingLength
  }

  /** Waits for bytes. `timeout` in milliseconds; undefined waits for ever. */
  async read(timeout: number | undefined): Promise<Received> {
    this.#listen()
    const deadline = timeout === undefined ? undefined : performance.now() + timeout
    for (;;) {
      const chunk = this.#socket.read() as Buffer | null
      if (chunk !== null) return { kind: 'chunk', chunk }
      if (this.#ended || this.#gone.taken) return { kind: 'end' }
      if (this.#interrupted) {
        this.#interrupted = false
        return { kind: 'interrupted' }
      }
      const left = deadline === undefined ? undefined : deadline - performance.now()
      if (left !== undefined && left <= 0) return { kind: 'timeout' }
      await this.#wait(left)
    }
  }

  /** Makes a read that waits, or the next one, come back with `interrupted` unless there are bytes. */
  interrupt(): void {
    this.#interrupted = true
    this.#wake?.()
  }

  /** Queues a reply (a byte string that ends in CR LF). */
  send(text: string): void {
    this.#outgoing.push(text)
    this.#outgoingLength += text.length
  }

  /** Notices from here on when the client leaves, before anything is read or written. */
  watch(): void {
    this.#listen()
  }

  /** Writes what was queued and waits while the client takes nothing. @throws ClientGoneError */
  async flush(): Promise<void> {
    if (this.#outgoingLength === 0) return
    const text = this.#outgoing.join('')
    this.#outgoing = []
    this.#outgoingLength = 0
    if (this.#gone.taken || !this.#socket.writable) throw new ClientGoneError()
    this.#listen()
    if (this.#socket.write(text, 'latin1')) return
    const deadline = performance.now() + this.#limits.writeStall
    while (this.#socket.writableNeedDrain) {
      const left = deadline - performance.now()
      if (left <= 0 || this.#gone.taken) {
        this.#socket.destroy()
        throw new ClientGoneError('the client does not read its replies')
      }
      await this.#wait(left)
    }
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
    this.#socket.off('readable', this.#onReadable)
    this.#socket.off('end', this.#onEnd)
    this.#socket.off('drain', this.#onDrain)
    this.#reading = false
    return this.#socket
  }

  /** Goes on over a TLS socket that stands on the accepted one. */
  attach(socket: Socket): void {
    this.#socket = socket
    socket.allowHalfOpen = true
    socket.on('error', () => this.#lost())
    socket.once('close', () => this.#lost())
    if (socket.destroyed) this.#lost()
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
      this.#socket.destroy()
      this.#raw.destroy()
      await this.#closed
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
    while (octets <= this.#limits.lingerOctets) {
      const left = deadline - performance.now()
      if (left <= 0) return
      const received = await this.read(left)
      if (received.kind === 'end' || received.kind === 'timeout') return
      if (received.kind === 'chunk') octets += received.chunk.length
    }
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
    this.#wake?.()
  }

  readonly #onDrain = (): void => this.#wake?.()

  readonly #onEnd = (): void => {
    this.#ended = true
    this.#departed.take()
    this.#wake?.()
  }

  #lost(): void {
    this.#gone.take()
    this.#departed.take()
    this.#wake?.()
  }

  /** Until something happens or the time is over. */
  #wait(milliseconds: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
      const timer =
        milliseconds === undefined ? undefined : setTimeout(done, Math.min(milliseconds, LONGEST_TIMER))
      this.#wake = done
    })
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

/** what setTimeout can count; a longer wait is cut into several by the loops that call #wait */
const LONGEST_TIMER = 2_147_483_647
