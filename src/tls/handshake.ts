/**
 * The server's side of one TLS handshake on one socket (RFC 8446 §4, RFC 5246 §7.3).
 *
 * Taking over from SMTP (STARTTLS): nobody may be reading from the socket any more. The caller removes its `data` and
 * `readable` listeners, pauses the socket and clears its timeout. What it took from the socket in clear text it treats
 * by starttls_injection_policy; what still lies unread in the socket is taken for the client's handshake, so a command
 * smuggled there ends the handshake and is never executed. The reply that is still being written goes out first.
 *
 * Ends in a socket or in a `TlsHandshakeError` with the reason. When the error comes out the socket is destroyed, and
 * the alert went out before: after an error of our own the writing side is closed and what the client still sends is
 * read and dropped for up to a second, because closing at once would reset the connection and could cost the client the
 * alert. The socket that comes out never raises an unhandled error; TLS errors later on destroy it.
 */

import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import { TlsHandshakeError } from './gate.ts'

export interface HandshakeOptions {
  readonly secureContext: SecureContext
  /** another context for the name that the client asks for (RFC 6066 §3); what it throws ends the handshake */
  readonly contextFor?: ((name: string) => SecureContext | undefined) | undefined
  readonly mode: 'unset' | 'none' | 'require'
  /** milliseconds; 0 = no limit */
  readonly timeout: number
}

/** how long a client may take to read the alert, milliseconds */
const LINGER = 1000
/** octets of a client's side: where it sent more, a ticket may not hold its certificate */
const LARGE = 60_000
/** OpenSSL makes none for a session of more than 65,280 octets (construct_stateless_ticket), and ends it */
const NO_TICKET = 'the client certificate is too large for a session ticket'

/** @throws TlsHandshakeError */
export async function handshake(raw: Socket, options: HandshakeOptions): Promise<ServerSocket> {
  // without a handle Node would wrap the dead socket in a stream and wait for ever
  if (raw.destroyed || raw.readableEnded) {
    raw.destroy()
    throw new TlsHandshakeError('connection closed before the handshake')
  }
  raw.pause()
  // errors of the raw socket also reach the TLS socket
  raw.on('error', ignore)
  return await new Promise((resolve, reject) => new ServerSocket(raw, options).shake({ resolve, reject }))
}

/** What has to be waited for, as long as the client is there to hear of it. @throws TlsHandshakeError */
export async function untilClosed<T>(socket: Socket, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const closed = (): void => reject(new TlsHandshakeError('connection closed during the handshake'))
  socket.once('close', closed)
  try {
    return await Promise.race([work, promise])
  } finally {
    socket.off('close', closed)
  }
}

/** Where a handshake ends; an idle session is not to hold what only its handshake needed. */
interface Attempt {
  readonly resolve: (socket: ServerSocket) => void
  readonly reject: (error: TlsHandshakeError) => void
  readonly deadline: NodeJS.Timeout | undefined
  failure?: TlsHandshakeError
}

/** A server-side TLSSocket that gives the client time to read why its handshake failed. */
class ServerSocket extends TLSSocket {
  /** the one that the client's name led to */
  chosenContext: SecureContext
  readonly #raw: Socket
  readonly #timeout: number
  #attempt: Attempt | undefined
  /** the handshake has ended well */
  #secured = false
  /** and nothing of it can fail any more */
  #established = false
  #finish: (() => void) | undefined

