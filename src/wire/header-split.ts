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

export class HeaderSplitter {
  readonly #maxHeader: number
  /** grown by doubling, so that a header sent octet by octet costs no more than its size */
  #buffer: Buffer = NOTHING
  #length = 0
  /** the last octets before the next chunk; a message starts as if after a line end */
  #tail = '\r\n'
  #state: 'header' | 'body' | 'too-large' = 'header'

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
    const text = this.#tail + chunk.toString('latin1', 0, this.#maxHeader + 1)
    const found = text.indexOf('\r\n\r\n')
    const end = found < 0 ? chunk.length : found + 4 - this.#tail.length
    if (this.#length + end > this.#maxHeader) {
      this.#state = 'too-large'
      this.#buffer = NOTHING
      this.#length = 0
      return NOTHING
    }
    this.#append(chunk.subarray(0, end))
    if (found < 0) {
      this.#tail = text.slice(-3)
      return NOTHING
    }
    this.#state = 'body'
    this.#length -= 2
    return chunk.subarray(end)
  }

  /** What the header came to: once it is complete, or at the end of the message. */
  header(): HeaderResult {
    if (this.#state === 'too-large') return { text: '', problem: 'too-large' }
    const text = this.#buffer.toString('latin1', 0, this.#length)
    const problem = findProblem(text) ?? (this.#state === 'header' ? 'not-terminated' : undefined)
    return { text, problem }
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

function findProblem(text: string): HeaderProblem | undefined {
  const lines = text.split('\r\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines.length === 0) return 'missing'
  if (lines.some((line) => /[\r\n]/.test(line))) return 'lone-newline'
  const valid = lines.every(
    (line, index) => /^[!-9;-~]+[ \t]*:/.test(line) || (index > 0 && /^[ \t]/.test(line)),
  )
  return valid ? undefined : 'invalid'
}
