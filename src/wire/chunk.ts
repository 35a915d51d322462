/**
 * The octets of BDAT (RFC 3030), looked at as they pass by: what no message may hold, by the same rules as after DATA.
 * A chunk has no transparency dots and no end but its count, so a line with a lone dot is a line like any other.
 */

import type { DataViolation } from './data.ts'

export interface BdatArguments {
  readonly octets: number
  readonly last: boolean
}

/** What follows `BDAT `. undefined is a syntax error; a count beyond all integers is one too. */
export function parseBdat(args: string): BdatArguments | undefined {
  const [, count, last] = /^(\d{1,15})(?: +(LAST))?[ \t]*$/i.exec(args) ?? []
  return count === undefined ? undefined : { octets: Number(count), last: last !== undefined }
}

export class ChunkScanner {
  #violation: DataViolation | undefined
  /** the last two octets; a message starts as if after a line end */
  #tail = '\r\n'

  /** the first thing found that no message may hold */
  get violation(): DataViolation | undefined {
    return this.#violation
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return
    const text = chunk.toString('latin1')
    this.#violation ??= this.#find(text)
    this.#tail = (this.#tail + text.slice(-2)).slice(-2)
  }

  /** After the last chunk. @returns what the message lacks at its end: a line end, or nothing */
  end(): '\r\n' | '' {
    if (this.#tail === '\r\n') return ''
    if (this.#tail.endsWith('\r')) this.#violation ??= 'bare-cr'
    return '\r\n'
  }

  #find(text: string): DataViolation | undefined {
    const heldCr = this.#tail.endsWith('\r')
    if (heldCr && !text.startsWith('\n')) return 'bare-cr'
    // a CR at the end may still get its LF, and a LF at the start may belong to one
    const [found] = /\0|\r(?!\n|$)|(?<!\r|^)\n/.exec(text) ?? (text.startsWith('\n') && !heldCr ? ['\n'] : [])
    if (found === undefined) return undefined
    if (text.startsWith('\n') && !heldCr) return 'bare-lf'
    return found === '\0' ? 'nul' : found === '\r' ? 'bare-cr' : 'bare-lf'
  }
}