  constructor(raw: Socket, { secureContext, contextFor, mode, timeout }: HandshakeOptions) {
    super(raw, {
      isServer: true,
      secureContext,
      requestCert: mode !== 'none',
      // here this only means that a certificate must be presented (SSL_VERIFY_FAIL_IF_NO_PEER_CERT)
      rejectUnauthorized: mode === 'require',
      ...(contextFor === undefined
        ? {}
        : { SNICallback: callback((name) => this.#choose(contextFor(name))) }),
    })
    this.chosenContext = secureContext
    this.#raw = raw
    this.#timeout = timeout
  }

  /** Runs the handshake; one of the two is called. */
  shake(ends: Pick<Attempt, 'resolve' | 'reject'>): void {
    this.#attempt = { ...ends, deadline: startDeadline(this.#timeout, () => this.#tooLate()) }
    // functions that all sockets share
    this.on('_tlsError', failed).on('error', failed).on('close', closed).on('secure', secured)
  }

  #choose(context: SecureContext | undefined): SecureContext | undefined {
    this.chosenContext = context ?? this.chosenContext
    return context
  }

  #tooLate(): void {
    if (this.#attempt !== undefined) this.#attempt.failure ??= new TlsHandshakeError('handshake timeout')
    this.destroy()
  }

  /** Node leaves TLS errors after the handshake to the server object, which is not used here. */
  noteFailure(error: Error): void {
    if (this.#attempt !== undefined) this.#attempt.failure ??= describe(error)
    if (this.#attempt === undefined || this.#secured) this.destroy(error)
  }

  noteClose(): void {
    const attempt = this.#end()
    attempt?.reject(attempt.failure ?? new TlsHandshakeError('connection closed during the handshake'))
  }

  /** In TLS 1.3 the ticket is made after the last message of the handshake: whether it could be is known a little later. */
  noteSecure(): void {
    this.#secured = true
    if (this.#raw.bytesRead <= LARGE) {
      this.#settle()
      return
    }
    // takes what the chain's verification left in OpenSSL's queue of errors: the next read would be blamed for it
    this.getPeerCertificate()
    setImmediate(() => this.#settle())
  }

  #settle(): void {
    if (this.destroyed) return
    this.#established = true
    this.#end()?.resolve(this)
  }

  /** @returns undefined when it has ended before */
  #end(): Attempt | undefined {
    const attempt = this.#attempt
    this.#attempt = undefined
    clearTimeout(attempt?.deadline)
    return attempt
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const alertSent = !this.#established && error !== null && codeOf(error).startsWith('ERR_SSL_')
    if (!alertSent || this.#raw.destroyed) {
      // oxlint-disable-next-line no-underscore-dangle -- the stream's own hook is called so
      super._destroy(error, callback)
      return
    }
    this.#finish = () => {
      this.#finish = undefined
      clearTimeout(timer)
      // oxlint-disable-next-line no-underscore-dangle -- the stream's own hook is called so
      super._destroy(error, callback)
    }
    const timer = setTimeout(() => this.#finish?.(), LINGER)
    this.#raw.once('close', () => this.#finish?.())
    this.#raw.end()
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null) {
      if (this.#finish !== undefined) this.#finish()
      else if (!this.#established) setImmediate(() => this.#closedEarly())
    }
    return super.push(chunk, encoding)
  }

  /** The client closed its side; where half-open connections are allowed nothing else would end this. */
  #closedEarly(): void {
    if (!this.#established && !this.destroyed) this.destroy()
  }
}

function failed(this: ServerSocket, error: Error): void {
  this.noteFailure(error)
}

function closed(this: ServerSocket): void {
  this.noteClose()
}

function secured(this: ServerSocket): void {
  this.noteSecure()
}

type SniCallback = (name: string, done: (error: Error | null, context?: SecureContext) => void) => void

/** An exception would leave OpenSSL waiting, or end the process. */
function callback(contextFor: (name: string) => SecureContext | undefined): SniCallback {
  return (name, done) => {
    let context: SecureContext | undefined
    try {
      context = contextFor(name)
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)))
      return
    }
    done(null, context)
  }
}

function startDeadline(milliseconds: number, run: () => void): NodeJS.Timeout | undefined {
  return milliseconds > 0 ? setTimeout(run, milliseconds) : undefined
}

/** OpenSSL's words, such as `peer did not return a certificate`, or what became of the connection. */
function describe(error: Error): TlsHandshakeError {
  const code = codeOf(error)
  if (code === 'ECONNRESET') return new TlsHandshakeError('connection reset by the client', { cause: error })
  if (error.message.includes(':construct_stateless_ticket:'))
    return new TlsHandshakeError(NO_TICKET, { cause: error })
  const reason = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
  const clean = reason
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 200)
  return new TlsHandshakeError(clean === '' ? code : clean, { cause: error })
}

function codeOf(error: Error): string {
  return 'code' in error ? String(error.code) : ''
}

function ignore(): void {}
