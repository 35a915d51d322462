/** An SMTP client for tests, on a real socket: says exactly what it is told to, and reports exactly what came back. */

import { connect as connectTcp, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'

const DEADLINE_MS = 30_000

export interface Address {
  readonly host: string
  readonly port: number
  /** the address to come from */
  readonly from?: string
}

/** The connection ended while a reply was awaited. `code` is Node's error code, such as an OpenSSL alert. */
export class ConnectionLost extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'ConnectionLost'
    this.code = code
  }
}

export class SmtpClient {
  #socket: Socket
  #received = ''
  #lost: ConnectionLost | undefined
  #wake: () => void = () => undefined
  /** the newest ticket that the server gave (TLS 1.3 sends them after the handshake) */
  session: Buffer | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#listen()
  }

  /** Connects in clear. The banner is not read yet. */
  static async connect(address: Address): Promise<SmtpClient> {
    const socket = connectTcp({
      host: address.host,
      port: address.port,
      ...(address.from && { localAddress: address.from }),
    })
    socket.setNoDelay(true)
    return SmtpClient.#connected(socket)
  }

  /** Connects to a UNIX socket. */
  static connectUnix(path: string): Promise<SmtpClient> {
    return SmtpClient.#connected(connectTcp({ path }))
  }

  static async #connected(socket: Socket): Promise<SmtpClient> {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject)
    })
    return new SmtpClient(socket)
  }

  /** Connects with TLS from the first byte. */
  static async connectTls(address: Address, options: ConnectionOptions): Promise<SmtpClient> {
    const client = await SmtpClient.connect(address)
    await client.secure(options)
    return client
  }

  /** Runs a TLS handshake on the connection. @throws ConnectionLost with the alert that ended it */
  async secure(options: ConnectionOptions): Promise<void> {
    const raw = this.#socket
    raw.removeAllListeners('data').removeAllListeners('error').removeAllListeners('close')
    raw.on('error', () => undefined)
    const socket = connectTls({ rejectUnauthorized: false, ...options, socket: raw })
    this.#socket = socket
    socket.on('session', (session: Buffer) => {
      this.session = session
    })
    this.#listen()
    await new Promise<void>((resolve) => {
      socket.once('secureConnect', resolve)
      socket.once('close', () => resolve())
    })
    if (this.#lost !== undefined) throw this.#lost
  }

  get tls(): TLSSocket {
    if (!('getProtocol' in this.#socket)) throw new Error('not a TLS connection')
    return this.#socket as TLSSocket
  }

  /** by which the server knows the connection */
  get localPort(): number | undefined {
    return this.#socket.localPort
  }

  send(line: string): void {
    this.#socket.write(`${line}\r\n`, 'latin1')
  }

  sendRaw(bytes: string | Buffer): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
  }

  command(line: string): Promise<string> {
    this.send(line)
    return this.reply()
  }

  /** The next complete reply, lines joined by "\n". @throws ConnectionLost */
  async reply(): Promise<string> {
    const until = Date.now() + DEADLINE_MS
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#received)
      if (match !== null) {
        this.#received = this.#received.slice(match[0].length)
        return match[0].slice(0, -2).replaceAll('\r\n', '\n')
      }
      if (this.#lost !== undefined) throw this.#lost
      await this.#more(until, () => `no reply; received so far: ${JSON.stringify(this.#received)}`)
    }
  }

  /** Waits for the end of the connection; returns why it ended. */
  async closed(): Promise<ConnectionLost> {
    const until = Date.now() + DEADLINE_MS
    while (this.#lost === undefined) await this.#more(until, () => 'the connection stayed open')
    return this.#lost
  }

  /** Bytes received and not yet read as a reply. */
  get pending(): string {
    return this.#received
  }

  /** EHLO; the extensions offered. */
  async ehlo(name = 'client.example'): Promise<string[]> {
    const reply = await this.command(`EHLO ${name}`)
    return reply
      .split('\n')
      .slice(1)
      .map((line) => line.slice(4))
  }

  /** XDUMPCONTEXT as a map with keys `connection.KEY` and `message.KEY`. */
  async context(): Promise<Map<string, string>> {
    const reply = await this.command('XDUMPCONTEXT')
    const entries = [...reply.matchAll(/^250-\[(connection|message)\] (\S+) ?(.*)$/gm)]
    return new Map(entries.map(([, kind = '', key = '', value = '']) => [`${kind}.${key}`, value]))
  }

  /** A whole transaction; the reply that decided it. */
  async deliver(sender: string, recipient: string, message: string): Promise<string> {
    for (const line of [`MAIL FROM:<${sender}>`, `RCPT TO:<${recipient}>`, 'DATA']) {
      const reply = await this.command(line)
      if (!/^[23]/.test(reply)) return reply
    }
    return this.command(`${message.replaceAll(/\r?\n/g, '\r\n')}\r\n.`)
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Closes our sending half. */
  end(): void {
    this.#socket.end()
  }

  pause(): void {
    this.#socket.pause()
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1')
      this.#wake()
    })
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#lost ??= new ConnectionLost(error.code ?? '', error.message)
      this.#wake()
    })
    this.#socket.on('close', () => {
      this.#lost ??= new ConnectionLost('CLOSED', 'the server closed the connection')
      this.#wake()
    })
  }

  async #more(until: number, complaint: () => string): Promise<void> {
    const left = until - Date.now()
    if (left <= 0) throw new Error(complaint())
    const timer = setTimeout(() => this.#wake(), left)
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    clearTimeout(timer)
  }
}
