/**
 * The octets after DATA → the message: takes transparency dots out and finds the end (RFC 5321 §4.5.2 and §4.1.1.4).
 *
 * Only CRLF `.` CRLF ends the data (or `.` CRLF right at its start, where the CRLF of the command counts). A lone CR,
 * a lone LF and a NUL never take part in line ends: they are reported as a violation, the first one is kept, and
 * decoding goes on to the true end, so that the session refuses the message and stays in step with the client. That
 * closes SMTP smuggling (CVE-2023-51764 and its kin). Output is made of pieces of the input; little is copied and
 * nothing is kept from one chunk to the next.
 */

import { CR, DOT, LF, MAX_SCAN, OTHER, textScan } from './text-scan.ts'

export interface DataProgress {
  /** pieces of the message, in order, without transparency dots; they share memory with what was pushed */
  readonly output: readonly Buffer[]
  readonly done: boolean
  /** octets after the final dot's CRLF, when done */
  readonly rest: Buffer
}

export type DataViolation = 'bare-cr' | 'bare-lf' | 'nul'

/** start: at the start of a line; dot: after a dot there; dot-cr: after a dot and CR there; cr: after any other CR */
type State = 'start' | 'dot' | 'dot-cr' | 'text' | 'cr'

/** what stands before the octet at hand, as far as it matters */
const BEFORE: Readonly<Record<Exclude<State, 'dot' | 'dot-cr'>, number>> = { start: LF, text: OTHER, cr: CR }
/** pieces of one chunk that are handed out as they are; more of them are cheaper as one copy */
const MAX_PIECES = 16
const NOTHING = Buffer.alloc(0)
const A_CR = Buffer.from('\r')
/** one for all: a chunk is looked at in one go */
const scan = textScan()

export class DataDecoder {
  #state: State = 'start'
  #done = false
  #violation: DataViolation | undefined

  /** the first thing found that no message may hold */
  get violation(): DataViolation | undefined {
    return this.#violation
  }

  push(chunk: Buffer): DataProgress {
    if (this.#done) return { output: [], done: true, rest: chunk }
    if (chunk.length > MAX_SCAN) return this.#pushInParts(chunk)
    const pieces = new Pieces(chunk)
    scan.load(chunk)
    while (pieces.at < chunk.length && !this.#done) this.#step(chunk, pieces)
    if (this.#done) return { output: pieces.result(), done: true, rest: chunk.subarray(pieces.at) }
    pieces.keepUpTo(chunk.length)
    return { output: pieces.result(), done: false, rest: NOTHING }
  }

  #pushInParts(chunk: Buffer): DataProgress {
    const output: Buffer[] = []
    for (let at = 0; at < chunk.length; at += MAX_SCAN) {
      const part = chunk.subarray(at, at + MAX_SCAN)
      const progress = this.push(part)
      output.push(...progress.output)
      if (progress.done)
        return { output, done: true, rest: chunk.subarray(at + part.length - progress.rest.length) }
    }
    return { output, done: false, rest: NOTHING }
  }

  /** Looks at one octet after a dot, or passes what may stand in a line and looks at the octet behind it. */
  #step(chunk: Buffer, pieces: Pieces): void {
    switch (this.#state) {
      case 'dot':
        this.#state = chunk[pieces.at] === CR ? 'dot-cr' : 'text'
        if (this.#state === 'dot-cr') pieces.drop()
        return
      case 'dot-cr':
        if (chunk[pieces.at] === LF) {
          pieces.at++
          this.#done = true
          return
        }
        // the dot was there for transparency, and its line starts with a CR of its own
        pieces.takeBackCr()
        this.#violate('bare-cr')
        return
      default:
        this.#pass(chunk, pieces, BEFORE[this.#state])
        if (pieces.at < chunk.length) this.#judge(chunk[pieces.at], pieces)
    }
  }

  #pass(chunk: Buffer, pieces: Pieces, before: number): void {
    const end = scan.find(pieces.at, before)
    if (end === pieces.at) return
    pieces.at = end
    const last = chunk[end - 1]
    this.#state = last === CR ? 'cr' : last === LF ? 'start' : 'text'
  }

  /** An octet where it may not stand, or a dot at the start of a line. */
  #judge(octet: number | undefined, pieces: Pieces): void {
    if (this.#state === 'cr') {
      // the CR has no LF; the octet itself is looked at next
      this.#violate('bare-cr')
    } else if (octet === DOT) {
      this.#state = 'dot'
      pieces.drop()
    } else {
      pieces.at++
      this.#violate(octet === LF ? 'bare-lf' : 'nul')
    }
  }

  #violate(violation: DataViolation): void {
    this.#violation ??= violation
    this.#state = 'text'
  }
}

/** What is put out of one chunk while it is looked at. */
class Pieces {
  /** the octet to look at next */
  at = 0
  readonly #chunk: Buffer
  /** where the octets begin that are to be put out next */
  #kept = 0
  /** start, end, start, end, … of what is put out */
  readonly #ranges: number[] = []
  #crBefore = false

  constructor(chunk: Buffer) {
    this.#chunk = chunk
  }

  /** Puts out what has been kept so far and leaves the octet at hand out. */
  drop(): void {
    this.keepUpTo(this.at)
    this.at++
    this.#kept = this.at
  }

  /** Puts the CR out after all that was dropped just before the octet at hand, maybe in the chunk before. */
  takeBackCr(): void {
    if (this.at === 0) this.#crBefore = true
    this.#kept = Math.max(0, this.at - 1)
  }

  keepUpTo(end: number): void {
    if (end > this.#kept) this.#ranges.push(this.#kept, end)
  }

  result(): readonly Buffer[] {
    const pieces: Buffer[] = this.#crBefore ? [A_CR] : []
    if (this.#ranges.length > 2 * MAX_PIECES) return [...pieces, this.#joined()]
    for (let i = 0; i < this.#ranges.length; i += 2) {
      pieces.push(this.#chunk.subarray(this.#ranges[i], this.#ranges[i + 1]))
    }
    return pieces
  }

  #joined(): Buffer {
    const joined = Buffer.allocUnsafeSlow(this.#chunk.length)
    let length = 0
    for (let i = 0; i < this.#ranges.length; i += 2) {
      length += this.#chunk.copy(joined, length, this.#ranges[i], this.#ranges[i + 1])
    }
    return joined.subarray(0, length)
  }
}
