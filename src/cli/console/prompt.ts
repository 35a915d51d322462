/**
 * The console on a terminal: prompt, history from one session to the next, completion from the server's own table of
 * commands, and `$PAGER` for what is longer than the screen (`\pager` switches it off and on). ^C ends a command that goes
 * on, such as a trace, and leaves the prompt otherwise.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline/promises'
import type { Writable } from 'node:stream'
import { printable, printableLines } from '../../console/render.ts'
import { type Io, pieces, writeSlowly } from '../io.ts'
import { ConsoleConnection, ConsoleUnreachable } from './connection.ts'
import { History } from './history.ts'
import type { Credentials } from './login.ts'

/** @returns 0 when the operator leaves */
export async function runPrompt(first: ConsoleConnection, credentials: Credentials, io: Io): Promise<number> {
  const terminal = new Terminal(first, credentials, io)
  try {
    await terminal.learnCommands()
    await terminal.run()
  } finally {
    terminal.close()
  }
  return 0
}

/** What the server's help says of a command. */
export interface KnownCommand {
  readonly command: string
  /** `[-d DOMAIN]… [-l N]` */
  readonly arguments: string
}

/** What may stand where the cursor is: commands, and after one the words that its usage has. */
export function completions(line: string, commands: readonly KnownCommand[]): [string[], string] {
  const help = /^help\s+/i.exec(line)?.[0] ?? ''
  const typed = line.slice(help.length).toLowerCase()
  const found = commands.map(({ command }) => command).filter((command) => command.startsWith(typed))
  if (found.length > 0 || help !== '') return [found.map((command) => `${help}${command} `), line]
  const whole = commands
    .filter(({ command }) => typed.startsWith(`${command} `))
    .toSorted((a, b) => b.command.length - a.command.length)[0]
  const word = /\S*$/.exec(line)?.[0] ?? ''
  const before = line.slice(0, line.length - word.length)
  const words = wordsOf(whole?.arguments ?? '').filter((each) => each.startsWith(word))
  return [words.map((each) => `${before}${each} `), line]
}

/** The words of a usage that are typed as they are; those in capitals stand for something else. */
function wordsOf(usage: string): readonly string[] {
  return [...new Set(usage.match(/(?<![\w-])(?:--?[a-z][\w-]*|[a-z][a-z_-]*)(?![\w-])/g))]
}

/** What a server says that it knows; whatever else it says is not offered. */
export function commandsIn(help: string): readonly KnownCommand[] {
  let rows: unknown
  try {
    // what is longer is no help, and takes much memory
    rows = JSON.parse(help.slice(0, MAX_HELP))
  } catch {
    return []
  }
  if (!Array.isArray(rows)) return []
  return (rows as readonly unknown[]).slice(0, MAX_COMMANDS).flatMap((row) => {
    const { command, arguments: rest = '' } = (row ?? {}) as Readonly<Record<string, unknown>>
    if (typeof command !== 'string' || typeof rest !== 'string') return []
    if (command.length + rest.length > MAX_USAGE || printable(command + rest) !== command + rest) return []
    return [{ command, arguments: rest }]
  })
}

/** characters; there are some thousand */
const MAX_HELP = 256 * 1024
/** more than there are */
const MAX_COMMANDS = 2000
/** characters */
const MAX_USAGE = 1000

const LOST =
  'the connection was lost, and the transaction with it: nothing of it acts, and this line was not sent'

/** @param before whether a transaction was open before a line that was obeyed */
function isInTransaction(line: string, before: boolean): boolean {
  const word = /^config\s+(begin|commit|rollback)\b/i.exec(line)?.[1]?.toLowerCase()
  return word === undefined ? before : word === 'begin'
}

/** What whoever sits on that socket says, on a terminal. */
async function writeOut(stream: Writable, text: string): Promise<void> {
  for (const piece of pieces(text)) await writeSlowly(stream, printableLines(piece))
}

function hasMoreLines(text: string, lines: number): boolean {
  let at = -1
  for (let n = 0; n <= lines; n++) {
    at = text.indexOf('\n', at + 1)
    if (at < 0) return false
  }
  return true
}

