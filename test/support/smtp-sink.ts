/**
 * A next hop that does what a test tells it to, on a real socket.
 *
 * Each step may be given an answer of its own; what is not given is answered as an obliging server would. `'hang'` says
 * nothing more, `'drop'` closes at once, any other text is sent as it is with CRLF added.
 */

import type { AddressInfo } from 'node:net'
import { createServer, type Server, type Socket } from 'node:net'
import { createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls'

/** `hang`, `drop`, or what to say */
export type SinkAnswer = string | { readonly trickle: string; readonly everyMs: number }

export interface SinkScript {
  readonly banner?: SinkAnswer
  readonly ehlo?: SinkAnswer
  readonly helo?: SinkAnswer
  readonly mail?: SinkAnswer
  /** for all recipients, or by the command line */
  readonly rcpt?: SinkAnswer | ((line: string) => SinkAnswer)
  /** unless given, DATA without a recipient that was taken is refused */
  readonly data?: SinkAnswer
  /** the answer to a chunk, by its command line; unless given, one without a recipient that was taken is refused */
  readonly bdat?: (line: string) => SinkAnswer | undefined
  readonly rset?: SinkAnswer
  /** the answer to the final dot */
  readonly message?: SinkAnswer
  /** LMTP: the answer to the final dot for each recipient that was taken, by its command line and number */
  readonly messageFor?: (line: string, index: number) => SinkAnswer
  /** said or done after so many octets of the message, without waiting for the rest */
  readonly inData?: { readonly after: number; readonly answer: SinkAnswer }
  /** keywords after EHLO */
  readonly extensions?: readonly string[]
  /** keywords after EHLO inside TLS; those outside but STARTTLS unless given */
  readonly secureExtensions?: readonly string[]
  /** the answer to STARTTLS; 220 where there is `tls` */
  readonly starttls?: SinkAnswer
  /** octets that go out in clear behind the 220, in one piece with it */
  readonly injected?: string
  /** the certificate and so on; `mute`: there is no handshake after the 220 */
  readonly tls?:
    | (SecureContextOptions & { readonly requestCert?: boolean; readonly reject?: boolean })
    | 'mute'
  readonly xclient?: SinkAnswer
  /** answers to AUTH and to what follows it, in turn */
  readonly auth?: readonly SinkAnswer[]
}

/** A handshake that came to its end. */
export interface SinkHandshake {
  /** the name that was asked for; false = none */
  readonly sni: string | false
  /** subject of the client's certificate; undefined = none */
  readonly client: string | undefined
  readonly resumed: boolean
}

export interface ReceivedMail {
  readonly mail: string
  readonly rcpt: readonly string[]
  /** dots removed, as a byte string */
  readonly content: string
}

export class SmtpSink {
  /** asked anew for each connection, by its number from 0 */
  script: (connection: number) => SinkScript
  readonly received: ReceivedMail[] = []
  readonly handshakes: SinkHandshake[] = []
  /** every command line, in order */
  readonly commands: string[] = []
  /** command lines by the chunk in which they arrived, to see what was pipelined */
  readonly chunks: string[] = []
  connections = 0
  /** where each connection came from, in order */
  readonly clients: string[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #waiting: (() => void)[] = []

  private constructor(script: SinkScript | ((connection: number) => SinkScript)) {
    this.script = typeof script === 'function' ? script : () => script
    this.#server = createServer((socket) => this.#accept(socket))
  }

  /** @param path of a UNIX socket; a port of its own unless given */
  static async start(
    script: SinkScript | ((connection: number) => SinkScript) = {},
    path?: string,
  ): Promise<SmtpSink> {
    const sink = new SmtpSink(script)
    await new Promise<void>((resolve) => {
      if (path === undefined) sink.#server.listen(0, '127.0.0.1', resolve)
      else sink.#server.listen(path, resolve)
    })
    return sink
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** sockets that are open now */
  get open(): number {
    return this.#sockets.size
  }

  /** Resolves as soon as `condition` holds; looked at whenever something happens here. */
  async until(condition: (sink: SmtpSink) => boolean): Promise<void> {
    while (!condition(this)) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(socket: Socket): void {
    const script = this.script(this.connections++)
    this.#sockets.add(socket)
    this.clients.push(socket.remoteAddress ?? '')
    socket.setNoDelay(true)
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#sockets.delete(socket)
      this.#changed()
    })
    const session = new SinkSession(socket, script, this)
    this.listen(socket, session)
    session.answer(script.banner ?? '220 sink.test ESMTP')
    this.#changed()
  }

  /** Reads from a socket, which may be the inside of TLS. */
  listen(socket: Socket, session: { take(text: string): void }): void {
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      session.take(chunk.toString('latin1'))
      this.#changed()
    })
  }

  #changed(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const wake of waiting) wake()
  }
}

