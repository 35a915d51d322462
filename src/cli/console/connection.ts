/** The client's side of the console's control channel (`console/protocol.ts`), login included. */

import { connect, type Socket } from 'node:net'
import { connect as connectSecure } from 'node:tls'
import type { LoginOffer } from '../../console/door.ts'
import { type Frame, FrameReader, PROTOCOL_VERSION } from '../../console/protocol.ts'
import { printable } from '../../console/render.ts'
import { realSocket } from '../../operator/system-user.ts'
import type { ConsoleEndpoint } from './endpoint.ts'
import { type Credentials, LoginError, logIn } from './login.ts'

/** milliseconds in which the server must greet; it does so at once */
const HELLO_MS = 10_000
/** milliseconds in which a command must be answered: a reload may read many files */
const ANSWER_MS = 600_000
/** milliseconds in which a command that goes on must have ended when it is told to */
const STOP_MS = 10_000
/** of a welcome */
const MAX_MECHANISMS = 16
/** characters of a reason */
const MAX_SENTENCE = 500

/** The console cannot be talked to; the message says why and what to do. */
export class ConsoleUnreachable extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConsoleUnreachable'
  }
}

/** The gate has let us go meanwhile; the password is known now. */
class TypedTooLate extends Error {}

interface Following {
  /** what it promises is waited for, and nothing more is read meanwhile */
  readonly onMore: (text: string) => unknown
  readonly stop: AbortSignal
}

export class ConsoleConnection {
  readonly endpoint: ConsoleEndpoint
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  #waiting: { readonly take: (frame: Frame) => void; readonly fail: (error: Error) => void } | undefined
  /** why nothing more can be asked */
  #ended: ConsoleUnreachable | undefined

  #onMore: (text: string) => void = () => void this.#break('news before a welcome')

