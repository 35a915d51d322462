/**
 * A client that keeps to no rule: it decides about every segment, about TLS records as they go out, and how it leaves.
 *
 * Everything that came back is in `received`, as a byte string. Waits end with an error after ten seconds.
 */

import { connect as connectTcp, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { Address } from '../support/smtp-client.ts'

const DEADLINE_MS = 30_000

export class RawClient {
  readonly socket: Socket
  /** ours; the server's events name it as the remote port */
  readonly port: number
  readonly server: Address
  received = ''
  /** undefined while open; the server's `FIN`, or Node's code for a harder end */
  lost: string | undefined
  #wake: () => void = () => undefined

  private constructor(socket: Socket, server: Address) {
    this.socket = socket
    this.server = server
    this.port = socket.localPort ?? 0
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
      this.#wake()
    })
    const gone = (why: string): void => {
      this.lost ??= why
      this.#wake()
    }
    socket.on('end', () => gone('FIN'))
    socket.on('error', (error: NodeJS.ErrnoException) => gone(error.code ?? error.message))
    socket.on('close', () => gone('closed'))
  }

  /** @param allowHalfOpen goes on sending after the server has closed its side */
  static async connect(address: Address, { allowHalfOpen = false } = {}): Promise<RawClient> {
    const socket = connectTcp({ host: address.host, port: address.port, allowHalfOpen })
    socket.setNoDelay(true)
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new RawClient(socket, address)
  }

  /** One write; Node hands it to the system as it is. */
  send(bytes: string | Buffer): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  /** Sends and says what came back for it, up to and including the next complete reply. */
  async command(line: string): Promise<string> {
    this.received = ''
    this.send(`${line}\r\n`)
    return await this.until(/^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/)
  }

  /** Each octet in a segment of its own, as far as the system keeps them apart. */
  async trickle(bytes: string | Buffer, everyMs = 0): Promise<void> {
    for (const octet of Buffer.from(bytes as string, 'latin1')) {
      if (this.lost !== undefined) return
      this.socket.write(Buffer.of(octet))
      await (everyMs > 0 ? delay(everyMs) : new Promise((resolve) => setImmediate(resolve)))
    }
  }

  /** One octet now and then, for as long as the connection is there. */
  async drip(everyMs: number): Promise<void> {
    while (this.lost === undefined) {
      this.send('x')
      await delay(everyMs, undefined, { ref: false })
    }
  }

  /** Waits until what was received fits. @returns what was received @throws when the connection ends before */
  async until(fits: RegExp | ((received: string) => boolean)): Promise<string> {
    const does = (): boolean => (typeof fits === 'function' ? fits(this.received) : fits.test(this.received))
    await this.#waitFor(() => does() || this.lost !== undefined, String(fits))
    if (!does()) {
      throw new Error(
        `${this.lost} before ${String(fits)}; received: ${JSON.stringify(this.received.slice(0, 500))}`,
      )
    }
    return this.received
  }

  /** Waits for the server to end the connection. @returns how it did */
  async closed(): Promise<string> {
    await this.#waitFor(() => this.lost !== undefined, 'the end of the connection')
    return this.lost ?? ''
  }

  /**
   * Leaves with RST; less abruptly when writes are pending or the server has closed already, since a reset in the midst
   * of a shutdown leaves Node spinning.
   */
  reset(): void {
    if (this.socket.writableLength === 0 && this.lost === undefined) this.socket.resetAndDestroy()
    else this.socket.destroy()
  }

  destroy(): void {
    this.socket.destroy()
  }

  async #waitFor(condition: () => boolean, what: string): Promise<void> {
    const until = Date.now() + DEADLINE_MS
    while (!condition()) {
      const left = until - Date.now()
      if (left <= 0) {
        throw new Error(
          `waited in vain for ${what}; received: ${JSON.stringify(this.received.slice(0, 500))}`,
        )
      }
      const { promise, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, left)
      this.#wake = resolve
      await promise
      clearTimeout(timer)
    }
  }
}

/** What becomes of TLS records on their way out: the tap writes them to the socket, in whatever pieces it likes. */
export type Tap = (bytes: Buffer, raw: RawClient) => Promise<void>

const pass: Tap = async (bytes, raw) => raw.send(bytes)

/**
 * Runs TLS over a raw client, each outgoing piece through the tap. Resolves when the handshake is complete.
 * @throws what ended the handshake
 */
export async function secure(
  raw: RawClient,
  options: ConnectionOptions,
  tap: Tap = pass,
): Promise<TLSSocket> {
  const { socket } = raw
  const pipe = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      tap(chunk, raw).then(() => done(), done)
    },
  })
  socket.on('data', (chunk: Buffer) => pipe.push(chunk))
  socket.on('end', () => pipe.push(null))
  socket.on('close', () => pipe.destroy())
  const tls = connectTls({ rejectUnauthorized: false, ...options, socket: pipe })
  tls.setEncoding('latin1')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  tls.once('secureConnect', resolve)
  tls.on('error', reject)
  tls.once('close', () => reject(new Error('closed during the handshake')))
  await promise
  return tls
}

/** The tap that sends every octet by itself. */
export const octetByOctet: Tap = async (bytes, raw) => await raw.trickle(bytes)

/** Whether octets begin as a TLS alert or a handshake message of the server does. */
export function isTlsRecord(octets: string, kind?: 'alert' | 'handshake'): boolean {
  const types = { alert: ['\x15'], handshake: ['\x16'], any: ['\x15', '\x16'] }[kind ?? 'any']
  return types.some((type) => octets.startsWith(`${type}\x03`))
}
