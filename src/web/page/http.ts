/** The parts of HTTP that the page needs: cookies, JSON bodies of a bounded size, answers with the headers that a browser is held by. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { printable } from '../../console/render.ts'

/** octets of a body; a chain of certificates fits */
const MAX_BODY = 64 * 1024

/** The request cannot be answered as it is. */
export class PageError extends Error {
  readonly status: number

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PageError'
    this.status = status
  }
}

/** The value of a cookie; undefined too where it was sent twice, since one of them is somebody else's. */
export function cookieOf({ headers }: IncomingMessage, name: string): string | undefined {
  const found = (headers.cookie ?? '')
    .split(';')
    .map((each) => each.trim())
    .filter((each) => each.startsWith(`${name}=`))
    .map((each) => each.slice(name.length + 1))
  return found.length === 1 && /^[\w-]{43}$/.test(found[0] ?? '') ? found[0] : undefined
}

/** @param value undefined: the cookie goes */
export function cookieLine(name: string, value: string | undefined, secure: boolean): string {
  const end = value === undefined ? '; Max-Age=0' : ''
  return `${name}=${value ?? ''}; Path=/; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}${end}`
}

/**
 * A JSON object. No form of another site can send this type without being asked first (CORS), and nobody answers that.
 * @throws PageError
 */
export async function readObject(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  if (!/^application\/json(?:\s*;\s*charset=utf-8)?$/i.test(request.headers['content-type'] ?? ''))
    throw new PageError(415, 'a body of JSON is expected')
  const octets = await readBody(request)
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(octets))
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Readonly<Record<string, unknown>>
  } catch {
    // said below
  }
  throw new PageError(400, 'this is no JSON object')
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    // what comes after a body that is too large stays unread: the connection ends with the answer
    for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_BODY) throw new PageError(413, `more than ${MAX_BODY} octets`)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof PageError) throw error
    // a client that leaves in the middle is nobody's alarm
    throw new PageError(400, 'this body has no end', { cause: error })
  }
  return Buffer.concat(chunks)
}

/** A field of text. @throws PageError where it is none, or too long */
export function textField(body: Readonly<Record<string, unknown>>, name: string, longest = 1024): string {
  const value = Object.hasOwn(body, name) ? body[name] : ''
  if (typeof value !== 'string' || value.length > longest)
    throw new PageError(400, `${name} is text of at most ${longest} characters`)
  return value
}

export interface PageAnswer {
  readonly status: number
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Data as JSON. In every text of it what could not be seen, or would turn text round, is written out, so that the page shows what
 * certificates, clients and files are called, and cannot be made to show anything else.
 */
export function json(
  data: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): PageAnswer {
  const body = JSON.stringify(data, (_key, value: unknown) =>
    typeof value === 'string' ? printable(value) : value,
  )
  return { status, type: 'application/json; charset=utf-8', body: `${body}\n`, headers }
}

/** Scripts and styles from here and nowhere else, and not a word of HTML that a script has made. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

export function answerWith(response: ServerResponse, { status, type, body, headers }: PageAnswer): void {
  const octets = typeof body === 'string' ? Buffer.from(body, 'utf8') : body
  response.writeHead(status, {
    ...(status === 204 || status === 304 ? {} : { 'Content-Type': type, 'Content-Length': octets.length }),
    Connection: 'close',
    'Cache-Control': 'no-store',
    'Content-Security-Policy': POLICY,
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Referrer-Policy': 'no-referrer',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
    ...headers,
  })
  response.end(octets)
}
