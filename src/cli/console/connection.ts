/** The client's side of the console's control channel (`console/protocol.ts`), login included. */

import { connect, type Socket } from 'node:net'
import { connect as connectSecure } from 'node:tls'
import type { LoginOffer } from '../../console/door.ts'
import { type Frame, FrameReader } from '../../console/protocol.ts'
import type { ConsoleEndpoint } from './endpoint.ts'
import { type Credentials, LoginError, logIn } from './login.ts'

/** milliseconds in which the server must greet; it does so at once */
const HELLO_MS = 10_000
/** milliseconds in which a command must be answered: a reload may read many files */
const ANSWER_MS = 600_000

/** The console cannot be talked to; the message says why and what to do. */
export class ConsoleUnreachable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConsoleUnreachable'
  }
}

export class ConsoleConnection {
  readonly endpoint: ConsoleEndpoint
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  #waiting: { readonly take: (frame: Frame) => void; readonly fail: (error: Error) => void } | undefined
  /** why nothing more can be asked */
  #ended: ConsoleUnreachable | undefined

  #onMore: (text: string) => void = () => undefined

  private constructor(endpoint: ConsoleEndpoint, socket: Socket) {
    this.endpoint = endpoint
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(explain(endpoint, error)))
    socket.on('close', () =>
      this.#end(new ConsoleUnreachable(`${endpoint.shown}: the gate closed the connection`)),
    )
  }

  /** Connects and logs in. @throws ConsoleUnreachable */
  static async open(endpoint: ConsoleEndpoint, credentials: Credentials): Promise<ConsoleConnection> {
    const connection = new ConsoleConnection(endpoint, dial(endpoint))
    try {
      const { status, text } = await connection.#frame(HELLO_MS)
      if (status !== 'hello') throw new ConsoleUnreachable(`${endpoint.shown}: ${text.trim()}`)
      const channel = {
        ask: async (line: string) => await connection.ask(line),
        offer: offerOf(text),
        secure: endpoint.kind === 'unix' || endpoint.tls !== undefined,
        host: endpoint.kind === 'unix' ? 'localhost' : endpoint.host,
      }
      await logIn(channel, credentials)
      return connection
    } catch (error) {
      connection.close()
      if (error instanceof LoginError) throw new ConsoleUnreachable(`${endpoint.shown}: ${error.message}`)
      throw error
    }
  }

  /** Whether it can still be asked. */
  get open(): boolean {
    return this.#ended === undefined
  }

  /**
   * One command, one answer; one at a time.
   * @param follow what is told meanwhile, by a command that goes on until `stop`
   * @throws ConsoleUnreachable
   */
  async ask(
    line: string,
    follow?: { readonly onMore: (text: string) => void; readonly stop: AbortSignal },
  ): Promise<Frame> {
    if (this.#ended !== undefined) throw this.#ended
    let answered = false
    // a further line ends a command that goes on, and any other is over by then
    const stop = (): void => void (answered || this.#socket.write('\n'))
    this.#onMore = (text) => {
      this.#extend()
      follow?.onMore(text)
      if (!this.#following && follow !== undefined) {
        this.#following = true
        if (follow.stop.aborted) stop()
        else follow.stop.addEventListener('abort', stop, { once: true })
      }
    }
    const frame = this.#frame(ANSWER_MS)
    this.#socket.write(`${line}\n`)
    try {
      const end = await frame
      answered = true
      // the line that ended it has an answer of its own
      if (this.#following && follow?.stop.aborted === true) await this.#frame(HELLO_MS)
      return end
    } finally {
      answered = true
      this.#following = false
      follow?.stop.removeEventListener('abort', stop)
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Whether the command under way has told something already. */
  #following = false
  /** more time for what goes on */
  #extend: () => void = () => undefined

  async #frame(deadline: number): Promise<Frame> {
    const early = this.#early.shift()
    if (early !== undefined) return early
    if (this.#ended !== undefined) throw this.#ended
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    this.#waiting = { take: resolve, fail: reject }
    const timer = setTimeout(() => {
      this.#end(new ConsoleUnreachable(`${this.endpoint.shown}: no answer within ${deadline / 1000} seconds`))
      this.#socket.destroy()
    }, deadline)
    this.#extend = () => clearTimeout(timer)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting = undefined
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#take(frame)
    } catch (error) {
      this.#end(
        new ConsoleUnreachable(`${this.endpoint.shown}: ${error instanceof Error ? error.message : ''}`),
      )
      this.#socket.destroy()
    }
  }

  #take(frame: Frame): void {
    if (frame.status === 'more') this.#onMore(frame.text)
    else if (this.#waiting !== undefined) {
      const { take } = this.#waiting
      this.#waiting = undefined
      take(frame)
    } else if (this.#following) this.#early.push(frame)
  }

  /** answers that came together with the one that was waited for */
  readonly #early: Frame[] = []

  #end(why: ConsoleUnreachable): void {
    this.#ended ??= why
    this.#waiting?.fail(this.#ended)
  }
}

function dial(endpoint: ConsoleEndpoint): Socket {
  if (endpoint.kind === 'unix') return connect({ path: endpoint.path })
  const { host, port, tls } = endpoint
  return tls === undefined
    ? connect({ host, port })
    : connectSecure({ host, port, minVersion: 'TLSv1.2', ...tls })
}

/** A server of another time tells nothing of logins. */
function offerOf(hello: string): LoginOffer {
  const { login } = JSON.parse(hello) as { readonly login?: Partial<LoginOffer> }
  const { needed, mechanisms, folder } = login ?? {}
  return {
    needed: needed === true,
    mechanisms: Array.isArray(mechanisms) ? mechanisms.map(String) : [],
    ...(typeof folder === 'string' ? { folder } : {}),
  }
}

function explain({ kind, shown }: ConsoleEndpoint, error: NodeJS.ErrnoException): ConsoleUnreachable {
  const code = error.code ?? ''
  const why =
    code === 'ENOENT' || code === 'ECONNREFUSED'
      ? 'nobody listens there: the gate is not running, or its configuration in force has no such Control_Listener'
      : code === 'EACCES' && kind === 'unix'
        ? 'permission denied: whoever may write to the socket may use the console (File_Mode of its Listen)'
        : error.message || code
  return new ConsoleUnreachable(`${shown}: ${why}`)
}
