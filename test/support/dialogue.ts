/**
 * Plays a conversation written as text against a server, and shows the dialogue where it goes wrong.
 *
 * A conversation (`test/conversations/*.smtp`) is a list of lines:
 *
 *     # config: Hostname = "mx.test"       a header of `#` lines: `# config:` and all `#` lines after it are the
 *     # ESMTP_Listener { … }               configuration, for whoever starts the server
 *     -- a comment; empty lines are skipped, too
 *     S: 220 * ESMTP *                     expected: one line; `*` and `…` stand for any text
 *     C: EHLO client.test                  sent with CRLF
 *     S*: 250 /HELP|8BITMIME/              expected: any number of lines `250-…`, then this one
 *     S: /^250[ -]SIZE \d+$/               expected: a regular expression, where the whole pattern is one
 *     C<: NOOP\nQUIT\r\n                   exactly these octets: \r \n \t \0 \xHH \\ and nothing added
 *     S: closed                            expected: the server ends the connection
 *
 * Text is UTF-8 in the file; on the wire it is its octets. What the server says after the last line is not looked at.
 */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

export interface Conversation {
  /** for messages: where it was read from */
  readonly name: string
  /** the configuration to serve, '' when the file has none */
  readonly config: string
  readonly steps: readonly Step[]
}

export type Step =
  | { readonly kind: 'send'; readonly line: number; readonly source: string; readonly octets: Buffer }
  | {
      readonly kind: 'expect'
      readonly line: number
      readonly source: string
      readonly pattern: RegExp
      readonly skip: boolean
    }
  | { readonly kind: 'closed'; readonly line: number; readonly source: string }

export interface PlayOptions {
  readonly host: string
  readonly port: number
  /** milliseconds to wait for each expected line; 20,000 when left out */
  readonly timeout?: number
}

/** @throws SyntaxError with file and line for text that is no conversation */
export function parseConversation(text: string, name: string): Conversation {
  const config: string[] = []
  const steps: Step[] = []
  let inConfig = false
  for (const [index, source] of text.split(/\r?\n/).entries()) {
    const line = index + 1
    const refuse = (why: string): never => {
      throw new SyntaxError(`${name}:${line}: ${why}: ${source}`)
    }
    if (source.startsWith('#')) {
      if (steps.length > 0) refuse('the configuration comes before the first step')
      const first = /^# config:[ ]?(.*)$/.exec(source)
      if (first === null && !inConfig) refuse('a header line is `# config: …`')
      if (first !== null && inConfig) refuse('there is a configuration already')
      config.push(first?.[1] ?? source.replace(/^# ?/, ''))
      inConfig = true
    } else if (source.trim() !== '' && !source.startsWith('--')) {
      try {
        steps.push(parseStep(source, line))
      } catch (error) {
        refuse(error instanceof Error ? error.message : 'no step')
      }
    }
  }
  if (steps.length === 0) throw new SyntaxError(`${name}: there is nothing to play`)
  return { name, config: config.join('\n'), steps }
}

/**
 * Plays the conversation.
 * @throws DialogueError when the server says something else, something more before the client's turn, or nothing in time
 */
export async function playConversation(conversation: Conversation, options: PlayOptions): Promise<void> {
  const socket = connect({ host: options.host, port: options.port })
  const timeout = options.timeout ?? 20_000
  const server = new ServerLines(socket, timeout)
  const played: string[] = []
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(timeout) })
    for (const step of conversation.steps) {
      const problem = await play(step, socket, server, played)
      if (problem !== undefined) throw new DialogueError(conversation.name, step, played, problem)
    }
  } finally {
    socket.destroy()
  }
}

/** The message holds the dialogue up to where it went wrong. */
export class DialogueError extends Error {
  constructor(name: string, step: Step, played: readonly string[], problem: string) {
    const dialogue = played.map((line) => `    ${line}`).join('\n')
    super(`${name}:${step.line}: ${problem}\n${dialogue}\n  > ${step.source}`)
    this.name = 'DialogueError'
  }
}

