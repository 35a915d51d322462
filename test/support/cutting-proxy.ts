/**
 * A bad line between an SMTP client and a real server: passes everything on, until the point at which it breaks.
 *
 * It follows the conversation (RFC 5321, pipelining and BDAT included) up to STARTTLS, after which it sees octets alone.
 * Every reply belongs to the command with its number: the banner to none, which is `CONNECT`; that of the message to
 * its end, which is `.`.
 */

import { type AddressInfo, createServer, type Server, Socket } from 'node:net'

export type Verb = 'CONNECT' | 'EHLO' | 'STARTTLS' | 'MAIL' | 'RCPT' | 'DATA' | '.' | 'RSET' | 'QUIT'

/** Where the line breaks. */
export type Break =
  /** the client's command does not get through */
  | { readonly at: 'command'; readonly verb: Verb }
  /** it does, and the server's reply does not */
  | { readonly at: 'reply'; readonly verb: Verb }
  /** after so many octets of the message */
  | { readonly at: 'content'; readonly after: number }
  /** after so many octets from the client, behind the 220 to STARTTLS */
  | { readonly at: 'handshake'; readonly after: number }
  /** after so many octets from the client, whatever they are */
  | { readonly at: 'octet'; readonly after: number }

/** What one connection meets. */
export type Fault =
  | (Break & { readonly how: 'close' | 'reset' | 'silence' })
  /** the server's octets come one by one */
  | { readonly at: 'everywhere'; readonly msPerOctet: number }

export interface BadLine {
  /** what each connection meets, by its number from 0 */
  readonly meets: (connection: number) => Fault | undefined
  /** a keyword of EHLO that does not get through, as with firewalls that know better */
  readonly hides?: string
}

/** Lets so many connections at a time wait for a server's first octets; the others come one after the other. */
export class Doorway {
  readonly #most: number
  readonly #waiting: (() => void)[] = []
  #inside = 0

  constructor(most: number) {
    this.#most = most
  }

  /** @param connects begins when it is its turn; what has gone by then is not connected */
  enter(server: Socket, connects: () => void): void {
    if (server.destroyed) return
    if (this.#inside >= this.#most) {
      this.#waiting.push(() => this.enter(server, connects))
      return
    }
    this.#inside += 1
    const leave = (): void => {
      server.off('data', leave).off('close', leave)
      this.#inside -= 1
      while (this.#inside < this.#most && this.#waiting.length > 0) this.#waiting.shift()?.()
    }
    server.on('data', leave).on('close', leave)
    connects()
  }
}

export class CuttingProxy {
  fault: BadLine['meets']
  readonly target: number
  connections = 0
  /** faults that came about */
  broken = 0
  /** messages whose end got through to the server, outside of TLS */
  complete = 0
  readonly #hidden: string | undefined
  readonly #doorway: Doorway
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  private constructor(target: number, { meets, hides }: BadLine, doorway: Doorway) {
    this.target = target
    this.#doorway = doorway
    this.fault = meets
    this.#hidden = hides
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client))
  }

  /** @param doorway of the server, where it is shared with other proxies */
  static async start(
    target: number,
    bad: BadLine,
    doorway: Doorway = new Doorway(Number.POSITIVE_INFINITY),
  ): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(target, bad, doorway)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** For a failure's text. */
  state(): string {
    return `${this.connections} connections, ${this.#sockets.size} open ends, ${this.broken} broken, ${this.complete} messages complete`
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket): void {
    const fault = this.fault(this.connections++)
    if (fault?.at === 'command' && fault.verb === 'CONNECT') {
      this.broken += 1
      client.resetAndDestroy()
      return
    }
    const server = new Socket().setNoDelay()
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('end', () => (other.pending ? other.destroy() : other.end()))
      socket.on('close', () => this.#sockets.delete(socket))
    }
    const line = new Line({
      client,
      server,
      fault,
      hidden: this.#hidden,
      told: (what) => {
        this[what] += 1
      },
    })
    client.on('data', (chunk: Buffer) => line.fromClient(chunk))
    server.on('data', (chunk: Buffer) => line.fromServer(chunk))
    this.#doorway.enter(server, () => server.connect({ port: this.target, host: '127.0.0.1' }))
  }
}

