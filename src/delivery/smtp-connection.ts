/**
 * The client's end of an SMTP connection: octets out, replies in, every wait with a deadline.
 *
 * What is wrong with the connection is a `ConnectionError`: it cannot be made, breaks, is too slow or talks nonsense. A
 * reply that has been received is handed out even when the connection broke right after it. Replies are bounded in
 * length and in number, and a deadline covers the whole wait, so a host that trickles gains nothing by it.
 *
 * It can become encrypted once (RFC 3207). What the other side said in clear after its 220 ends it: nobody can tell who
 * put it there. Nothing that was said in clear is ever read as if TLS had protected it.
 */

import { connect, type Socket } from 'node:net'
import { type SecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { Transcript } from '../events/transcripts.ts'
import type { Reply } from '../mail/status.ts'
import { LineReader } from '../wire/lines.ts'
import { ReplyParser } from '../wire/reply.ts'

/** `text` is an SMTP reply of our own: `451 4.4.2 [internal] …`. */
export class ConnectionError extends Error {
  readonly text: string

  constructor(text: string, options?: ErrorOptions) {
    super(text, options)
    this.name = 'ConnectionError'
    this.text = text
  }
}

/** There is no TLS on this connection, although it was tried. */
export class TlsFailure extends ConnectionError {
  /** what OpenSSL says, or what became of the connection; printable */
  readonly reason: string

  constructor(reason: string, options?: ErrorOptions) {
    super(`${NEGOTIATION_FAILED} (${reason})`, options)
    this.name = 'TlsFailure'
    this.reason = reason
  }
}

/** RFC 5321 §4.5.3.1.5 says 512; some say more */
const MAX_REPLY_LINE = 4096
/** replies that may arrive before anybody waits for them, besides one for each command that was sent ahead */
const SPARE_REPLIES = 8
/** how long the other side has to close after QUIT */
const CLOSE_MS = 2000
/** what setTimeout can wait */
const MAX_TIMER = 2 ** 31 - 1

export class SmtpConnection {
  #socket: Socket
  /** octets that went out before TLS */
  #sentInClear = 0
  #signal: AbortSignal
  readonly #lines = new LineReader(MAX_REPLY_LINE)
  readonly #parser = new ReplyParser()
  readonly #replies: Reply[] = []
  /** commands that were sent and whose reply nobody has read yet */
  #awaited = 0
  #connected = false
  #failure: Error | undefined
  /** wakes whoever waits for a reply, for room to write, or for the connection */
  #wake: (() => void) | undefined

  /** @param signal its reason is thrown out of every wait when it aborts */
  constructor(
    host: {
      /** or the path of a UNIX socket, which begins with `/` */
      readonly address: string
      readonly port: number
      /** our own address; undefined = the system chooses */
      readonly from?: string | undefined
    },
    signal: AbortSignal,
  ) {
    this.#signal = signal
    const { address, port, from } = host
    const local = from === undefined ? {} : { localAddress: from }
    this.#socket = connect(
      address.startsWith('/') ? { path: address } : { host: address, port, noDelay: true, ...local },
    )
    this.#listen('connect')
    this.resume(signal)
  }

  /**
   * The client's side of a TLS handshake, after the other side's 220 to STARTTLS. A new session always: none is offered
   * for resumption, so the host proves anew who it is.
   * @param options.servername for SNI; undefined for a host that is known by its address alone (RFC 6066 §3)
   * @param options.seconds for the whole handshake; 0 = no limit
   * @throws TlsFailure; the connection is of no use then
   */
  async startTls(options: {
    readonly secureContext: SecureContext
    readonly servername: string | undefined
    readonly seconds: number
  }): Promise<TLSSocket> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#hasUnread) {
      throw this.#tlsFailure('the host went on in clear after its reply to STARTTLS')
    }
    const raw = this.#socket
    for (const event of EVENTS) raw.removeAllListeners(event)
    raw.on('error', () => undefined)
    raw.pause()
    this.#sentInClear = raw.bytesWritten
    const { secureContext, servername } = options
    const socket = tlsConnect({
      socket: raw,
      secureContext,
      // who it is we judge ourselves, from the evidence
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(servername === undefined ? {} : { servername }),
    })
    this.#socket = socket
    this.#connected = false
    this.#listen('secureConnect')
    try {
      await this.#until(() => this.#connected, options.seconds, 'handshake timeout')
    } catch (error) {
      if (this.#signal.aborted || !(error instanceof ConnectionError)) throw error
      throw this.#tlsFailure(reasonOf(error), error)
    }
    return socket
  }

  /** Whether the other side can be expected to listen: nothing broke, and it has not said anything unasked. */
  get isQuiet(): boolean {
    return this.#failure === undefined && !this.#hasUnread
  }

  /** Something came that nobody has asked for: a reply, the beginning of one, or a part of a line. */
  get #hasUnread(): boolean {
    return this.#replies.length > 0 || this.#parser.pending || this.#lines.buffered > 0
  }

  /** Nobody waits for anything until `resume`; an idle connection does not keep the process alive. */
  pause(): void {
    this.#detach()
    this.#socket.unref()
  }

  /** From now on this signal ends every wait. */
  resume(signal: AbortSignal): void {
    this.#signal = signal
    this.#socket.ref()
    signal.addEventListener('abort', this.#abort, { once: true })
    if (signal.aborted) this.#abort()
  }

  /** octets that were handed to the network */
  get bytesSent(): number {
    return this.#sentInClear + this.#socket.bytesWritten
  }

  /** our address; '' before the connection and after it */
  get localAddress(): string {
    return this.#socket.localAddress ?? ''
  }

  /** replies that nobody has read yet */
  get unread(): number {
    return this.#replies.length
  }

  /** Waits for the connection. @param seconds 0 = no limit, here and below @throws ConnectionError */
  async connected(seconds: number): Promise<void> {
    await this.#until(() => this.#connected, seconds, '450 4.4.1 [internal] Connection Timed Out')
  }

  /** So many replies will come to what is sent next, for LMTP: one for each recipient. */
  expect(replies: number): void {
    this.#awaited += replies
  }

  /** The next reply. @param doing for the error's text: `waiting for the reply to MAIL FROM` @throws ConnectionError */
  async reply(seconds: number, doing: string): Promise<Reply> {
    const timeout = `451 4.4.2 [internal] Timed out ${doing}`
    await this.#until(() => this.#replies.length > 0, seconds, timeout)
    const reply = this.#replies.shift()
    this.#awaited = Math.max(0, this.#awaited - 1)
    if (reply === undefined) throw new ConnectionError(CLOSED)
    return reply
  }

  /** told of commands and replies, where an operator asks for it */
  transcript: Transcript | undefined

  /** Sends without waiting: for commands, one in each line. */
  send(octets: string): void {
    this.transcript?.client(octets)
    this.#awaited += octets.split('\n').length - 1
    if (this.#failure === undefined) this.#socket.write(octets, 'latin1')
  }

  /**
   * Sends a piece of the message; settles when there is room for the next one, or when a reply has come in between.
   * @throws ConnectionError
   */
  async write(octets: Buffer, seconds: number): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (octets.length === 0 || this.#socket.write(octets)) return
    const done = (): boolean => !this.#socket.writableNeedDrain || this.#replies.length > 0
    await this.#until(done, seconds, '451 4.4.2 [internal] Timed out sending the message')
  }

  /** Says QUIT and lets go. Nobody has to wait for the other side's goodbye. */
  quit(): void {
    this.send('QUIT\r\n')
    this.#detach()
    this.#socket.end()
    const timer = setTimeout(() => this.#socket.destroy(), CLOSE_MS)
    this.#socket.once('close', () => clearTimeout(timer))
  }

  /** Breaks off. */
  destroy(): void {
    this.#detach()
    this.#socket.destroy()
  }

  #listen(ready: 'connect' | 'secureConnect'): void {
    this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#socket.on('error', (error) => this.#fail(describe(error)))
    this.#socket.on('end', () => this.#fail(new ConnectionError(CLOSED)))
    this.#socket.on('close', () => this.#fail(new ConnectionError(CLOSED)))
    this.#socket.on(ready, () => {
      this.#connected = true
      this.#wake?.()
    })
    this.#socket.on('drain', () => this.#wake?.())
  }

  #tlsFailure(reason: string, cause?: Error): TlsFailure {
    const failure = new TlsFailure(reason, cause === undefined ? {} : { cause })
    this.#failure = failure
    this.#socket.destroy()
    return failure
  }

  /** Waits until `done`; a failure of the connection counts only where `done` is not met. */
  async #until(done: () => boolean, seconds: number, timeout: string): Promise<void> {
    const giveUp = (): void => this.#fail(new ConnectionError(timeout))
    const deadline = seconds === 0 ? undefined : setTimeout(giveUp, Math.min(seconds * 1000, MAX_TIMER))
    try {
      while (!done() || this.#signal.aborted) {
        if (this.#failure !== undefined) throw this.#failure
        await this.#change()
      }
    } finally {
      clearTimeout(deadline)
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #receive(chunk: Buffer): void {
    this.#lines.push(chunk)
    for (let line = this.#lines.next(); line !== undefined; line = this.#lines.next()) {
      if (this.#failure !== undefined) return
      if (line.kind !== 'line') return this.#failNonsense(line.kind)
      this.#receiveLine(line.text)
    }
    this.#wake?.()
  }

  #receiveLine(line: string): void {
    this.transcript?.server(line)
    try {
      const reply = this.#parser.push(line)
      if (reply !== undefined) this.#replies.push(reply)
    } catch (error) {
      this.#failNonsense(error)
    }
    if (this.#replies.length > this.#awaited + SPARE_REPLIES) this.#failNonsense('replies to nothing')
  }

  /** What came before the nonsense is not to be trusted either. */
  #failNonsense(cause: unknown): void {
    this.#replies.length = 0
    this.#fail(new ConnectionError(NONSENSE, { cause }))
  }

  readonly #abort = (): void => {
    const reason: unknown = this.#signal.reason
    this.#fail(reason instanceof Error ? reason : new Error('aborted'))
  }

  /** The first failure counts. */
  #fail(error: Error): void {
    this.#failure ??= error
    this.#socket.destroy()
    this.#wake?.()
  }

  #detach(): void {
    this.#signal.removeEventListener('abort', this.#abort)
  }
}

