/**
 * One HTTP request, to the URL that is given and nowhere else: redirections are not followed, no proxy is used. A
 * certificate has to verify against the system's roots. The response is bounded, and the whole has a deadline.
 */

import type { IncomingMessage } from 'node:http'
import { request as requestTls } from 'node:https'
import { getCACertificates } from 'node:tls'

// not imported: an import reads all that node:http has, which brings in undici
const { request: requestPlain } = process.getBuiltinModule('node:http')

export interface HttpRequest {
  readonly method: string
  readonly url: URL
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** octets as a byte string */
  readonly body: string | undefined
  /** milliseconds for everything */
  readonly timeout: number
}

export interface HttpResponse {
  readonly code: number
  readonly reason: string
  /** as they came, byte strings */
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly body: Uint8Array
}

export interface HttpRequester {
  /** @throws Error that says what went wrong, or the signal's reason */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>
}

export const maxResponse = 1_048_576
const maxOpen = 1000

export class NodeHttp implements HttpRequester {
  readonly #roots: () => readonly string[]
  #open = 0

  /** @param roots certificates that servers are verified against, PEM; the system's unless given */
  constructor(roots: () => readonly string[] = () => getCACertificates('system')) {
    this.#roots = roots
  }

  async send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    if (this.#open >= maxOpen) throw new Error('too many requests are under way')
    this.#open++
    const deadline = AbortSignal.timeout(request.timeout)
    try {
      return await this.#exchange(request, AbortSignal.any([signal, deadline]))
    } catch (error) {
      if (deadline.aborted) throw new Error('timeout', { cause: error })
      throw error
    } finally {
      this.#open--
    }
  }

  #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    const { method, url, headers, body } = request
    const secure = url.protocol === 'https:'
    const options = {
      method,
      signal,
      agent: false as const,
      headers: headersOf(headers, body),
      ...(secure ? { ca: [...this.#roots()], rejectUnauthorized: true } : {}),
    }
    return new Promise((resolve, reject) => {
      const outgoing = secure ? requestTls(url, options) : requestPlain(url, options)
      outgoing.once('error', reject)
      outgoing.once('response', (response) => {
        readResponse(response).then(resolve, (error: unknown) => {
          outgoing.destroy()
          reject(error instanceof Error ? error : new Error('failed'))
        })
      })
      outgoing.end(body === undefined ? undefined : Buffer.from(body, 'latin1'))
    })
  }
}

function headersOf(headers: HttpRequest['headers'], body: string | undefined): Record<string, string[]> {
  const all: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  for (const [name, value] of headers) (all[name.toLowerCase()] ??= []).push(value)
  if (body !== undefined) all['content-length'] = [String(body.length)]
  all['connection'] = ['close']
  return all
}

async function readResponse(response: IncomingMessage): Promise<HttpResponse> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > maxResponse) throw new Error(`the response is longer than ${maxResponse} octets`)
    chunks.push(chunk)
  }
  const { rawHeaders } = response
  const headers = rawHeaders.flatMap((name, index) =>
    index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? ''] as const] : [],
  )
  return {
    code: response.statusCode ?? 0,
    reason: response.statusMessage ?? '',
    headers,
    body: Buffer.concat(chunks),
  }
}
