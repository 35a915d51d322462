/**
 * A strict reader of DER (X.690 §10). It reads what is asked for, in order, and nothing else.
 *
 * Refused: indefinite and non-minimal lengths, tags above 30, lengths that reach past their parent, what is deeper than
 * 16 levels, more than the allowed number of elements. Every failure is a `MalformedCertificate`; nothing is guessed.
 */

/** The bytes are not the certificate or revocation list that they should be. */
export class MalformedCertificate extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'MalformedCertificate'
  }
}

export interface Element {
  readonly tag: number
  /** without tag and length */
  readonly content: Buffer
  /** with tag and length */
  readonly raw: Buffer
}

const MAX_DEPTH = 16

/** Counts down over all readers of one document. */
interface Budget {
  elements: number
}

export class DerReader {
  readonly #bytes: Buffer
  readonly #depth: number
  readonly #budget: Budget
  #at = 0

  private constructor(bytes: Buffer, depth: number, budget: Budget) {
    if (depth > MAX_DEPTH) throw new MalformedCertificate('nested too deeply')
    this.#bytes = bytes
    this.#depth = depth
    this.#budget = budget
  }

  /** @param elements how many elements may be read, by this reader and all that come from it */
  static of(bytes: Buffer, elements: number): DerReader {
    return new DerReader(bytes, 0, { elements })
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** The tag of the next element, undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The next element; with a tag it must have that tag. */
  read(tag?: number): Element {
    if ((this.#budget.elements -= 1) < 0) throw new MalformedCertificate('too many elements')
    const start = this.#at
    const found = this.#octet()
    if ((found & 0x1f) === 0x1f) throw new MalformedCertificate('a tag above 30')
    if (tag !== undefined && found !== tag) {
      throw new MalformedCertificate(`tag ${hex(found)} where ${hex(tag)} should be`)
    }
    const length = this.#length()
    const from = this.#at
    if (length > this.#bytes.length - from) throw new MalformedCertificate('a length reaches past the end')
    this.#at = from + length
    return {
      tag: found,
      content: this.#bytes.subarray(from, this.#at),
      raw: this.#bytes.subarray(start, this.#at),
    }
  }

  /** A reader for the content of the next element. */
  enter(tag: number): DerReader {
    return this.inside(this.read(tag))
  }

  /** A reader for the content of an element that was read; it draws on the same limits. */
  inside(element: Element): DerReader {
    return new DerReader(element.content, this.#depth + 1, this.#budget)
  }

  /** Reads the next element if it has this tag. */
  optional(tag: number): Element | undefined {
    return this.peek() === tag ? this.read(tag) : undefined
  }

  end(): void {
    if (!this.done) throw new MalformedCertificate('something follows where nothing should')
  }

  #octet(): number {
    const octet = this.#bytes[this.#at]
    if (octet === undefined) throw new MalformedCertificate('it ends too early')
    this.#at += 1
    return octet
  }

  #length(): number {
    const first = this.#octet()
    if (first < 0x80) return first
    const count = first & 0x7f
    if (count === 0) throw new MalformedCertificate('an indefinite length')
    if (count > 4) throw new MalformedCertificate('a length of more than four octets')
    let length = 0
    for (let i = 0; i < count; i += 1) length = length * 256 + this.#octet()
    const minimal = length >= 0x80 && length >= 256 ** (count - 1)
    if (!minimal) throw new MalformedCertificate('a length that is not minimal')
    return length
  }
}

/**
 * A dotted object identifier.
 * @param content of an OBJECT IDENTIFIER; at most 64 octets, each arc below 2^53
 */
export function readOid(content: Buffer): string {
  if (content.length === 0 || content.length > 64)
    throw new MalformedCertificate('an object identifier of odd length')
  const arcs: number[] = []
  let arc = 0
  let started = false
  for (const octet of content) {
    if (!started && octet === 0x80) throw new MalformedCertificate('an object identifier that is not minimal')
    if (arc > 2 ** 45) throw new MalformedCertificate('an object identifier with a huge arc')
    arc = arc * 128 + (octet & 0x7f)
    started = (octet & 0x80) !== 0
    if (!started) {
      arcs.push(arc)
      arc = 0
    }
  }
  if (started) throw new MalformedCertificate('an object identifier that is cut off')
  const [head = 0, ...rest] = arcs
  const first = Math.min(2, Math.floor(head / 40))
  return [first, head - first * 40, ...rest].join('.')
}

/** Milliseconds of a UTCTime or GeneralizedTime in the one form that RFC 5280 §4.1.2.5 allows. */
export function readTime(element: Element): number {
  const text = element.content.toString('latin1')
  const [, century, year = '', month = '', day = '', hour = '', minute = '', second = ''] =
    /^(\d\d)?(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text) ?? []
  const short = element.tag === 0x17 && text.length === 13
  const long = element.tag === 0x18 && text.length === 15
  if (!(short || long) || year === '')
    throw new MalformedCertificate('a time in another form than RFC 5280 allows')
  const full = long ? `${century ?? ''}${year}` : `${Number(year) < 50 ? '20' : '19'}${year}`
  const iso = `${full}-${month}-${day}T${hour}:${minute}:${second}.000Z`
  const milliseconds = Date.parse(iso)
  // a date such as 31 February reads as another day
  if (Number.isNaN(milliseconds) || new Date(milliseconds).toISOString() !== iso) {
    throw new MalformedCertificate('a time that does not exist')
  }
  return milliseconds
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`
}