/** of a socket that is listened to here */
const EVENTS = ['data', 'error', 'end', 'close', 'connect', 'drain'] as const

/** Momentum: message-responses */
const NEGOTIATION_FAILED = '451 4.7.5 [internal] TLS negotiation failed'
const CLOSED = '451 4.4.2 [internal] Connection closed by the remote host'
const NONSENSE = '451 4.5.0 [internal] The remote host does not speak SMTP'

function describe(error: Error): ConnectionError {
  const code = 'code' in error ? String(error.code) : error.message
  // also an alert that comes after the handshake: TLS 1.3 tells a client only then that its certificate is not liked
  if (code.startsWith('ERR_SSL_')) return new TlsFailure(openSslReason(error), { cause: error })
  const known: Readonly<Record<string, string>> = {
    ECONNREFUSED: '451 4.4.1 [internal] Connection refused',
    ECONNRESET: '451 4.4.2 [internal] Connection reset by the remote host',
    EPIPE: CLOSED,
    ETIMEDOUT: '450 4.4.1 [internal] Connection Timed Out',
    // a UNIX socket that nobody has made, or that is not for us
    ENOENT: '451 4.4.1 [internal] There is no such socket',
    EACCES: '451 4.4.1 [internal] No permission to connect to the socket',
    EHOSTUNREACH: '451 4.4.1 [internal] Host unreachable',
    ENETUNREACH: '451 4.4.1 [internal] Network unreachable',
  }
  return new ConnectionError(known[code] ?? `451 4.4.2 [internal] Connection failed (${code})`, {
    cause: error,
  })
}

function openSslReason(error: Error): string {
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
  return reason.replace(/[^ -~]+/g, ' ').slice(0, 200)
}

/** What ended a handshake, without the reply code that stands before it elsewhere. */
function reasonOf(error: ConnectionError): string {
  return error instanceof TlsFailure ? error.reason : error.text.replace(/^\d{3} [\d.]+ \[internal\] /, '')
}
