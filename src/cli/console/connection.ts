/** The client's side of the console's control channel (`console/protocol.ts`) on a UNIX socket. */

import { connect, type Socket } from 'node:net'
import { type Frame, FrameReader } from '../../console/protocol.ts'

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
  readonly path: string
  readonly #socket: Socket
  readonly #reader = new FrameReader()
  #waiting: { readonly take: (frame: Frame) => void; readonly fail: (error: Error) => void } | undefined
  /** why nothing more can be asked */
  #ended: ConsoleUnreachable | undefined

  private constructor(path: string, socket: Socket) {
    this.path = path
    this.#socket = socket
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('error', (error: NodeJS.ErrnoException) => this.#end(explain(path, error.code ?? '')))
    socket.on('close', () => this.#end(new ConsoleUnreachable(`${path}: the gate closed the connection`)))
  }

  /** @throws ConsoleUnreachable */
  static async open(path: string): Promise<ConsoleConnection> {
    const connection = new ConsoleConnection(path, connect({ path }))
    const { status, text } = await connection.#frame(HELLO_MS)
    if (status === 'hello') return connection
    connection.close()
    throw new ConsoleUnreachable(`${path}: ${text.trim()}`)
  }

  /** Whether it can still be asked. */
  get open(): boolean {
    return this.#ended === undefined
  }

  /** One command, one answer; one at a time. @throws ConsoleUnreachable */
  async ask(line: string): Promise<Frame> {
    if (this.#ended !== undefined) throw this.#ended
    const frame = this.#frame(ANSWER_MS)
    this.#socket.write(`${line}\n`)
    return await frame
  }

  close(): void {
    this.#socket.destroy()
  }

  async #frame(deadline: number): Promise<Frame> {
    if (this.#ended !== undefined) throw this.#ended
    const { promise, resolve, reject } = Promise.withResolvers<Frame>()
    this.#waiting = { take: resolve, fail: reject }
    const timer = setTimeout(() => {
      this.#end(new ConsoleUnreachable(`${this.path}: no answer within ${deadline / 1000} seconds`))
      this.#socket.destroy()
    }, deadline)
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#waiting = undefined
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#waiting?.take(frame)
    } catch (error) {
      this.#end(new ConsoleUnreachable(`${this.path}: ${error instanceof Error ? error.message : ''}`))
      this.#socket.destroy()
    }
  }

  #end(why: ConsoleUnreachable): void {
    this.#ended ??= why
    this.#waiting?.fail(this.#ended)
  }
}

function explain(path: string, code: string): ConsoleUnreachable {
  const why =
    code === 'ENOENT' || code === 'ECONNREFUSED'
      ? 'nobody listens there: the gate is not running, or its configuration in force has no such Control_Listener'
      : code === 'EACCES'
        ? 'permission denied: whoever may write to the socket may use the console (File_Mode of its Listen)'
        : code
  return new ConsoleUnreachable(`${path}: ${why}`)
}