class Terminal {
  #connection: ConsoleConnection
  readonly #credentials: Credentials
  readonly #io: Io
  readonly #lines: Interface
  readonly #history = new History()
  #commands: readonly KnownCommand[] = []
  #paging = true

  constructor(connection: ConsoleConnection, credentials: Credentials, io: Io) {
    this.#connection = connection
    this.#credentials = credentials
    this.#io = io
    this.#lines = createInterface({
      input: process.stdin,
      output: io.stdout,
      terminal: true,
      historySize: 1000,
      history: this.#history.lines,
      removeHistoryDuplicates: true,
      completer: (line: string) => completions(line, this.#commands),
    })
    this.#lines.on('history', (lines: string[]) => {
      // not in memory either
      if (lines[0] !== undefined && !History.keeps(lines[0])) lines.shift()
    })
  }

  /** begun on this connection, and neither committed nor rolled back */
  #inTransaction = false

  /** Asks the server what it knows, scripts' commands included. */
  async learnCommands(): Promise<void> {
    const { status, text } = await this.#connection.ask('json help')
    if (status === 'ok') this.#commands = commandsIn(text)
  }

  async run(): Promise<void> {
    const left = new AbortController()
    this.#lines.once('close', () => left.abort())
    while (!left.signal.aborted) {
      let line: string
      try {
        line = (await this.#lines.question(this.#prompt(), { signal: left.signal })).trim()
      } catch {
        break
      }
      this.#history.add(line)
      if (line === 'quit' || line === 'exit') break
      if (line === '\\pager') {
        this.#paging = !this.#paging
        this.#io.stdout.write(`The pager is ${this.#paging ? 'on' : 'off'}.\n`)
      } else if (line !== '') await this.#command(line)
    }
  }

  /** Nothing is read any more. */
  close(): void {
    this.#lines.close()
  }

  /** `13:30:05 /run/postern/console> `, as Momentum's */
  #prompt(): string {
    return `${new Date().toTimeString().slice(0, 8)} ${printableLines(this.#connection.endpoint.shown)}> `
  }

  async #command(line: string): Promise<void> {
    try {
      // the gate lets go of whoever is silent for long, and may have been started anew
      if (!this.#connection.open) {
        this.#connection = await ConsoleConnection.open(this.#connection.endpoint, this.#credentials)
        // what was meant for a transaction must not act at once
        if (this.#inTransaction) {
          this.#inTransaction = false
          this.#io.stderr.write(`${LOST}\n`)
          return
        }
      }
      const { status, text } = await this.#follow(line)
      if (status === 'ok') this.#inTransaction = isInTransaction(line, this.#inTransaction)
      if (status === 'ok') await this.#show(text)
      else await writeOut(this.#io.stderr, text)
    } catch (error) {
      if (!(error instanceof ConsoleUnreachable)) throw error
      this.#io.stderr.write(`${printableLines(error.message)}\n`)
    }
  }

  async #follow(line: string): ReturnType<ConsoleConnection['ask']> {
    const stop = new AbortController()
    const onSignal = (): void => stop.abort()
    this.#lines.on('SIGINT', onSignal)
    const onMore = (more: string): unknown => writeSlowly(this.#io.stdout, printableLines(more))
    return await this.#connection
      .ask(line, { onMore, stop: stop.signal })
      .finally(() => this.#lines.off('SIGINT', onSignal))
  }

  async #show(text: string): Promise<void> {
    const pager = process.env['PAGER']
    const rows = process.stdout.rows ?? 24
    if (!this.#paging || pager === undefined || pager === '' || !hasMoreLines(text, rows - 1)) {
      await writeOut(this.#io.stdout, text)
      return
    }
    this.#lines.pause()
    const child = spawn(pager, { shell: true, stdio: ['pipe', 'inherit', 'inherit'] })
    // whoever leaves the pager early does not read the rest
    child.stdin.on('error', () => undefined)
    const closed = once(child, 'close').catch(() => undefined)
    await Promise.race([closed, writeOut(child.stdin, text).catch(() => undefined)])
    child.stdin.end()
    await closed
    this.#lines.resume()
  }
}