class SinkSession {
  #socket: Socket
  readonly #script: SinkScript
  readonly #sink: SmtpSink
  #input = ''
  #secure = false
  /** answers to AUTH that are left; undefined outside of it */
  #auth: SinkAnswer[] | undefined
  #inData = false
  /** a chunk whose octets are coming */
  #chunk: { readonly line: string; readonly octets: number; readonly last: boolean } | undefined
  #chunked = ''
  #dataOctets = 0
  #spoke = false
  /** how far the message has been searched for its end */
  #searched = 0
  #mail = ''
  #rcpt: string[] = []
  #mailTaken = false

  constructor(socket: Socket, script: SinkScript, sink: SmtpSink) {
    this.#socket = socket
    this.#script = script
    this.#sink = sink
  }

  take(text: string): void {
    if (!this.#inData) this.#sink.chunks.push(text)
    this.#input += text
    while (
      this.#chunk ? this.#takeChunk(this.#chunk) : this.#inData ? this.#takeMessage() : this.#takeCommand()
    ) {
      // until more octets are needed
    }
  }

  answer(answer: SinkAnswer): void {
    if (answer === 'hang') return
    if (answer === 'drop') {
      this.#socket.destroy()
      return
    }
    if (typeof answer === 'string') {
      this.#socket.write(`${answer}\r\n`, 'latin1')
      return
    }
    const octets = answer.trickle.split('')
    const timer = setInterval(() => {
      const octet = octets.shift()
      if (octet === undefined) clearInterval(timer)
      else this.#socket.write(octet, 'latin1')
    }, answer.everyMs)
    this.#socket.on('close', () => clearInterval(timer))
  }

  #takeCommand(): boolean {
    const end = this.#input.indexOf('\r\n')
    if (end < 0) return false
    const line = this.#input.slice(0, end)
    this.#input = this.#input.slice(end + 2)
    this.#sink.commands.push(line)
    if (this.#auth !== undefined && this.#auth.length > 0) this.#nextOfAuth()
    else this.#command(line)
    return true
  }

  #command(line: string): void {
    const script = this.#script
    switch (line.split(/[ :]/, 1).join('').toUpperCase()) {
      case 'EHLO':
      case 'LHLO': {
        const lines = ['sink.test', ...this.#extensions()]
        return this.answer(
          script.ehlo ?? lines.map((text, i) => `250${i < lines.length - 1 ? '-' : ' '}${text}`).join('\r\n'),
        )
      }
      case 'HELO':
        return this.answer(script.helo ?? '250 sink.test')
      case 'MAIL':
        this.#mail = line
        this.#rcpt = []
        this.#mailTaken = takes(script.mail)
        return this.answer(script.mail ?? '250 2.1.0 ok')
      case 'RCPT': {
        const answer = typeof script.rcpt === 'function' ? script.rcpt(line) : script.rcpt
        if (this.#mailTaken && takes(answer)) this.#rcpt.push(line)
        return this.answer(answer ?? '250 2.1.5 ok')
      }
      case 'DATA': {
        const answer =
          script.data ?? (this.#rcpt.length > 0 ? '354 go ahead' : '554 5.5.1 no valid recipients')
        this.#inData = typeof answer === 'string' && answer.startsWith('3')
        this.#dataOctets = 0
        this.#spoke = false
        this.#searched = 0
        return this.answer(answer)
      }
      case 'BDAT': {
        const [, octets = '0', last] = line.split(' ')
        this.#chunk = { line, octets: Number(octets), last: last?.toUpperCase() === 'LAST' }
        return undefined
      }
      case 'RSET':
        this.#chunked = ''
        this.#rcpt = []
        return this.answer(script.rset ?? '250 2.0.0 ok')
      case 'STARTTLS':
        return this.#startTls()
      case 'AUTH':
        this.#auth = [...(script.auth ?? ['235 2.7.0 welcome'])]
        return this.#nextOfAuth()
      case 'XCLIENT':
        return this.answer(script.xclient ?? '220 sink.test ESMTP')
      case 'QUIT':
        this.#socket.end('221 2.0.0 bye\r\n')
        return undefined
      default:
        return this.answer('500 5.5.1 what?')
    }
  }

  #extensions(): readonly string[] {
    const { extensions, secureExtensions } = this.#script
    const usual = extensions ?? [
      'PIPELINING',
      '8BITMIME',
      'SIZE 0',
      ...(this.#script.tls ? ['STARTTLS'] : []),
    ]
    if (!this.#secure) return usual
    return secureExtensions ?? usual.filter((each) => each !== 'STARTTLS')
  }

  #nextOfAuth(): void {
    const next = this.#auth?.shift()
    if (next !== undefined) this.answer(next)
    if (typeof next === 'string' && !next.startsWith('334')) this.#auth = undefined
  }

  #startTls(): void {
    const { tls, starttls = '220 2.0.0 go ahead', injected = '' } = this.#script
    if (typeof starttls !== 'string' || !starttls.startsWith('220')) return this.answer(starttls)
    this.#socket.write(`${starttls}\r\n${injected}`, 'latin1')
    if (tls === undefined) return undefined
    const raw = this.#socket
    raw.removeAllListeners('data')
    if (tls === 'mute') {
      // what is read is dropped: a ClientHello may hold a line end by chance, and would be answered as a command
      raw.resume()
      return undefined
    }
    const { requestCert = false, reject = false, ...options } = tls
    const secureContext = createSecureContext({ ca: [], ...options })
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext,
      requestCert,
      rejectUnauthorized: reject,
      SNICallback: (_name, done) => done(null, secureContext),
    })
    socket.on('secure', () => {
      this.#sink.handshakes.push({
        // the type does not know it
        sni: (socket as { readonly servername?: string | false }).servername ?? false,
        client: socket.getPeerX509Certificate()?.subject,
        resumed: socket.isSessionReused(),
      })
    })
    this.#secure = true
    this.#input = ''
    this.#socket = socket
    this.#sink.listen(socket, this)
    return undefined
  }

  #takeChunk({ line, octets, last }: { line: string; octets: number; last: boolean }): boolean {
    if (this.#input.length < octets) return false
    this.#chunk = undefined
    this.#chunked += this.#input.slice(0, octets)
    this.#input = this.#input.slice(octets)
    const usual = this.#rcpt.length > 0 ? '250 2.0.0 kept' : '503 5.5.1 no valid recipients'
    const answer = this.#script.bdat?.(line) ?? usual
    if (takes(answer) && last) {
      this.#sink.received.push({ mail: this.#mail, rcpt: this.#rcpt, content: this.#chunked })
    }
    if (!takes(answer) || last) {
      this.#chunked = ''
      this.#rcpt = []
    }
    this.answer(answer)
    return true
  }

  #takeMessage(): boolean {
    const { inData } = this.#script
    this.#dataOctets = Math.max(this.#dataOctets, this.#input.length)
    if (inData !== undefined && !this.#spoke && this.#dataOctets >= inData.after) {
      this.#spoke = true
      this.answer(inData.answer)
    }
    const end = this.#input.startsWith('.\r\n') ? 0 : this.#input.indexOf('\r\n.\r\n', this.#searched) + 2
    if (end === 1) {
      this.#searched = Math.max(0, this.#input.length - 4)
      return false
    }
    const content = this.#input.slice(0, end).replace(/^\./gm, '')
    this.#input = this.#input.slice(end + 3)
    this.#inData = false
    if (this.#script.messageFor !== undefined) {
      this.#answerEach(content, this.#script.messageFor)
      return true
    }
    const answer = this.#script.message ?? '250 2.0.0 kept'
    if (typeof answer === 'string' && answer.startsWith('2')) {
      this.#sink.received.push({ mail: this.#mail, rcpt: this.#rcpt, content })
    }
    this.answer(answer)
    return true
  }

  #answerEach(content: string, messageFor: NonNullable<SinkScript['messageFor']>): void {
    const answers = this.#rcpt.map((line, index) => messageFor(line, index))
    const rcpt = this.#rcpt.filter((_, index) => answers[index] !== undefined && takes(answers[index]))
    if (rcpt.length > 0) this.#sink.received.push({ mail: this.#mail, rcpt, content })
    for (const answer of answers) {
      if (answer === 'drop') {
        // what was said before is on its way, and stays there
        this.#socket.end()
        return
      }
      this.answer(answer)
    }
  }
}

function takes(answer: SinkAnswer | undefined): boolean {
  return answer === undefined || (typeof answer === 'string' && answer.startsWith('2'))
}