/** Plays one step; what went wrong, if anything did. */
async function play(
  step: Step,
  socket: Socket,
  server: ServerLines,
  played: string[],
): Promise<string | undefined> {
  if (step.kind === 'send') {
    const early = server.unread()
    if (early !== undefined) return `the server said more than expected: ${printable(early)}`
    played.push(step.source)
    socket.write(step.octets)
    return undefined
  }
  for (;;) {
    const heard = await server.next()
    if (step.kind === 'closed') {
      return heard === 'closed' ? undefined : `expected the end of the connection, got ${describe(heard)}`
    }
    if (typeof heard === 'string') return `expected a line, got ${describe(heard)}`
    played.push(`S: ${printable(heard.text)}`)
    if (step.pattern.test(heard.text)) return undefined
    if (!step.skip || !/^\d{3}-/.test(heard.text)) return 'the line does not match'
  }
}

/** @throws SyntaxError saying what is wrong with the line */
function parseStep(source: string, line: number): Step {
  const [, who, text = ''] = /^(C|C<|S|S\*):(?: (.*))?$/.exec(source) ?? []
  switch (who) {
    case 'C':
      return { kind: 'send', line, source, octets: Buffer.from(`${text}\r\n`) }
    case 'C<':
      return { kind: 'send', line, source, octets: unescape(text) }
    case 'S':
    case 'S*':
      if (who === 'S' && text === 'closed') return { kind: 'closed', line, source }
      return { kind: 'expect', line, source, pattern: compile(text), skip: who === 'S*' }
    default:
      throw new SyntaxError('not `C: `, `C<: `, `S: `, `S*: ` or `-- `')
  }
}

/** `/regex/`, or text with wildcards; both are held against byte strings. */
function compile(text: string): RegExp {
  const expression = /^\/(.*)\/$/.exec(text)?.[1]
  if (expression !== undefined) return new RegExp(bytes(expression))
  const literals = text.split(/[*…]/).map((literal) => bytes(literal).replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
  return new RegExp(`^${literals.join('[^]*')}$`)
}

function unescape(text: string): Buffer {
  const plain = bytes(text).replace(
    /\\(?:x([0-9a-fA-F]{2})|([^]))/g,
    (whole, hex?: string, letter?: string) => {
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
      const octet = ESCAPES.get(letter ?? '')
      if (octet === undefined) throw new SyntaxError(`there is no escape ${whole}`)
      return octet
    },
  )
  return Buffer.from(plain, 'latin1')
}

const ESCAPES = new Map([
  ['r', '\r'],
  ['n', '\n'],
  ['t', '\t'],
  ['0', '\0'],
  ['\\', '\\'],
])

/** text → its UTF-8 octets as a byte string */
function bytes(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, (octet) => `\\x${octet.charCodeAt(0).toString(16).padStart(2, '0')}`)
}

type Heard = { readonly text: string } | 'closed' | 'nothing in time'

function describe(heard: Heard): string {
  if (heard === 'closed') return 'the end of the connection'
  return heard === 'nothing in time' ? heard : `a line: ${printable(heard.text)}`
}

/** What the server says, line by line. A line ends in CRLF; anything else that looks like one is shown, not cut. */
class ServerLines {
  readonly #timeout: number
  #received = ''
  #closed = false
  #wake: () => void = () => undefined

  constructor(socket: Socket, timeout: number) {
    this.#timeout = timeout
    const close = (): void => {
      this.#closed = true
      this.#wake()
    }
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1')
      this.#wake()
    })
    socket.on('end', close)
    socket.on('close', close)
    // a reset is one way of closing; a refused connection is reported by the wait for `connect`
    socket.on('error', close)
  }

  /** what has come and was not read yet */
  unread(): string | undefined {
    return this.#received === '' ? undefined : this.#received
  }

  async next(): Promise<Heard> {
    const deadline = Date.now() + this.#timeout
    for (;;) {
      const end = this.#received.indexOf('\r\n')
      if (end >= 0) {
        const text = this.#received.slice(0, end)
        this.#received = this.#received.slice(end + 2)
        return { text }
      }
      if (this.#closed) {
        const text = this.#received
        this.#received = ''
        return text === '' ? 'closed' : { text: `${text} (and no line end)` }
      }
      const left = deadline - Date.now()
      if (left <= 0) return 'nothing in time'
      await this.#news(left)
    }
  }

  /** Waits for octets, the end, or the time to be over. */
  #news(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}
