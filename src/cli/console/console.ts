/**
 * `postern console`: commands for the running gate. One from the command line, or lines from a pipe, or on a terminal a
 * prompt with history, completion and paging. Answers go to stdout, what went wrong to stderr.
 */

import { env, stdin } from 'node:process'
import { createInterface } from 'node:readline'
import { escapedJson, printableLines } from '../../console/render.ts'
import { joinWords } from '../../console/words.ts'
import { askOnce } from '../ask-password.ts'
import { type Io, pieces, writeSlowly } from '../io.ts'
import { ConsoleConnection, ConsoleUnreachable } from './connection.ts'
import { consoleEndpoint, type EndpointOptions } from './endpoint.ts'
import { isJson } from './json-text.ts'
import { credentialsFrom } from './login.ts'
import { runPrompt } from './prompt.ts'

export interface ConsoleOptions extends EndpointOptions {
  readonly json?: boolean
  readonly passwordFile?: string
}

/** @returns 0, or 1 when a command failed or the gate cannot be reached */
export async function runConsole(words: readonly string[], options: ConsoleOptions, io: Io): Promise<number> {
  const endpoint = await consoleEndpoint(options)
  const credentials = credentialsFrom({
    user: endpoint.user,
    passwordFile: options.passwordFile,
    environment: env['POSTERN_CONSOLE_PASSWORD'],
    prompt: stdin.isTTY ? (question) => askOnce(question, { input: stdin, prompt: io.stderr }) : undefined,
  })
  try {
    const connection = await ConsoleConnection.open(endpoint, credentials)
    try {
      const json = options.json ?? false
      const [only = '', ...more] = words
      // a command in quotes of the shell is a line as it would be typed
      const line = more.length === 0 ? only : joinWords(words)
      if (line !== '') return await runLine(connection, line, json, io)
      if (stdin.isTTY && io.terminal && !json) return await runPrompt(connection, credentials, io)
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
  const { stdout, stderr } = io
  const stop = new AbortController()
  const onSignal = (): void => stop.abort()
  process.once('SIGINT', onSignal)
  const onMore = (more: string): unknown => writeSlowly(stdout, printableLines(more))
  const { status, text } = await connection
    .ask(json ? `json ${line}` : line, { onMore, stop: stop.signal })
    .finally(() => process.off('SIGINT', onSignal))
  const ok = status === 'ok'
  // the gate has escaped it; whoever else may sit on that socket has not
  const stream = ok || json ? stdout : stderr
  // what nobody answered has no JSON: a command without an effect
  if (json && text !== '' && !isJson(text))
    throw new ConsoleUnreachable('this is not the console of postern: its answer is no JSON')
  for (const piece of pieces(text))
    await writeSlowly(stream, json ? escapedJson(piece) : printableLines(piece))
  if (json && text !== '') stream.write('\n')
  return ok ? 0 : 1
}
