/**
 * One POST over HTTP/1.1 (RFC 9110, 9112), streamed. No redirect is followed and no proxy is used. One deadline holds for
 * all of it; once a status has come it stands, whatever happens to the rest of the answer, of which little is read.
 */

import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http'
import { type Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { StoredContent } from '../../spool/spool.ts'

// not imported: an import reads all that node:http has, which brings in undici
const { request: httpRequest } = process.getBuiltinModule('node:http')

export interface PostRequest {
  readonly url: URL
  readonly agent: HttpAgent | HttpsAgent
  readonly headers: Readonly<Record<string, string>>
  readonly content: StoredContent
  /** seconds */
  readonly timeout: number
}

export type Posted = {
  /** the receiver's address, '' when there was no connection */
  readonly remote: string
} & (
  | {
      readonly kind: 'answered'
      readonly status: number
      /** the receiver had been sent all of the message by then */
      readonly whole: boolean
      /** of Retry-After, as it was sent */
      readonly retryAfter: string | undefined
      /** the beginning of an answer in plain text, as a byte string */
      readonly text: string
    }
  | {
      readonly kind: 'failed'
      readonly reason: string
      readonly connected: boolean
      /** a connection that was kept, and that the receiver had closed by then: nothing was said on it */
      readonly stale: boolean
    }
)

const MAX_ANSWER = 64 * 1024
const MAX_TEXT = 1000

/** @throws the signal's reason, or what reading the content throws */
export async function post(job: PostRequest, signal: AbortSignal): Promise<Posted> {
  signal.throwIfAborted()
  const send = job.url.protocol === 'https:' ? httpsRequest : httpRequest
  const request = send(job.url, { method: 'POST', agent: job.agent, headers: job.headers })
  const exchange = new Exchange(request)
  const timer = setTimeout(() => exchange.fail('no answer in time'), job.timeout * 1000)
  const abort = (): void => exchange.fail('aborted')
  signal.addEventListener('abort', abort, { once: true })
  try {
    await exchange.send(job.content)
    const posted = await exchange.ended
    signal.throwIfAborted()
    return posted
  } catch (error) {
    request.destroy()
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

class Exchange {
  readonly ended: Promise<Posted>
  readonly #request: ClientRequest
  #settle: (posted: Posted) => void = () => undefined
  #over = false
  #sent = false
  #remote = ''
  #connected = false
  #response: IncomingMessage | undefined
  #text = ''
  #wake: (() => void) | undefined

  constructor(request: ClientRequest) {
    this.#request = request
    this.ended = new Promise((resolve) => {
      this.#settle = resolve
    })
    request.on('socket', (socket) => {
      const connected = (): void => {
        this.#connected = true
        this.#remote = socket.remoteAddress ?? ''
      }
      if (socket.connecting) socket.once('connect', connected)
      else connected()
    })
    request.on('drain', () => this.#wake?.())
    request.on('response', (response) => this.#answer(response))
    request.on('error', (error) => this.#finish(codeOf(error)))
    request.on('close', () => this.#finish('the connection was closed'))
  }

  /** Sends the message, or as much of it as the receiver wants before it answers. @throws what reading the content throws */
  async send(content: StoredContent): Promise<void> {
    await this.#write(content.header)
    for await (const chunk of content.body()) {
      if (this.#isDecided) return
      await this.#write(chunk)
    }
    if (this.#isDecided) return
    this.#sent = true
    this.#request.end()
  }

  fail(reason: string): void {
    this.#finish(reason)
    this.#request.destroy()
  }

  get #isDecided(): boolean {
    return this.#over || this.#response !== undefined
  }

  async #write(octets: Uint8Array): Promise<void> {
    if (this.#isDecided || octets.length === 0 || this.#request.write(octets)) return
    while (this.#request.writableNeedDrain && !this.#isDecided) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #answer(response: IncomingMessage): void {
    this.#response = response
    const isText = /^text\/plain\b/i.test(response.headers['content-type'] ?? '')
    let read = 0
    response.on('error', () => undefined)
    response.on('data', (chunk: Buffer) => {
      read += chunk.length
      if (isText) this.#text += chunk.toString('latin1', 0, Math.max(0, MAX_TEXT - this.#text.length))
      if (read > MAX_ANSWER) this.fail('the answer is too long')
    })
    response.on('end', () => this.#finish(''))
    response.on('close', () => this.#finish(''))
    this.#wake?.()
  }

  #finish(reason: string): void {
    if (this.#over) return
    this.#over = true
    const { statusCode: status, headers } = this.#response ?? {}
    const remote = this.#remote
    if (status === undefined) {
      const stale = this.#request.reusedSocket && /^(?:ECONNRESET|EPIPE)$/.test(reason)
      const words = inWords[reason] ?? reason
      this.#settle({ kind: 'failed', reason: words, connected: this.#connected, stale, remote })
    } else {
      const retryAfter = headers?.['retry-after']
      this.#settle({ kind: 'answered', status, whole: this.#sent, retryAfter, text: this.#text, remote })
      // what was not read, or not sent, keeps no connection
      if (!this.#sent || this.#response?.complete !== true) this.#request.destroy()
    }
    this.#wake?.()
  }
}

const inWords: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset',
  ENOTFOUND: 'no such host',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
