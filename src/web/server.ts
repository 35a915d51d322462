/**
 * HTTP for whoever watches: `/metrics` and `/healthz`, GET and HEAD, and, on places that want them, the endpoints of
 * scripts. Takes connections that others have accepted, with TLS or without.
 *
 * One request per connection, and one deadline for all of it, so that no client can hold a connection longer than that;
 * connections and octets of a request's head are bounded, and a body is never read. Nothing here changes anything, but an endpoint
 * may.
 */

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { PageSettings } from '../config/settings.ts'
import { type AnsweredNames, isAnswered } from './host-names.ts'
import type { OperatorPage } from './page/page.ts'
import { isAuthorized, type Visitor } from './visitor.ts'

// not imported: an import reads all that node:http has, which brings in undici
const { createServer } = process.getBuiltinModule('node:http')

export interface WebLimits {
  readonly connections: number
  /** octets of request line and header */
  readonly head: number
  /** milliseconds from the first octet that may come to the last one that was sent */
  readonly deadline: number
  /** the same for the operators' page, from when its request has come: an act may take its time */
  readonly pageDeadline: number
}

export const webLimits: WebLimits = { connections: 256, head: 8192, deadline: 15_000, pageDeadline: 60_000 }

export interface Page {
  readonly contentType: string
  readonly text: string
}

/** What is asked of an endpoint. Byte strings. */
export interface ScriptRequest {
  readonly method: string
  /** of the URL, without its query */
  readonly path: string
  /** path and query, as the client wrote them */
  readonly url: string
}

export type ScriptAnswer =
  | {
      readonly kind: 'answered'
      readonly status: number
      readonly contentType: string
      /** octets */
      readonly body: string
    }
  | { readonly kind: 'wrong-method'; readonly allowed: readonly string[] }
  | { readonly kind: 'failed' }
  /** too many are under way */
  | { readonly kind: 'busy' }

export interface WebServerOptions {
  /** by path */
  readonly pages: ReadonlyMap<string, () => Page | Promise<Page>>
  /** asks a script; undefined when none has the path. `gone` is aborted when nobody waits for the answer any more */
  readonly endpoint?: (request: ScriptRequest, gone: AbortSignal) => Promise<ScriptAnswer | undefined>
  /** the operators' page, where a connection has its terms */
  readonly page?: () => OperatorPage | undefined
  readonly onError: (text: string) => void
  readonly limits?: Partial<WebLimits>
}

/** A connection as it comes in. */
export interface WebConnection {
  readonly visitor: Visitor
  /** only a visitor with a verified certificate is answered */
  readonly byCertificate: boolean
  /** by which names it may be asked */
  readonly names: AnsweredNames
  /** whether the endpoints of scripts are there, too */
  readonly scripts: boolean
  /** undefined: the operators' page is not there */
  readonly page?: PageSettings | undefined
  /** of the client, normalised; '' on a UNIX socket */
  readonly remote?: { readonly address: string; readonly port: number }
  /** the connection came in over TLS */
  readonly secure?: boolean
  /** of the Listen; 0 on a UNIX socket */
  readonly localPort?: number
  /** on which socket it came in; `end` ends all of a place */
  readonly place: string
  /** told when the client is found to be somebody who is logged in */
  readonly onLogin?: () => void
}

export class WebServer {
  readonly #options: WebServerOptions
  readonly #limits: WebLimits
  readonly #http: Server
  readonly #connections = new Map<Duplex, WebConnection>()
  readonly #deadlines = new WeakMap<object, NodeJS.Timeout>()
  /** those that have sent a request */
  readonly #asked = new WeakSet<Duplex>()

