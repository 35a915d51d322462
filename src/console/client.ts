/**
 * One client of the console: reads lines, runs one command at a time and sends one frame for each (`protocol.ts`). What
 * goes wrong in a command is its answer and a line of the panic log, never the end of anything else.
 */

import type { Socket } from 'node:net'
import type { Panic } from '../events/events.ts'
import { ConsoleError } from './answer.ts'
import type { Followed } from './command.ts'
import { findCommand, runCommand } from './commands.ts'
import type { Door, Standing } from './door.ts'
import { type LoginEnd, LoginLines } from './login-lines.ts'
import type { Operator } from './operator.ts'
import { encodeFrame, type Frame, type Hello, MAX_LINE, PROTOCOL_VERSION } from './protocol.ts'
import { printable, printableLines, renderJson, renderText, toJson } from './render.ts'
import { withoutSecrets } from './secrets.ts'
import type { ConsoleServices } from './services.ts'
import type { Guest } from './waiting-room.ts'
import { joinWords, splitWords } from './words.ts'

/** What was gathered for one command. */
export interface GatheredServices {
  readonly services: ConsoleServices
  /** whose part is not there: said in the answer, in words */
  readonly missing: readonly string[]
}

export interface ClientOptions {
  readonly services: ConsoleServices
  /** what one command works with, where it has to be gathered first; `services` otherwise */
  readonly servicesFor?: ((words: readonly string[]) => Promise<GatheredServices>) | undefined
  readonly onPanic: (level: Panic['level'], text: string) => void
  /** on which socket it came in */
  readonly place: string
  readonly door: Door
  /** whether there is room for somebody who has just logged in, who then is among those who have */
  readonly admits: (operator: Operator) => boolean
  readonly limits: {
    /** octets of an answer; what is more is cut off, and said so */
    readonly answer: number
    /** milliseconds in which a client must have read an answer */
    readonly stall: number
    /** milliseconds in which somebody who has to log in must have done so */
    readonly login: number
  }
}

/** said in place of a welcome */
export const NO_ROOM = 'too many clients of the console are connected'

export class ConsoleClient implements Guest {
  readonly place: string
  readonly #socket: Socket
  readonly #options: ClientOptions
  #buffer = Buffer.alloc(0)
  #busy = false
  #ending = false
  /** the client will not send more */
  #ended = false
  readonly #gone = new AbortController()
  readonly #door: Door
  readonly #logins: LoginLines
  /** undefined: he has to log in */
  #operator: Operator | undefined
  #loginDeadline: NodeJS.Timeout | undefined

  constructor(socket: Socket, options: ClientOptions) {
    this.#socket = socket
    this.#options = options
    this.place = options.place
    this.#door = options.door
    this.#operator = options.door.operator
    this.#logins = new LoginLines(options.door)
  }

  get network(): string {
    return this.#door.network
  }

  /** undefined: he has to log in */
  get operator(): Operator | undefined {
    return this.#operator
  }

