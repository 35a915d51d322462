/**
 * Octets → command lines, strictly by CRLF (RFC 5321 §2.3.8).
 *
 * A lone LF, a lone CR or a NUL never ends a line: the whole line up to its CRLF is answered by one finding of that
 * kind, as soon as the offence has been seen, and what is left of it is dropped. The same goes for a line that is too
 * long. So a line gives one answer, whatever is in it, and at most `maxLength` octets of a line are ever kept. Octets
 * are looked at only when a line is asked for: after a command that changes the protocol (DATA, STARTTLS), `drain`
 * hands over what came behind it.
 *
 * A BDAT line that cannot be read announces octets that nobody can count (RFC 3030): its finding says so, because they must
 * never be taken for commands. Where the BDAT arrives only after its line was answered a second finding says it.
 */

export type Line =
  /** byte string without its CRLF */
  | { readonly kind: 'line'; readonly text: string }
  | ({ readonly kind: 'too-long' } & Unreadable)
  /** a CR without LF or an LF without CR */
  | ({ readonly kind: 'bare-newline' } & Unreadable)
  | ({ readonly kind: 'nul' } & Unreadable)

interface Unreadable {
  /** a chunk may follow, of nobody knows how many octets */
  readonly chunkFollows?: true
}

const CR = 0x0d
const LF = 0x0a
/** in front of the first LF */
// oxlint-disable-next-line no-control-regex -- octets that no line may hold
const UNUSUAL = /[\0\r]/
/** also where somebody else took the bare CR or LF in front of it for the end of a line */
const BDAT = /(?:^|[\r\n])[ \t]*BDAT(?![A-Za-z0-9-])/i
/** as much of a line's beginning as tells whether it is one */
const BDAT_LENGTH = 'BDAT?'.length
/** a beginning that is none: it was said once that octets follow */
const TOLD = 'x'
const NOTHING = Buffer.alloc(0)

/** A line that has been answered already, and goes on. */
interface Answered {
  readonly kind: Exclude<Line['kind'], 'line'>
  /** what its octets behind the last bare CR or LF begin with */
  lead: string
}

export class LineReader {
  readonly #maxLength: number
  #buffer: Buffer = NOTHING
  #answered: Answered | undefined

  /** @param maxLength octets of a line, its CRLF included (as RFC 5321 §4.5.3.1 counts) */
  constructor(maxLength: number) {
    this.#maxLength = maxLength
  }

  /** octets that were pushed and not consumed */
  get buffered(): number {
    return this.#buffer.length
  }

  /** Adds octets. The chunk is kept, not copied, where nothing was left over before it. */
  push(chunk: Buffer): void {
    // none of a chunk would still keep all of its memory: the rest behind a message is mostly that
    if (chunk.length === 0) return
    this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk])
  }

  /** The next line or finding; undefined when more octets are needed. */
  next(): Line | undefined {
    if (this.#buffer.length === 0) return undefined
    if (this.#answered !== undefined) {
      const late = this.#skipLine(this.#answered)
      if (late !== undefined || this.#answered !== undefined) return late
    }
    const usual = this.#usualLine()
    if (usual !== undefined) return usual
    const window = this.#buffer.subarray(0, this.#maxLength)
    const end = window.indexOf('\r\n')
    const content = end < 0 ? window : window.subarray(0, end)
    const tooLong = end < 0 && window.length === this.#maxLength
    const offence = firstOffence(content, end >= 0) ?? (tooLong ? 'too-long' : undefined)
    if (offence !== undefined) {
      this.#answered = { kind: offence, lead: '' }
      return this.#skipLine(this.#answered) ?? { kind: offence }
    }
    if (end < 0) return undefined
    this.#consume(end + 2)
    return { kind: 'line', text: content.toString('latin1') }
  }

  /** A line that is all there and has nothing wrong with it; undefined says nothing. */
  #usualLine(): Line | undefined {
    const end = this.#buffer.indexOf(LF) - 1
    if (end < 0 || end + 2 > this.#maxLength || this.#buffer[end] !== CR) return undefined
    const text = this.#buffer.toString('latin1', 0, end)
    if (UNUSUAL.test(text)) return undefined
    this.#consume(end + 2)
    return { kind: 'line', text }
  }

  /** Hands over the octets that no line has consumed, and starts afresh. */
  drain(): Buffer {
    const rest = this.#buffer
    this.#buffer = NOTHING
    this.#answered = undefined
    return rest
  }

  /** Drops octets up to the end of the line. @returns what is to be said of them, if anything */
  #skipLine(answered: Answered): Line | undefined {
    const end = this.#buffer.indexOf('\r\n')
    const octets = end < 0 ? this.#buffer.length - (this.#buffer.at(-1) === CR ? 1 : 0) : end
    const text = answered.lead + this.#buffer.toString('latin1', 0, octets)
    this.#consume(end < 0 ? octets : end + 2)
    const found = BDAT.test(text)
    if (end >= 0) this.#answered = undefined
    else answered.lead = found ? TOLD : leadOf(text)
    return found ? { kind: answered.kind, chunkFollows: true } : undefined
  }

  #consume(octets: number): void {
    this.#buffer = octets === this.#buffer.length ? NOTHING : this.#buffer.subarray(octets)
  }
}

function leadOf(text: string): string {
  const start = Math.max(text.lastIndexOf('\r'), text.lastIndexOf('\n')) + 1
  return text
    .slice(start)
    .replace(/^[ \t]+/, '')
    .slice(0, BDAT_LENGTH)
}

/** The first octet that no line may hold decides; while the line goes on, a CR at its end may still get its LF. */
function firstOffence(content: Buffer, ended: boolean): 'bare-newline' | 'nul' | undefined {
  const nul = content.indexOf(0)
  const lf = content.indexOf(LF)
  const cr = (ended ? content : content.subarray(0, -1)).indexOf(CR)
  const newline = lf < 0 || cr < 0 ? Math.max(lf, cr) : Math.min(lf, cr)
  if (nul >= 0 && (newline < 0 || nul < newline)) return 'nul'
  return newline < 0 ? undefined : 'bare-newline'
}
