/**
 * Replies ↔ lines (RFC 5321 §4.2).
 *
 * Formatting: whatever a reply's text holds, each line that goes out starts with its code, is printable ASCII and at most
 * 512 octets long (§4.5.3.1.5); longer text goes on in further lines. Parsing, for the client's side: a reply whose
 * lines disagree, or that does not end within bounds, is a `ReplyError`, after which the connection is of no use.
 */

import type { Reply } from '../mail/status.ts'

/** RFC 3463 §2 */
const ENHANCED = /^[245]\.\d{1,3}\.\d{1,3} /

/** what needs no care */
const PLAIN = /^[ -~]*$/

const MAX_LINE = 512
/** code, separator, CRLF */
const FRAME = 6
const MAX_REPLY_LINES = 256
const MAX_REPLY_OCTETS = 65_536

/** What the other side sent is no reply. */
export class ReplyError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ReplyError'
  }
}

/** A reply that is said often: its lines are put together once. */
export class UsualReply implements Reply {
  readonly code: number
  readonly text: string
  /** as `formatReply` makes them */
  readonly lines: string

  /** @throws RangeError */
  constructor(code: number, text: string) {
    this.lines = formatReply({ code, text })
    this.code = code
    this.text = text
  }
}

/**
 * The lines of a reply, each with its CRLF. "\n" in the text starts a new line; other control characters become blanks,
 * octets beyond ASCII `?`. An enhanced status code on the first line is repeated on the others (RFC 2034 §4).
 * @throws RangeError for a code outside 200–599
 */
export function formatReply(reply: Reply): string {
  if (reply instanceof UsualReply) return reply.lines
  if (!Number.isInteger(reply.code) || reply.code < 200 || reply.code > 599) {
    throw new RangeError(`not a reply code: ${reply.code}`)
  }
  if (reply.text.length <= MAX_LINE - FRAME && PLAIN.test(reply.text))
    return `${reply.code} ${reply.text}\r\n`
  const [first = '', ...others] = reply.text.split(/\r?\n/).map(printable)
  const status = ENHANCED.exec(first)?.[0] ?? ''
  const texts = others.map((text) => (ENHANCED.test(text) ? text : status + text))
  const lines = [first, ...texts].flatMap((text) => wrap(text, status))
  return lines.map((line, i) => `${reply.code}${i < lines.length - 1 ? '-' : ' '}${line}\r\n`).join('')
}

/** The text without the enhanced status code at its start, for replies that bear none (RFC 2034 §4: greeting, EHLO). */
export function withoutStatus(text: string): string {
  return text.replace(ENHANCED, '')
}

/** Puts the lines of replies together. */
export class ReplyParser {
  #code = 0
  #octets = 0
  #lines: string[] = []

  /** whether a reply has begun and not ended */
  get pending(): boolean {
    return this.#lines.length > 0
  }

  /**
   * Takes a line without its CRLF; the reply that it completes, or undefined when more lines follow. The text's lines
   * are joined by "\n".
   * @throws ReplyError
   */
  push(line: string): Reply | undefined {
    const [, digits, separator, text = ''] = /^([2-5][0-9]{2})(?:([ -])([^]*))?$/.exec(line) ?? []
    if (digits === undefined) throw new ReplyError('the line is no SMTP reply')
    const code = Number(digits)
    if (this.pending && code !== this.#code) throw new ReplyError('the lines of a reply have different codes')
    this.#code = code
    this.#lines.push(text)
    this.#octets += line.length
    if (separator === '-') {
      if (this.#lines.length >= MAX_REPLY_LINES || this.#octets > MAX_REPLY_OCTETS) {
        throw new ReplyError('the reply is too long')
      }
      return undefined
    }
    const reply = { code, text: this.#lines.join('\n') }
    this.#lines = []
    this.#octets = 0
    return reply
  }
}

function printable(text: string): string {
  if (PLAIN.test(text)) return text
  return text.replace(/[^ -~]/g, (character) => (character < ' ' || character === '\x7f' ? ' ' : '?'))
}

/** Cuts text into lines that fit, at a blank where there is one in the second half of the line. */
function wrap(text: string, status: string): string | string[] {
  if (text.length <= MAX_LINE - FRAME) return text
  const lines: string[] = []
  let rest = text
  while (rest.length > MAX_LINE - FRAME) {
    const blank = rest.lastIndexOf(' ', MAX_LINE - FRAME)
    const end = blank > MAX_LINE / 2 ? blank : MAX_LINE - FRAME
    lines.push(rest.slice(0, end))
    rest = status + rest.slice(blank === end ? end + 1 : end)
  }
  return [...lines, rest]
}
