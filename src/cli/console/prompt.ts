/**
 * The console on a terminal: prompt, history of the session, completion from the server's own table of commands, and
 * `$PAGER` for what is longer than the screen (`\pager` switches it off and on).
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface, type Interface } from 'node:readline/promises'
import { printableLines } from '../../console/render.ts'
import type { Io } from '../io.ts'
import { ConsoleConnection, ConsoleUnreachable } from './connection.ts'

/** @returns 0 when the operator leaves */
export async function runPrompt(first: ConsoleConnection, io: Io): Promise<number> {
  const terminal = new Terminal(first, io)
  await terminal.learnCommands()
  await terminal.run()
  return 0
}

/** What may stand where the cursor is: for the line so far, the words that can come next. */
export function completions(line: string, commands: readonly string[]): [string[], string] {
  const help = /^help\s+/i.exec(line)?.[0] ?? ''
  const typed = line.slice(help.length).toLowerCase()
  const found = commands.filter((command) => command.startsWith(typed)).map((command) => `${help}${command} `)
  return [found, line]
}

class Terminal {
  #connection: ConsoleConnection
  readonly #io: Io
  readonly #lines: Interface
  #commands: readonly string[] = []
  #paging = true

  constructor(connection: ConsoleConnection, io: Io) {
    this.#connection = connection
    this.#io = io
    this.#lines = createInterface({
      input: process.stdin,
      output: io.stdout,
      terminal: true,
      historySize: 1000,
      completer: (line: string) => completions(line, this.#commands),
    })
  }

  /** Asks the server what it knows, scripts' commands included. */
  async learnCommands(): Promise<void> {
    const { status, text } = await this.#connection.ask('json help')
    if (status !== 'ok') return
    const rows = JSON.parse(text) as readonly { readonly command?: unknown }[]
    this.#commands = rows.map(({ command }) => printableLines(String(command)))
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
      if (line === 'quit' || line === 'exit') break
      if (line === '\\pager') {
        this.#paging = !this.#paging
        this.#io.stdout.write(`The pager is ${this.#paging ? 'on' : 'off'}.\n`)
      } else if (line !== '') await this.#command(line)
    }
    this.#lines.close()
  }

  /** `13:30:05 /run/postern/console> `, as Momentum's */
  #prompt(): string {
    return `${new Date().toTimeString().slice(0, 8)} ${printableLines(this.#connection.path)}> `
  }

  async #command(line: string): Promise<void> {
    try {
      // the gate lets go of whoever is silent for long, and may have been started anew
      if (!this.#connection.open) this.#connection = await ConsoleConnection.open(this.#connection.path)
      const { status, text } = await this.#connection.ask(line)
      if (status === 'ok') await this.#show(printableLines(text))
      else this.#io.stderr.write(printableLines(text))
    } catch (error) {
      if (!(error instanceof ConsoleUnreachable)) throw error
      this.#io.stderr.write(`${printableLines(error.message)}\n`)
    }
  }

  async #show(text: string): Promise<void> {
    const pager = process.env['PAGER']
    const rows = process.stdout.rows ?? 24
    if (!this.#paging || pager === undefined || pager === '' || text.split('\n').length <= rows) {
      this.#io.stdout.write(text)
      return
    }
    this.#lines.pause()
    const child = spawn(pager, { shell: true, stdio: ['pipe', 'inherit', 'inherit'] })
    // whoever leaves the pager early does not read the rest
    child.stdin.on('error', () => undefined)
    child.stdin.end(text)
    await once(child, 'close').catch(() => undefined)
    this.#lines.resume()
  }
}