interface LineParts {
  readonly client: Socket
  readonly server: Socket
  readonly fault: Fault | undefined
  readonly hidden: string | undefined
  readonly told: (what: 'broken' | 'complete') => void
}

/** One connection through the proxy. */
class Line {
  readonly #client: Socket
  readonly #server: Socket
  readonly #fault: Fault | undefined
  readonly #hidden: string | undefined
  readonly #told: LineParts['told']
  #dead = false
  /** octets of the client that were not understood yet */
  #input = ''
  /** what the client is sending */
  #mode: 'commands' | 'content' | 'chunk' | 'opaque' = 'commands'
  /** commands that wait for their reply, in order */
  readonly #waiting: Verb[] = ['CONNECT']
  /** octets of the present message, of the present BDAT chunk that are left, and of those that count for the fault */
  #content = 0
  #chunkLeft = 0
  #lastChunk = false
  #octets = 0
  #reply = ''
  readonly #octetsLeft: number[] = []
  #timer: NodeJS.Timeout | undefined

  constructor(parts: LineParts) {
    this.#client = parts.client
    this.#server = parts.server
    this.#fault = parts.fault
    this.#hidden = parts.hidden
    this.#told = parts.told
  }

  fromClient(chunk: Buffer): void {
    if (this.#dead) return
    const fault = this.#fault
    if (fault?.at === 'octet' || (fault?.at === 'handshake' && this.#mode === 'opaque')) {
      const left = fault.after - this.#octets
      if (chunk.length > left) {
        this.#server.write(chunk.subarray(0, left))
        this.#break()
        return
      }
      this.#octets += chunk.length
    }
    if (this.#mode === 'opaque') {
      this.#server.write(chunk)
      return
    }
    this.#input += chunk.toString('latin1')
    while (!this.#dead && this.#step()) {
      // until more octets are needed
    }
  }

  fromServer(chunk: Buffer): void {
    if (this.#dead) return
    if (this.#fault?.at === 'everywhere') {
      this.#trickle(chunk, this.#fault.msPerOctet)
      return
    }
    if (this.#mode === 'opaque') {
      this.#client.write(chunk)
      return
    }
    this.#reply += chunk.toString('latin1')
    for (let end = this.#endOfReply(); end > 0 && !this.#dead; end = this.#endOfReply()) {
      const verb = this.#waiting.shift()
      if (this.#hits('reply', verb)) {
        this.#break()
        return
      }
      this.#client.write(this.#visible(verb, this.#reply.slice(0, end)), 'latin1')
      if (verb === 'STARTTLS' && this.#reply.startsWith('220')) this.#mode = 'opaque'
      if (verb === 'DATA' && this.#reply.startsWith('354')) this.#mode = 'content'
      this.#reply = this.#reply.slice(end)
    }
    // what the client sent ahead can be understood now
    if (this.#input !== '') this.fromClient(Buffer.alloc(0))
  }

  /** A reply to EHLO without the keyword that is hidden. */
  #visible(verb: Verb | undefined, reply: string): string {
    if (verb !== 'EHLO' || this.#hidden === undefined) return reply
    const lines = reply.split('\r\n').filter((line) => line !== '' && line.slice(4) !== this.#hidden)
    return lines
      .map((line, i) => `${line.slice(0, 3)}${i < lines.length - 1 ? '-' : ' '}${line.slice(4)}\r\n`)
      .join('')
  }

  #endOfReply(): number {
    return /^(?:\d{3}-.*\r\n)*\d{3}(?: .*)?\r\n/.exec(this.#reply)?.[0].length ?? 0
  }

  /** Takes a command or a piece of a message off the input. @returns whether there may be more */
  #step(): boolean {
    if (this.#input === '') return false
    if (this.#mode === 'commands') return this.#command()
    return this.#mode === 'chunk' ? this.#chunk() : this.#text()
  }

  #command(): boolean {
    // whether a message follows or a command says the reply to DATA
    if (this.#waiting.includes('DATA')) return false
    const end = this.#input.indexOf('\r\n') + 2
    if (end === 1) return false
    const line = this.#input.slice(0, end)
    this.#input = this.#input.slice(end)
    const [, size = '0', last] = /^BDAT (\d+)( LAST)?/i.exec(line) ?? []
    const verb = verbOf(line)
    if (this.#hits('command', verb)) return this.#break()
    this.#server.write(line, 'latin1')
    if (!/^BDAT/i.test(line)) {
      this.#waiting.push(verb)
      return true
    }
    this.#mode = 'chunk'
    this.#chunkLeft = Number(size)
    this.#lastChunk = last !== undefined
    return true
  }

  #chunk(): boolean {
    const there = Math.min(this.#chunkLeft, this.#input.length)
    const ends = there === this.#chunkLeft
    if (ends && this.#lastChunk && this.#hits('command', '.')) return this.#break()
    if (!this.#pass(there)) return false
    this.#chunkLeft -= there
    if (!ends) return false
    this.#mode = 'commands'
    this.#waiting.push(this.#lastChunk ? '.' : 'DATA')
    if (this.#lastChunk) {
      this.#told('complete')
      this.#content = 0
    }
    return true
  }

  #text(): boolean {
    const empty = this.#content === 0 && this.#input.startsWith('.\r\n')
    const end = empty ? 0 : this.#input.indexOf('\r\n.\r\n') + 2
    if (end === 1) {
      // the last octets may be the beginning of the end
      this.#pass(Math.max(0, this.#input.length - 4))
      return false
    }
    if (!this.#pass(end)) return false
    if (this.#hits('command', '.')) return this.#break()
    this.#input = this.#input.slice(3)
    this.#server.write('.\r\n')
    this.#told('complete')
    this.#waiting.push('.')
    this.#mode = 'commands'
    this.#content = 0
    return true
  }

  /** Passes so many octets of a message on. @returns false when the line breaks among them */
  #pass(octets: number): boolean {
    const piece = this.#input.slice(0, octets)
    const fault = this.#fault
    if (fault?.at === 'content' && this.#content + octets > fault.after) {
      this.#server.write(piece.slice(0, fault.after - this.#content), 'latin1')
      return this.#break()
    }
    this.#input = this.#input.slice(octets)
    this.#content += octets
    this.#server.write(piece, 'latin1')
    return true
  }

  #hits(at: 'command' | 'reply', verb: Verb | undefined): boolean {
    return this.#fault?.at === at && this.#fault.verb === verb
  }

  /** @returns false: nothing gets through any more */
  #break(): false {
    const fault = this.#fault
    if (fault === undefined || fault.at === 'everywhere') return false
    this.#dead = true
    this.#told('broken')
    if (fault.how === 'reset') {
      this.#client.resetAndDestroy()
      this.#server.resetAndDestroy()
    } else if (fault.how === 'close') {
      this.#client.end()
      this.#server.end()
    }
    return false
  }

  #trickle(chunk: Buffer, msPerOctet: number): void {
    this.#octetsLeft.push(...chunk)
    if (this.#timer !== undefined) return
    this.#told('broken')
    this.#timer = setInterval(() => {
      const octet = this.#octetsLeft.shift()
      if (octet !== undefined) this.#client.write(Buffer.of(octet))
    }, msPerOctet)
    this.#client.once('close', () => clearInterval(this.#timer))
  }
}

function verbOf(line: string): Verb {
  const word = line
    .split(/[ \r:]/, 1)
    .join('')
    .toUpperCase()
  if (word === 'BDAT') return 'DATA'
  return word === 'HELO' ? 'EHLO' : (word as Verb)
}