  constructor(options: WebServerOptions) {
    this.#options = options
    this.#limits = { ...webLimits, ...options.limits }
    this.#http = createServer(
      { maxHeaderSize: this.#limits.head, insecureHTTPParser: false, requireHostHeader: true },
      (request, response) => void this.#answer(request, response),
    )
    // Node answers these by itself otherwise, as if they were a request
    this.#http.on('checkExpectation', (_request, response: ServerResponse) => refuse(response, 417))
    this.#http.on('connect', (_request, socket: Duplex) => socket.destroy())
    this.#http.on('upgrade', (_request, socket: Duplex) => socket.destroy())
    this.#http.on('clientError', (_error, socket: Duplex) => {
      if (socket.writable)
        socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
      else socket.destroy()
    })
  }

  /** How many connections there are, those in a handshake not included. */
  get connections(): number {
    return this.#connections.size
  }

  /** Whether there is room for one more. */
  get hasRoom(): boolean {
    return this.#connections.size < this.#limits.connections
  }

  /** Takes a connection on which nobody has read or written. */
  take(socket: Duplex, connection: WebConnection): void {
    socket.on('error', () => undefined)
    if (!this.hasRoom) {
      socket.destroy()
      return
    }
    this.#connections.set(socket, connection)
    this.#endAfter(socket, this.#limits.deadline)
    socket.once('close', () => {
      clearTimeout(this.#deadlines.get(socket))
      this.#connections.delete(socket)
    })
    this.#http.emit('connection', socket)
    socket.resume()
  }

  /** Ends the connections of a place, or all. */
  end(place?: string): void {
    for (const [socket, connection] of this.#connections)
      if (place === undefined || connection.place === place) socket.destroy()
  }

  #endAfter(socket: Duplex, milliseconds: number): void {
    clearTimeout(this.#deadlines.get(socket))
    this.#deadlines.set(
      socket,
      setTimeout(() => socket.destroy(), milliseconds),
    )
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.shouldKeepAlive = false
    response.on('error', () => undefined)
    // one request per connection: those behind it have been read already, and nothing is done for them
    if (this.#asked.has(request.socket)) return
    this.#asked.add(request.socket)
    const connection = this.#connections.get(request.socket)
    if (connection !== undefined && !isAnswered(request.headersDistinct['host'] ?? [], connection.names)) {
      refuse(response, 421)
      return
    }
    if (connection === undefined || !isAuthorized(connection.visitor, connection.byCertificate)) {
      refuse(response, 403)
      return
    }
    const page = this.#options.pages.get(pathOf(request))
    if (page === undefined && (await this.#answerByPage(request, response, connection))) return
    if (page === undefined) {
      await this.#answerByScript(request, response, connection.scripts)
      return
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('Allow', 'GET, HEAD')
      refuse(response, 405)
      return
    }
    try {
      const { contentType, text } = await page()
      send(response, 200, contentType, text)
    } catch (error) {
      this.#options.onError(`${pathOf(request)}: ${String(error)}`)
      if (!response.headersSent) refuse(response, 500)
    }
  }

  /** @returns false where this is not the page's */
  async #answerByPage(
    request: IncomingMessage,
    response: ServerResponse,
    connection: WebConnection,
  ): Promise<boolean> {
    const { page: terms, place, visitor, secure = false, remote, localPort = 0, onLogin } = connection
    const page = terms === undefined ? undefined : this.#options.page?.()
    if (terms === undefined || page === undefined || !page.owns(pathOf(request))) return false
    const { address, port } = remote ?? { address: '', port: 0 }
    this.#endAfter(request.socket, this.#limits.pageDeadline)
    try {
      const visit = { terms, place, visitor, secure, address, port, localPort, onLogin }
      await page.answer(request, response, visit)
    } catch (error) {
      this.#options.onError(`${pathOf(request)}: ${String(error)}`)
      if (!response.headersSent) refuse(response, 500)
    }
    return true
  }

  /** The panic log has it already when a script fails. */
  async #answerByScript(request: IncomingMessage, response: ServerResponse, scripts: boolean): Promise<void> {
    const { url = '', method = '' } = request
    const ask = scripts ? this.#options.endpoint : undefined
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const answer = await ask?.({ method, path: pathOf(request), url }, gone.signal)
    if (answer === undefined) {
      refuse(response, 404)
      return
    }
    switch (answer.kind) {
      case 'answered':
        send(response, answer.status, answer.contentType, Buffer.from(answer.body, 'latin1'))
        break
      case 'wrong-method':
        response.setHeader('Allow', answer.allowed.join(', '))
        refuse(response, 405)
        break
      case 'failed':
        refuse(response, 500)
        break
      case 'busy':
        refuse(response, 503)
    }
  }
}

const sentences: Readonly<Record<number, string>> = {
  403: 'A client certificate that verifies is needed here.',
  404: 'There is nothing here.',
  405: 'Not this method.',
  417: 'No expectations.',
  421: 'Nothing is answered by this name; Allowed_Hosts of the HTTP_Listener has the names.',
  503: 'Too many requests are under way.',
  500: 'This went wrong inside the server; its panic log has the reason.',
}

function refuse(response: ServerResponse, status: number): void {
  send(response, status, 'text/plain; charset=utf-8', `${sentences[status] ?? ''}\n`)
}

// oxlint-disable-next-line max-params -- the parts of a response
function send(response: ServerResponse, status: number, contentType: string, content: string | Buffer): void {
  const body = typeof content === 'string' ? Buffer.from(content, 'utf8') : content
  const length = status === 204 || status === 304 ? undefined : { 'Content-Length': body.length }
  response.writeHead(status, {
    'Content-Type': contentType,
    ...length,
    Connection: 'close',
    'Cache-Control': 'no-store',
    'Content-Security-Policy':
      "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Resource-Policy': 'same-origin',
  })
  // Node leaves the body of an answer to HEAD out
  response.end(body)
}

function pathOf({ url = '' }: IncomingMessage): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
