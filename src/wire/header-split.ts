/**
 * A message's octets → its header, and the body as it passes by.
 *
 * The header ends at the first empty line, which belongs to neither part. It is collected up to a bound; a longer one
 * is dropped, and so is the rest of its message. Everything that is wrong with a header is a `HeaderProblem`; whether it
 * is refused is the session's decision, with the replies that Momentum documents (message-responses).
 */

import type { Reply } from '../mail/status.ts'

export type HeaderProblem =
  /** more octets than allowed */
  | 'too-large'
  /** a CR or LF that is no line end */
  | 'lone-newline'
  /** not one field: the message is empty or starts with the empty line */
  | 'missing'
  /** a line that is neither a field nor a continuation of one */
  | 'invalid'
  /** only fields and no empty line: RFC 5322 §3.5 allows a message without a body */
  | 'not-terminated'

export interface HeaderResult {
  /** byte string, without the empty line; '' when it was too large */
  readonly text: string
  readonly problem: HeaderProblem | undefined
}

const NOTHING = Buffer.alloc(0)
const END = Buffer.from('\r\n\r\n')
const CR = 0x0d

export class HeaderSplitter {
  readonly #maxHeader: number
  /** grown by doubling, so that a header sent octet by octet costs no more than its size */
  #buffer: Buffer = NOTHING
  #length = 0
  /** how many octets of END came last; a message starts as if after a line end */
  #matched = 2
  #state: 'header' | 'body' | 'too-large' = 'header'
  /** of a header that is complete */
  #text = ''

  /** @param maxHeader octets, the empty line included */
  constructor(maxHeader: number) {
    this.#maxHeader = maxHeader
  }

  /** whether the header's end was seen */
  get complete(): boolean {
    return this.#state === 'body'
  }

  /** whether the header exceeded its bound: nothing more will come of this message */
  get tooLarge(): boolean {
    return this.#state === 'too-large'
  }

  /** Takes octets of the message; what comes back is those that belong to the body (may be empty). */
  push(chunk: Buffer): Buffer {
    if (this.#state === 'body') return chunk
    if (this.#state === 'too-large') return NOTHING
    const found = this.#findEnd(chunk)
    const end = found ?? chunk.length
    if (this.#length + end > this.#maxHeader) {
      this.#state = 'too-large'
      this.#drop()
      return NOTHING
    }
    if (found === undefined) {
      this.#append(chunk)
      return NOTHING
    }
    this.#complete(chunk, found)
    return chunk.subarray(found)
  }

  /** What the header came to: once it is complete, or at the end of the message. */
  header(): HeaderResult {
    if (this.#state === 'too-large') return { text: '', problem: 'too-large' }
    if (this.#state === 'body') return { text: this.#text, problem: findProblem(this.#text) }
    const text = this.#buffer.toString('latin1', 0, this.#length)
    return { text, problem: findProblem(text) ?? 'not-terminated' }
  }

  /** @returns the index behind the header's end */
  #findEnd(chunk: Buffer): number | undefined {
    // an end that began in an earlier chunk is over after so many octets
    const border = Math.min(chunk.length, END.length - 1)
    for (let i = 0; i < border; i++) {
      this.#match(chunk[i])
      if (this.#matched === END.length) return i + 1
    }
    if (chunk.length === border) return undefined
    const found = chunk.indexOf(END)
    if (found >= 0) return found + END.length
    this.#matched = 0
    for (let i = chunk.length - border; i < chunk.length; i++) this.#match(chunk[i])
    return undefined
  }

  /** Counts one octet more. What matched so far and does not go on ends with nothing that END begins with, unless it is this CR. */
  #match(octet: number | undefined): void {
    if (octet === END[this.#matched]) this.#matched += 1
    else this.#matched = octet === CR ? 1 : 0
  }

  /** A header that came in one piece is not copied first. */
  #complete(chunk: Buffer, end: number): void {
    this.#state = 'body'
    if (this.#length === 0) {
      this.#text = chunk.toString('latin1', 0, Math.max(0, end - 2))
      return
    }
    this.#append(chunk.subarray(0, end))
    this.#text = this.#buffer.toString('latin1', 0, this.#length - 2)
    this.#drop()
  }

  #drop(): void {
    this.#buffer = NOTHING
    this.#length = 0
  }

  #append(octets: Buffer): void {
    const needed = this.#length + octets.length
    if (needed > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(needed, Math.min(this.#buffer.length * 2, this.#maxHeader)))
      this.#buffer.copy(grown, 0, 0, this.#length)
      this.#buffer = grown
    }
    octets.copy(this.#buffer, this.#length)
    this.#length = needed
  }
}

/** The reply that refuses a message for its header: Momentum's texts (message-responses). */
export const headerProblemReplies: Readonly<Record<HeaderProblem, Reply>> = {
  'too-large': { code: 552, text: '5.3.4 message size limit exceeded' },
  'lone-newline': { code: 550, text: '5.6.0 Lone CR or LF in headers (see RFC2822 section 2.2)' },
  missing: { code: 550, text: '5.6.0 Required headers not found (see RFC2822 section 3.6)' },
  invalid: { code: 550, text: '5.6.0 Invalid header found (see RFC2822 section 3.6)' },
  'not-terminated': { code: 550, text: '5.6.0 Header not terminated by CR LF (see RFC2822 section 2.2)' },
}

const LONE_NEWLINE = /\r(?!\n)|(?<!\r)\n/
/** what a line begins with that is a field */
const FIELD = /[!-9;-~]+[ \t]*:/y

function findProblem(text: string): HeaderProblem | undefined {
  if (text === '') return 'missing'
  if (LONE_NEWLINE.test(text)) return 'lone-newline'
  for (let line = 0; line < text.length; line = endOfLine(text, line)) {
    FIELD.lastIndex = line
    const continues = line > 0 && (text[line] === ' ' || text[line] === '\t')
    if (!continues && !FIELD.test(text)) return 'invalid'
  }
  return undefined
}

/** @returns where the next line begins, or the end of the text */
function endOfLine(text: string, line: number): number {
  const end = text.indexOf('\r\n', line)
  return end < 0 ? text.length : end + 2
}
