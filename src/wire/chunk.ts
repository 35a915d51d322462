/**
 * The octets of BDAT (RFC 3030), looked at as they pass by: what no message may hold, by the same rules as after DATA.
 * A chunk has no transparency dots and no end but its count, so a line with a lone dot is a line like any other.
 */

import type { DataViolation } from './data.ts'
import { CR, DOT, LF, MAX_SCAN, OTHER, textScan } from './text-scan.ts'

export interface BdatArguments {
  readonly octets: number
  readonly last: boolean
}

/** What follows `BDAT `. undefined is a syntax error; a count beyond all integers is one too. */
export function parseBdat(args: string): BdatArguments | undefined {
  const [, count, last] = /^(\d{1,15})(?: +(LAST))?[ \t]*$/i.exec(args) ?? []
  return count === undefined ? undefined : { octets: Number(count), last: last !== undefined }
}

/** one for all: a chunk is looked at in one go */
const scan = textScan()

export class ChunkScanner {
  #violation: DataViolation | undefined
  /** what stands before the next octet, as far as it matters */
  #before = LF
  /** the last two octets; a message starts as if after a line end */
  #tail = '\r\n'

  /** the first thing found that no message may hold */
  get violation(): DataViolation | undefined {
    return this.#violation
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#violation === undefined; at += MAX_SCAN) {
      this.#violation = this.#find(chunk.subarray(at, at + MAX_SCAN))
    }
    this.#tail = (this.#tail + chunk.toString('latin1', Math.max(0, chunk.length - 2))).slice(-2)
  }

  /** After the last chunk. @returns what the message lacks at its end: a line end, or nothing */
  end(): '\r\n' | '' {
    if (this.#tail === '\r\n') return ''
    if (this.#tail.endsWith('\r')) this.#violation ??= 'bare-cr'
    return '\r\n'
  }

  #find(octets: Buffer): DataViolation | undefined {
    scan.load(octets)
    for (let at = 0; ; ) {
      const found = scan.find(at, this.#before)
      if (found > at) this.#before = octets[found - 1] ?? OTHER
      const octet = octets[found]
      if (octet === undefined) return undefined
      if (this.#before === CR) return 'bare-cr'
      if (octet !== DOT) return octet === LF ? 'bare-lf' : 'nul'
      this.#before = octet
      at = found + 1
    }
  }
}
