/**
 * Takes a password from whoever runs the program: typed twice and never shown on a terminal, or the first line of
 * standard input in a pipe. Never from the command line, which every user of the machine can read.
 */

import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'

export interface PasswordSource {
  /** standard input */
  readonly input: NodeJS.ReadableStream & { readonly isTTY?: boolean }
  /** where the prompt goes */
  readonly prompt: Writable
}

/** octets of a line from a pipe */
const MAX_LINE = 4096

/** The password as a byte string; undefined when there is none, or when it was typed differently twice. */
export async function askPassword({ input, prompt }: PasswordSource): Promise<string | undefined> {
  if (input.isTTY !== true) return readFirstLine(input)
  const first = await typed('Password: ', input, prompt)
  if (first === undefined) return undefined
  const second = await typed('Again: ', input, prompt)
  return first === second ? first : undefined
}

/** The password as a byte string, typed once: for a login. undefined after ^C or ^D. */
export async function askOnce(
  question: string,
  { input, prompt }: PasswordSource,
): Promise<string | undefined> {
  return await typed(question, input, prompt)
}

async function readFirstLine(input: NodeJS.ReadableStream): Promise<string | undefined> {
  let text = ''
  for await (const chunk of input) {
    text +=
      typeof chunk === 'string' ? Buffer.from(chunk, 'utf8').toString('latin1') : chunk.toString('latin1')
    if (text.includes('\n') || text.length > MAX_LINE) break
  }
  const line = text.split('\n')[0]?.replace(/\r$/, '') ?? ''
  return line === '' || line.length > MAX_LINE ? undefined : line
}

/** A line from a terminal, without an echo. undefined after ^C or ^D. */
function typed(
  question: string,
  input: NodeJS.ReadableStream,
  prompt: Writable,
): Promise<string | undefined> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const reader = createInterface({ input, output: silent, terminal: true, historySize: 0 })
  prompt.write(question)
  return new Promise((resolve) => {
    let line: string | undefined
    reader.once('line', (text) => {
      line = Buffer.from(text, 'utf8').toString('latin1')
      reader.close()
    })
    reader.once('SIGINT', () => reader.close())
    reader.once('close', () => {
      prompt.write('\n')
      resolve(line)
    })
  })
}