  start(): void {
    const { hostname, version, pid } = this.#options.services
    const login = this.#door.offer
    // a stranger needs not know what runs here
    const about = login.needed ? { version: '', pid: 0 } : { version, pid }
    const hello: Hello = { protocol: PROTOCOL_VERSION, ...about, hostname: hostname(), login }
    if (this.#operator === undefined)
      this.#loginDeadline = setTimeout(() => this.#socket.destroy(), this.#options.limits.login)
    this.#socket.on('data', (chunk: Buffer) => this.#take(chunk))
    this.#socket.once('end', () => {
      this.#ended = true
      this.#following?.abort()
      if (!this.#busy) this.end()
    })
    this.#socket.on('timeout', () => this.#socket.destroy())
    this.#socket.once('close', () => {
      clearTimeout(this.#loginDeadline)
      this.#gone.abort()
    })
    this.#socket.write(encodeFrame({ status: 'hello', text: toJson(hello) }))
    this.#awaitLine()
    this.#socket.resume()
  }

  /** Closes, after the answer to the command under way. */
  end(): void {
    this.#ending = true
    this.#following?.abort()
    if (this.#busy) return
    this.#socket.setTimeout(0)
    const deadline = setTimeout(() => this.#socket.destroy(), this.#options.limits.stall)
    this.#socket.once('close', () => clearTimeout(deadline))
    this.#socket.end()
    // what a client still sends is nobody's
    this.#socket.resume()
  }

  /** Somebody else needs the place. What is told fits into what the system keeps for him: he can hold nothing up. */
  turnOut(): void {
    this.#ending = true
    this.#socket.end(encodeFrame({ status: 'error', text: `${NO_ROOM}\n` }))
    this.#socket.destroySoon()
  }

  #awaitLine(): void {
    this.#socket.setTimeout(this.#door.timeout)
  }

  #take(chunk: Buffer): void {
    if (this.#ending) return
    this.#buffer = Buffer.concat([this.#buffer, chunk])
    if (this.#following !== undefined && (this.#buffer.includes(10) || this.#buffer.length > MAX_LINE)) {
      this.#socket.pause()
      this.#following.abort()
    }
    void this.#run()
  }

  /** of a command that goes on, until the next line comes */
  #following: AbortController | undefined

  /** Listens to the client while a command goes on. */
  #follow(isAllowed: () => Promise<boolean>): Followed {
    const stop = new AbortController()
    this.#following = stop
    if (this.#buffer.includes(10) || this.#ended) stop.abort()
    else this.#socket.resume()
    return {
      more: async (text) => (await isAllowed()) && (await this.#send({ status: 'more', text })),
      stop: AbortSignal.any([stop.signal, this.#gone.signal]),
    }
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    this.#socket.pause()
    try {
      for (let line = this.#nextLine(); line !== undefined && !this.#ending; line = this.#nextLine()) {
        // no client is silent while it waits for us
        this.#socket.setTimeout(0)
        if (!(await this.#send(await this.#answer(line)))) return
      }
    } catch (error) {
      this.#options.onPanic('error', describe(error))
      this.#socket.destroy()
    } finally {
      this.#busy = false
    }
    if (this.#ending || this.#ended) {
      this.end()
      return
    }
    this.#awaitLine()
    this.#socket.resume()
  }

  /** undefined: no whole line has come */
  #nextLine(): string | undefined {
    const end = this.#buffer.indexOf(10)
    if (end > MAX_LINE || (end < 0 && this.#buffer.length > MAX_LINE)) {
      this.#buffer = Buffer.alloc(0)
      this.#ending = true
      this.#socket.write(encodeFrame({ status: 'error', text: 'this line is too long\n' }))
      return undefined
    }
    if (end < 0) return undefined
    const line = this.#buffer.toString('utf8', 0, end).replace(/\r$/, '')
    this.#buffer = this.#buffer.subarray(end + 1)
    return line
  }

  async #answer(line: string): Promise<Frame> {
    if (this.#logins.underWay || this.#isLogin(line)) return await this.#login(line)
    const operator = this.#operator
    if (operator !== undefined) return await this.#command(line, operator)
    if (/^\s*quit\s*$/i.test(line)) this.#ending = true
    return this.#ending ? { status: 'ok', text: '' } : this.#close(this.#logins.turnAway())
  }

  /** Who has logged in stays who he is. */
  #isLogin(line: string): boolean {
    return LoginLines.begins(line) && (this.#operator === undefined || this.#operator.known === 'not')
  }

  async #login(line: string): Promise<Frame> {
    const end = await this.#logins.take(line)
    if (end.operator !== undefined) {
      if (end.operator.known !== 'system-user' && !this.#options.admits(end.operator))
        return this.#close({ frame: { status: 'error', text: `${NO_ROOM}\n` }, close: true })
      this.#operator = end.operator
      clearTimeout(this.#loginDeadline)
    }
    return this.#close(end)
  }

  #close({ frame, close }: LoginEnd): Frame {
    if (close) this.#ending = true
    return frame
  }

  async #command(line: string, operator: Operator): Promise<Frame> {
    const json = /^json\s+/i.test(line)
    try {
      if (printable(line.replaceAll('\t', ' ')) !== line.replaceAll('\t', ' '))
        throw new ConsoleError('control characters do not belong here')
      const typed = json ? line.replace(/^json\s+/i, '') : line
      const words = wordsOf(typed)
      if (words.length === 0) return { status: 'ok', text: '' }
      if (words.length === 1 && words[0]?.toLowerCase() === 'quit') {
        this.#ending = true
        return { status: 'ok', text: '' }
      }
      return { status: 'ok', text: await this.#admitted({ typed, words, json, operator }) }
    } catch (error) {
      const message = error instanceof ConsoleError ? error.message : this.#unforeseen(error)
      return {
        status: 'error',
        text: json ? `${toJson({ error: message })}\n` : `${printableLines(message)}\n`,
      }
    }
  }

  /** @throws ConsoleError, also where he may not */
  async #admitted({ typed, words, json, operator }: Asked): Promise<string> {
    const command = canonical(words)
    // stars could make a command look like one that a rule allows
    const shown = withoutSecrets(command)
    const admission = await this.#door.admit(operator, command, shown)
    if (admission.kind === 'denied') {
      if (admission.close) this.#ending = true
      throw new ConsoleError(admission.reason)
    }
    let good = false
    try {
      const { services, missing } = await this.#gather(words)
      const follow = (): Followed => this.#follow(() => this.#door.stillAllows(operator, command))
      const standing = async (): Promise<Standing> => await this.#door.standingOf(operator)
      const context = { operator, line: typed, connection: this.#gone.signal, follow, standing }
      const answer = await runCommand(words, services, context).catch((error: unknown) => {
        // what it did not find may be where nobody answered
        if (!(error instanceof ConsoleError) || missing.length === 0) throw error
        throw new ConsoleError([error.message, ...missing].join('\n'), { cause: error })
      })
      // a program must not take a part for the whole
      if (json && missing.length > 0) throw new ConsoleError(missing.join('; '))
      good = true
      const text = json ? renderJson(answer) : `${renderText(answer)}${missing.map(printed).join('')}`
      return this.#bounded(text, json)
    } finally {
      this.#following = undefined
      this.#socket.pause()
      this.#door.ended(operator, shown, good)
    }
  }

  async #gather(words: readonly string[]): Promise<GatheredServices> {
    const { services, servicesFor } = this.#options
    return (await servicesFor?.(words)) ?? { services, missing: [] }
  }

  #unforeseen(error: unknown): string {
    this.#options.onPanic('error', describe(error))
    return 'this went wrong inside the server; its panic log has the reason'
  }

  /** A part of JSON is of no use to a program. @throws ConsoleError */
  #bounded(text: string, json: boolean): string {
    const { answer } = this.#options.limits
    if (text.length <= answer) return text
    if (json) throw new ConsoleError('the answer is too long; ask for less')
    return `${text.slice(0, answer).toWellFormed()}\n… the rest is not shown: the answer is too long.\n`
  }

  /** Resolves when the client has taken it; false when it is gone or does not read. */
  async #send(frame: Frame): Promise<boolean> {
    if (this.#socket.destroyed) return false
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const stalled = setTimeout(() => this.#socket.destroy(), this.#options.limits.stall)
    const gone = (): void => resolve(false)
    this.#socket.once('close', gone)
    this.#socket.write(encodeFrame(frame), (error) => resolve(error === undefined || error === null))
    const sent = await promise
    clearTimeout(stalled)
    this.#socket.off('close', gone)
    return sent
  }
}

/** One command, by one operator. */
interface Asked {
  readonly typed: string
  readonly words: readonly string[]
  readonly json: boolean
  readonly operator: Operator
}

/**
 * What rules of authorization read: the words that are run, with one blank between them, and the command's name in small
 * letters as the table has it. So nobody gets round a rule by capitals, blanks or quotes.
 */
function canonical(words: readonly string[]): string {
  const name = findCommand(words)?.name
  if (name === undefined) return joinWords(words)
  return joinWords([...name.split(' '), ...words.slice(name.split(' ').length)])
}

/** The value of `config set` is in the language of configuration files, which the command reads by itself. */
function wordsOf(line: string): readonly string[] {
  return /^\s*config\s+set\s/i.test(line) ? line.trim().split(/\s+/) : splitWords(line)
}

function printed(sentence: string): string {
  return `${printable(sentence)}\n`
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const where = /\n\s+at (?:.* \()?(?:.*\/)?([^/()\s]+:\d+):\d+\)?/.exec(error.stack ?? '')?.[1]
  return `${error.name}: ${error.message}${where === undefined ? '' : ` (${where})`}`
}
