/**
 * A small SMTP client for the demonstration: connects from a given address, starts TLS with a given certificate, asks
 * the gate what it knows (XDUMPCONTEXT) and tries to hand over one message. It reports what it saw and never throws
 * for anything that the server does.
 */

import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Visit {
  readonly host: string
  readonly port: number
  /** the address to come from; on Linux all of 127.0.0.0/8 is this machine */
  readonly from: string
  /** PEM of the client certificate and its key; undefined = none */
  readonly certificate?: { readonly cert: string; readonly key: string }
  /** PEM of the CA that the server's certificate must verify against */
  readonly serverCa: string
  readonly serverName: string
  readonly sender: string
  readonly recipient: string
  readonly subject: string
  readonly text: string
}

export interface VisitReport {
  /** `TLSv1.3, certificate sent`, or the alert that ended the handshake */
  readonly handshake: string
  readonly handshakeFailed: boolean
  /** the connection context as XDUMPCONTEXT showed it */
  readonly context: ReadonlyMap<string, string>
  /** the reply that decided: the first refusal, or the reply to the final dot */
  readonly reply: string
  readonly accepted: boolean
}

const DEADLINE_MS = 15_000

/** Plays one visit to its end. */
export async function visit(options: Visit): Promise<VisitReport> {
  const seen = { handshake: 'no TLS', handshakeFailed: false, context: new Map<string, string>() }
  const plain = new LineClient(
    connectTcp({ host: options.host, port: options.port, localAddress: options.from }).setNoDelay(true),
  )
  try {
    await plain.reply()
    await plain.command('EHLO client.example')
    await plain.command('STARTTLS')
    const secure = await startTls(plain, options)
    const sent = options.certificate === undefined ? 'no certificate' : 'certificate sent'
    try {
      await secure.client.command('EHLO client.example')
    } catch (error) {
      throw new HandshakeRefused(describe(error))
    }
    seen.handshake = `${secure.protocol}, ${sent}`
    seen.context = parseContext(await secure.client.command('XDUMPCONTEXT'))
    return { ...seen, ...(await handOver(secure.client, options)) }
  } catch (error) {
    if (error instanceof HandshakeRefused) {
      return { ...seen, handshake: error.message, handshakeFailed: true, reply: '', accepted: false }
    }
    return { ...seen, reply: describe(error), accepted: false }
  } finally {
    plain.destroy()
  }
}

async function handOver(
  client: LineClient,
  options: Visit,
): Promise<Pick<VisitReport, 'reply' | 'accepted'>> {
  for (const line of [`MAIL FROM:<${options.sender}>`, `RCPT TO:<${options.recipient}>`, 'DATA']) {
    const reply = await client.command(line)
    if (!/^[23]/.test(reply)) return { reply: lastLine(reply), accepted: false }
  }
  const message = [
    `From: <${options.sender}>`,
    `To: <${options.recipient}>`,
    `Subject: ${options.subject}`,
    `Date: ${new Date().toUTCString().replace('GMT', '+0000')}`,
    '',
    options.text,
    '.',
  ]
  const reply = await client.command(message.join('\r\n'))
  client.send('QUIT')
  return { reply: lastLine(reply), accepted: reply.startsWith('2') }
}

async function startTls(
  plain: LineClient,
  options: Visit,
): Promise<{ client: LineClient; protocol: string }> {
  const socket = connectTls({
    socket: plain.release(),
    ca: options.serverCa,
    servername: options.serverName,
    ...options.certificate,
  })
  const client = new LineClient(socket)
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('connection closed')))
    })
  } catch (error) {
    throw new HandshakeRefused(describe(error))
  }
  return { client, protocol: socket.getProtocol() ?? 'TLS' }
}

class HandshakeRefused extends Error {}

function describe(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const alert =
    /alert (?!number)([a-z ]+?):/.exec(text)?.[1] ??
    /(certificate required|handshake failure)/.exec(text)?.[1]
  return alert === undefined ? text : `alert: ${alert}`
}

function lastLine(reply: string): string {
  return reply.split('\n').at(-1) ?? ''
}

function parseContext(reply: string): Map<string, string> {
  const entries = new Map<string, string>()
  for (const [, key = '', value = ''] of reply.matchAll(/^250-\[connection\] (\S+) ?(.*)$/gm))
    entries.set(key, value)
  return entries
}

/** Sends lines, waits for replies. */
class LineClient {
  readonly #socket: Socket
  #text = ''
  #failure: Error | undefined
  #wake: () => void = () => undefined
  readonly #onData = (chunk: Buffer): void => {
    this.#text += chunk.toString('latin1')
    this.#wake()
  }
  readonly #onEnd = (error?: unknown): void => {
    this.#failure ??= error instanceof Error ? error : new Error('the server closed the connection')
    this.#wake()
  }

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', this.#onData).on('error', this.#onEnd).on('close', this.#onEnd)
    socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error('no answer')))
  }

  send(line: string): void {
    this.#socket.write(`${line}\r\n`)
  }

  command(line: string): Promise<string> {
    this.send(line)
    return this.reply()
  }

  /** The next complete reply, its lines joined by "\n". */
  async reply(): Promise<string> {
    for (;;) {
      const match = /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#text)
      if (match !== null) {
        this.#text = this.#text.slice(match[0].length)
        return match[0].trimEnd().replaceAll('\r\n', '\n')
      }
      if (this.#failure !== undefined) throw this.#failure
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** The bare socket, for TLS to take over. */
  release(): Socket {
    this.#socket.off('data', this.#onData)
    return this.#socket
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
