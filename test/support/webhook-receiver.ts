/**
 * An application that takes mail by HTTP POST, on a real socket: checks the signature as docs/delivery.md tells it to, and
 * knows a message that it has by its Idempotency-Key.
 */

import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TellableEnvelope } from '../../src/delivery/webhook/envelope-header.ts'

export interface ReceivedPost {
  readonly envelope: TellableEnvelope
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** a byte string */
  readonly body: string
  /** number of the connection that it came over, from 1 */
  readonly connection: number
}

type Answer = (post: ReceivedPost, response: ServerResponse) => void

export class WebhookReceiver {
  /** every request that came whole and was signed with the key, also those that were refused */
  readonly posts: ReceivedPost[] = []
  /** requests that were cut off, or whose signature is wrong */
  bad = 0
  connections = 0
  answer: Answer = (_post, response) => response.writeHead(204).end()
  /** destroys connections once they have brought so many octets */
  dieAfter = Number.POSITIVE_INFINITY
  readonly #key: string
  readonly #server: Server

  private constructor(key: string, tls: ServerOptions | undefined) {
    this.#key = key
    const take = (request: IncomingMessage, response: ServerResponse): void => this.#take(request, response)
    this.#server = tls === undefined ? createServer(take) : createTlsServer(tls, take)
    const numbers = new WeakMap<object, number>()
    this.#number = (socket) => numbers.get(socket) ?? 0
    this.#server.on(tls === undefined ? 'connection' : 'secureConnection', (socket: object) => {
      numbers.set(socket, ++this.connections)
    })
  }

  readonly #number: (socket: object) => number

  static async start(key: string, tls?: ServerOptions): Promise<WebhookReceiver> {
    const receiver = new WebhookReceiver(key, tls)
    await new Promise<void>((resolve) => receiver.#server.listen(0, '127.0.0.1', resolve))
    return receiver
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** What it has kept: each message once. */
  get kept(): readonly ReceivedPost[] {
    return [...new Map(this.posts.map((post) => [post.headers['idempotency-key'], post])).values()]
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = []
    let octets = 0
    request.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      octets += chunk.length
      if (octets > this.dieAfter) request.socket.destroy()
    })
    request.on('error', () => undefined)
    request.on('close', () => {
      if (!request.complete) this.bad++
    })
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      if (!this.#isSigned(request, body)) {
        this.bad++
        response.writeHead(401).end()
        return
      }
      const header = String(request.headers['postern-envelope'])
      const envelope = JSON.parse(Buffer.from(header, 'base64url').toString('utf8')) as TellableEnvelope
      const { headers, socket } = request
      const post = { envelope, headers, body: body.toString('latin1'), connection: this.#number(socket) }
      this.posts.push(post)
      this.answer(post, response)
    })
  }

  #isSigned(request: IncomingMessage, body: Buffer): boolean {
    const [time = '', ...signatures] = String(request.headers['postern-signature']).split(',')
    const at = time.replace(/^t=/, '')
    if (Math.abs(Date.now() / 1000 - Number(at)) > 300) return false
    const mac = createHmac('sha256', this.#key)
      .update(`${at}.${String(request.headers['postern-envelope'])}.`)
      .update(body)
      .digest()
    return signatures.some((each) => {
      const claimed = Buffer.from(each.replace(/^v1=/, ''), 'hex')
      return claimed.length === mac.length && timingSafeEqual(claimed, mac)
    })
  }
}
