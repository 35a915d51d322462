/**
 * One question over HTTP (RFC 6960 appendix A.1): a POST, and an answer of bounded size.
 *
 * Only 200 with the right type is an answer; a redirect is none. Proxies of the environment are not used. Whatever goes
 * wrong is an `OcspFault` in words for the log. The caller's signal ends the wait.
 */

import type { IncomingMessage } from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { OcspFault } from './fault.ts'

// not imported: an import reads all that node:http has, which brings in undici
const { request: httpRequest } = process.getBuiltinModule('node:http')

export interface Address {
  readonly url: string
  /** PEM; for https, and nothing else is trusted */
  readonly roots: readonly string[] | undefined
}

/** octets; an answer with the signer's certificate has two to four thousand */
const MAX_ANSWER = 64 * 1024
const MAX_HEADERS = 8 * 1024
const TYPE = 'application/ocsp-response'

/** @throws OcspFault */
export async function postRequest(
  { url, roots }: Address,
  body: Buffer,
  signal: AbortSignal,
): Promise<Buffer> {
  try {
    return await readAnswer(await send({ url, roots }, body, signal))
  } catch (error) {
    if (error instanceof OcspFault) throw error
    if (signal.aborted) throw unavailable('no answer in time', error)
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw unavailable(code === 'ECONNREFUSED' ? 'connection refused' : `no answer: ${code}`, error)
  }
}

function send({ url, roots }: Address, body: Buffer, signal: AbortSignal): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const options: RequestOptions = {
    method: 'POST',
    headers: {
      'content-type': 'application/ocsp-request',
      'content-length': body.length,
      accept: TYPE,
      connection: 'close',
    },
    // one of its own: the global one may be told to use a proxy
    agent: false,
    maxHeaderSize: MAX_HEADERS,
    signal,
  }
  const request = url.startsWith('https:')
    ? httpsRequest(url, { ...options, ca: [...(roots ?? [])], rejectUnauthorized: true })
    : httpRequest(url, options)
  request.on('response', resolve)
  request.on('error', reject)
  request.end(body)
  return promise
}

async function readAnswer(response: IncomingMessage): Promise<Buffer> {
  try {
    const { statusCode = 0 } = response
    if (statusCode !== 200) throw unavailable(`the responder answers with HTTP status ${statusCode}`)
    const [type = ''] = (response.headers['content-type'] ?? '').split(';')
    if (type.trim().toLowerCase() !== TYPE) throw unavailable('the answer is of another type')
    const chunks: Buffer[] = []
    let size = 0
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_ANSWER) throw unavailable(`the answer is larger than ${MAX_ANSWER} octets`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    response.destroy()
  }
}

function unavailable(message: string, cause?: unknown): OcspFault {
  return new OcspFault('ocsp-unavailable', message, { cause })
}