  private constructor(endpoint: ConsoleEndpoint, socket: Socket) {
    this.endpoint = endpoint
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(explain(endpoint, error)))
    // it never closes one half alone
    for (const end of ['end', 'close'])
      socket.on(end, () =>
        this.#end(new ConsoleUnreachable(`${endpoint.shown}: the gate closed the connection`)),
      )
  }

  /**
   * Connects and logs in.
   * @param again whether it connects once more where the gate did not wait until a password was typed
   * @throws ConsoleUnreachable
   */
  static async open(
    endpoint: ConsoleEndpoint,
    credentials: Credentials,
    again = true,
  ): Promise<ConsoleConnection> {
    const socket = endpoint.kind === 'unix' ? realSocket(endpoint.path) : undefined
    const connection = new ConsoleConnection(endpoint, dial(endpoint, socket))
    try {
      const { status, text } = await connection.#frame(HELLO_MS)
      if (status !== 'hello') throw new ConsoleUnreachable(`${endpoint.shown}: ${sentence(text)}`)
      const channel = {
        ask: async (line: string) => await connection.#exchange(line, undefined),
        offer: offerOf(text, endpoint),
        secure: endpoint.kind === 'unix' || endpoint.tls !== undefined,
        socket,
        host: endpoint.kind === 'unix' ? 'localhost' : endpoint.host,
      }
      await logIn(channel, {
        user: () => credentials.user(),
        password: async (user) => {
          const password = await credentials.password(user)
          if (again && !connection.open) throw new TypedTooLate()
          return password
        },
      })
      return connection
    } catch (error) {
      connection.close()
      if (error instanceof TypedTooLate) return await ConsoleConnection.open(endpoint, credentials, false)
      if (error instanceof LoginError)
        throw new ConsoleUnreachable(`${endpoint.shown}: ${sentence(error.message)}`)
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
  async ask(line: string, follow?: Following): Promise<Frame> {
    const frame = await this.#exchange(line, follow)
    if (frame.status === 'challenge') throw this.#break('a challenge where an answer was due')
    return frame
  }

  async #exchange(line: string, follow: Following | undefined): Promise<Frame> {
    if (this.#ended !== undefined) throw this.#ended
    let answered = false
    // a further line ends a command that goes on, and any other is over by then
    const stop = (): void => {
      if (answered) return
      this.#socket.write('\n')
      this.#expectWithin(STOP_MS)
    }
    this.#onMore = (text) => {
      if (follow === undefined) {
        this.#break('news that nobody asked for')
        return
      }
      if (!follow.stop.aborted) this.#extend()
      const shown = follow.onMore(text)
      if (shown instanceof Promise) void this.#waitFor(shown)
      if (!this.#following) {
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
      this.#onMore = () => void this.#break('news that nobody asked for')
      follow?.stop.removeEventListener('abort', stop)
    }
  }

  close(): void {
    this.#socket.destroy()
  }

  /** Whoever sends more than somebody reads is held back. */
  async #waitFor(shown: Promise<unknown>): Promise<void> {
    this.#socket.pause()
    await shown.catch(() => undefined)
    this.#socket.resume()
  }

  /** Whether the command under way has told something already. */
  #following = false
  /** more time for what goes on */
  #extend: () => void = () => undefined
  #timer: NodeJS.Timeout | undefined

  async #frame(deadline: number): Promise<Frame> {
    const early = this.#early.shift()
    if (early !== undefined) return early
    if (this.#ended !== undefined) throw this.#ended
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    this.#waiting = { take: resolve, fail: reject }
    this.#expectWithin(deadline)
    this.#extend = () => clearTimeout(this.#timer)
    try {
      return await promise
    } finally {
      clearTimeout(this.#timer)
      this.#waiting = undefined
    }
  }

  #expectWithin(deadline: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#end(new ConsoleUnreachable(`${this.endpoint.shown}: no answer within ${deadline / 1000} seconds`))
      this.#socket.destroy()
    }, deadline)
  }

  /** Whoever is there does not keep to the protocol. */
  #break(what: string): ConsoleUnreachable {
    const why = new ConsoleUnreachable(
      `${this.endpoint.shown}: this is not the console of postern: it sends ${what}`,
    )
    this.#end(why)
    this.#socket.destroy()
    return why
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
    if (this.#ended !== undefined) return
    if (frame.status === 'more') this.#onMore(frame.text)
    else if (frame.status === 'hello' && this.#greeted) this.#break('a second welcome')
    else if (this.#waiting !== undefined) {
      this.#greeted = true
      const { take } = this.#waiting
      this.#waiting = undefined
      take(frame)
    } else if (this.#following && this.#early.length === 0) this.#early.push(frame)
    // a farewell may come by itself
    else if (frame.status !== 'error') this.#break('an answer that nobody asked for')
  }

  /** whether its first frame has come */
  #greeted = false
  /** answers that came together with the one that was waited for */
  readonly #early: Frame[] = []

  #end(why: ConsoleUnreachable): void {
    this.#ended ??= why
    this.#waiting?.fail(this.#ended)
  }
}

/** @param socket where it really is: a link may lead elsewhere the next time */
function dial(endpoint: ConsoleEndpoint, socket: string | undefined): Socket {
  if (endpoint.kind === 'unix') return connect({ path: socket ?? endpoint.path })
  const { host, port, tls } = endpoint
  return tls === undefined
    ? connect({ host, port })
    : connectSecure({ host, port, minVersion: 'TLSv1.2', ...tls })
}

/** A server of another time tells nothing of logins. @throws ConsoleUnreachable for what is no welcome at all */
function offerOf(hello: string, { shown }: ConsoleEndpoint): LoginOffer {
  const { protocol, login } = objectIn(hello) ?? {}
  if (protocol !== PROTOCOL_VERSION) {
    const version = typeof protocol === 'number' ? `version ${protocol} of its protocol` : 'another protocol'
    throw new ConsoleUnreachable(
      `${shown}: this is not a console that can be talked to: it speaks ${version}`,
    )
  }
  const { needed, mechanisms, folder } = (
    typeof login === 'object' && login !== null ? login : {}
  ) as Readonly<Record<string, unknown>>
  const names = Array.isArray(mechanisms) ? (mechanisms as readonly unknown[]) : []
  return {
    needed: needed === true,
    mechanisms: names.filter((each) => typeof each === 'string').slice(0, MAX_MECHANISMS),
    ...(typeof folder === 'string' ? { folder } : {}),
  }
}

function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** What a server says of why not, as one line of bounded length. */
function sentence(text: string): string {
  return printable(text.trim().split('\n', 1)[0]?.slice(0, MAX_SENTENCE) ?? '')
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
