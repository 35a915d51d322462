/** Sets of octets, and those that PCRE has names for. */

export class OctetSet {
  readonly #members = new Uint8Array(256)

  static of(...ranges: readonly (readonly [number, number])[]): OctetSet {
    const set = new OctetSet()
    for (const [first, last] of ranges) set.addRange(first, last)
    return set
  }

  addRange(first: number, last: number): void {
    this.#members.fill(1, first, last + 1)
  }

  addAll(other: OctetSet): void {
    for (let octet = 0; octet < 256; octet++) if (other.#members[octet] === 1) this.#members[octet] = 1
  }

  inverted(): OctetSet {
    const set = new OctetSet()
    for (let octet = 0; octet < 256; octet++) set.#members[octet] = this.#members[octet] === 1 ? 0 : 1
    return set
  }

  /** ASCII letters in both cases where one is a member. */
  folded(): OctetSet {
    const set = new OctetSet()
    set.addAll(this)
    for (let upper = 65; upper <= 90; upper++) {
      if (this.#members[upper] === 1 || this.#members[upper + 32] === 1) {
        set.#members[upper] = 1
        set.#members[upper + 32] = 1
      }
    }
    return set
  }

  /** 256 octets, 1 for members */
  get members(): Uint8Array {
    return this.#members
  }

  /** The only member; undefined when there are none or more. */
  only(): number | undefined {
    const first = this.#members.indexOf(1)
    return first >= 0 && this.#members.indexOf(1, first + 1) < 0 ? first : undefined
  }
}

const digits = OctetSet.of([48, 57])
const upper = OctetSet.of([65, 90])
const lower = OctetSet.of([97, 122])
const letters = OctetSet.of([65, 90], [97, 122])
const words = OctetSet.of([48, 57], [65, 90], [95, 95], [97, 122])
const blanks = OctetSet.of([9, 13], [32, 32])
const horizontal = OctetSet.of([9, 9], [32, 32], [0xa0, 0xa0])
const vertical = OctetSet.of([10, 13], [0x85, 0x85])

/** What a letter behind a backslash stands for, in the C locale; capitals are the rest. */
export function escapeClass(letter: string): OctetSet | undefined {
  const set = escapes[letter.toLowerCase()]
  if (set === undefined) return undefined
  return letter === letter.toLowerCase() ? set : set.inverted()
}

const escapes: Readonly<Record<string, OctetSet>> = {
  d: digits,
  w: words,
  s: blanks,
  h: horizontal,
  v: vertical,
}

/** `[:alpha:]` and its like. */
export const posixClasses: Readonly<Record<string, OctetSet>> = {
  alnum: OctetSet.of([48, 57], [65, 90], [97, 122]),
  alpha: letters,
  ascii: OctetSet.of([0, 127]),
  blank: OctetSet.of([9, 9], [32, 32]),
  cntrl: OctetSet.of([0, 31], [127, 127]),
  digit: digits,
  graph: OctetSet.of([33, 126]),
  lower,
  print: OctetSet.of([32, 126]),
  punct: OctetSet.of([33, 47], [58, 64], [91, 96], [123, 126]),
  space: blanks,
  upper,
  word: words,
  xdigit: OctetSet.of([48, 57], [65, 70], [97, 102]),
}
