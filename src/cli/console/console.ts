/**
 * `postern console`: commands for the running gate. One from the command line, or lines from a pipe, or on a terminal a
 * prompt with history, completion and paging. Answers go to stdout, what went wrong to stderr.
 */

import { stdin } from 'node:process'
import { createInterface } from 'node:readline'
import { printableLines } from '../../console/render.ts'
import { joinWords } from '../../console/words.ts'
import type { Io } from '../io.ts'
import { ConsoleConnection, ConsoleUnreachable } from './connection.ts'
import { consolePath } from './endpoint.ts'
import { runPrompt } from './prompt.ts'

export interface ConsoleOptions {
  /** a configuration file, or the socket itself */
  readonly config?: string
  readonly json?: boolean
}

/** @returns 0, or 1 when a command failed or the gate cannot be reached */
export async function runConsole(words: readonly string[], options: ConsoleOptions, io: Io): Promise<number> {
  const path = await consolePath(options.config)
  try {
    const connection = await ConsoleConnection.open(path)
    try {
      const json = options.json ?? false
      if (words.length > 0) return await runLine(connection, joinWords(words), json, io)
      if (stdin.isTTY && io.terminal && !json) return await runPrompt(connection, io)
      return await runLines(connection, json, io)
    } finally {
      connection.close()
    }
  } catch (error) {
    if (!(error instanceof ConsoleUnreachable)) throw error
    io.stderr.write(`postern: ${printableLines(error.message)}\n`)
    return 1
  }
}

/** Every line of a pipe; those after one that failed are run too. */
async function runLines(connection: ConsoleConnection, json: boolean, io: Io): Promise<number> {
  let code = 0
  for await (const line of createInterface({ input: stdin })) {
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue
    if (line.trim() === 'quit') break
    code = Math.max(code, await runLine(connection, line, json, io))
  }
  return code
}

// oxlint-disable-next-line max-params -- whom, what, how and where to
async function runLine(connection: ConsoleConnection, line: string, json: boolean, io: Io): Promise<number> {
  if (/[\r\n]/.test(line)) throw new ConsoleUnreachable('a command is one line')
  const { status, text } = await connection.ask(json ? `json ${line}` : line)
  const ok = status === 'ok'
  // the gate has escaped it; whoever else may sit on that socket has not
  const { stdout, stderr } = io
  const stream = ok || json ? stdout : stderr
  stream.write(printableLines(text))
  return ok ? 0 : 1
}
