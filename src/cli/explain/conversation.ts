/** The client's side of a session in memory: says a line, hears the whole reply. */

import type { Duplex } from 'node:stream'
import { fromBytes } from './document.ts'
import type { OpenStep, Steps } from './step-builder.ts'

export interface Reply {
  /** undefined: the connection ended without one */
  readonly code: number | undefined
  /** with their code; byte strings */
  readonly lines: readonly string[]
}

/** milliseconds: beyond what policy in TypeScript may take for an answer */
const PATIENCE = 60_000

/** Something in the session waits for what does not come. */
export class NoReplyError extends Error {
  constructor() {
    super(`the session has not answered within ${PATIENCE / 1000} s`)
    this.name = 'NoReplyError'
  }
}

export class Conversation {
  readonly #socket: Duplex
  readonly #steps: Steps
  #received = ''
  #ended = false
  #wake: () => void = () => undefined

  constructor(socket: Duplex, steps: Steps) {
    this.#socket = socket
    this.#steps = steps
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1')
      this.#wake()
    })
    const end = (): void => {
      this.#ended = true
      this.#wake()
    }
    // hangs up in its turn, for which a server waits that has said its last word
    socket.on('end', () => socket.end())
    socket.on('end', end).on('close', end).on('error', end)
  }

  /** The server has hung up. */
  get over(): boolean {
    return this.#ended && this.#received === ''
  }

  /** @param line a byte string. @param shown what the explanation tells of it, where that is something else */
  async say(line: string, shown: string = fromBytes(line)): Promise<Reply> {
    const { current } = this.#steps
    this.#send(line)
    return this.hear(shown, current)
  }

  /** Whether the session goes on: told to nobody unless it does not. @returns what it says instead */
  async probe(): Promise<Reply> {
    this.#send('NOOP')
    const reply = await this.#next()
    if (reply.code !== 250) this.#steps.current.dialogue.push({ server: reply.lines.map(fromBytes) })
    return reply
  }

  #send(line: string): void {
    if (!this.#ended) this.#socket.write(`${line}\r\n`, 'latin1')
  }

  /** The next reply. @param shown what the client has said before. @param step in which it has */
  async hear(shown?: string, step: OpenStep = this.#steps.current): Promise<Reply> {
    const reply = await this.#next()
    step.dialogue.push({
      ...(shown === undefined ? {} : { client: shown }),
      server: reply.lines.map(fromBytes),
    })
    return reply
  }

  async #next(): Promise<Reply> {
    await this.#until(() => COMPLETE.test(this.#received) || this.#ended)
    const [whole] = COMPLETE.exec(this.#received) ?? []
    if (whole === undefined) {
      this.#received = ''
      return { code: undefined, lines: [] }
    }
    this.#received = this.#received.slice(whole.length)
    return { code: Number(whole.slice(0, 3)), lines: whole.slice(0, -2).split('\r\n') }
  }

  async #until(done: () => boolean): Promise<void> {
    const deadline = performance.now() + PATIENCE
    while (!done()) {
      const left = deadline - performance.now()
      if (left <= 0) throw new NoReplyError()
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

/** RFC 5321 §4.2 */
const COMPLETE = /^(?:\d{3}-[^\r]*\r\n)*\d{3}(?: [^\r]*)?\r\n/
