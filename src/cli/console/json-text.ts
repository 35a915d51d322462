/**
 * Whether a text is JSON (RFC 8259), told without making anything of it: values made of a hostile answer take fifty times
 * its length in memory. Octet by octet where it may be long: an expression would keep a way back for each.
 */

/** deeper than any answer is */
const MAX_DEPTH = 256

const WORD = /true|false|null/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
const BLANKS = ' \t\n\r'
const DIGITS = '0123456789'

export function isJson(text: string): boolean {
  return new Scanner(text).isJson()
}

class Scanner {
  readonly #text: string
  #at = 0
  /** what closes the arrays and objects that are open */
  readonly #open: ('}' | ']')[] = []

  constructor(text: string) {
    this.#text = text
  }

  isJson(): boolean {
    do {
      if (!this.#value()) return false
      // another value follows in what is open, or it ends there
      while (this.#open.length > 0 && !this.#take(',')) if (!this.#take(this.#open.pop() ?? '')) return false
    } while (this.#open.length > 0)
    this.#run(BLANKS)
    return this.#at === this.#text.length
  }

  /** A value that opens nothing, with all that opens before it: `[[{"a":1`. An empty array or object is such a value. */
  #value(): boolean {
    for (;;) {
      if (this.#open.at(-1) === '}' && !(this.#take('"') && this.#string() && this.#take(':'))) return false
      const close = this.#take('[') ? ']' : this.#take('{') ? '}' : undefined
      if (close === undefined) return this.#take('"') ? this.#string() : this.#match(WORD) || this.#number()
      if (this.#take(close)) return true
      if (this.#open.push(close) > MAX_DEPTH) return false
    }
  }

  /** From behind its first quotation mark. Characters of §7 that must be escaped are none that may stand there. */
  #string(): boolean {
    do {
      let code = this.#text.charCodeAt(this.#at)
      for (; code >= 0x20 && code !== 0x22 && code !== 0x5c; code = this.#text.charCodeAt(this.#at))
        this.#at += 1
    } while (this.#match(ESCAPE))
    return this.#next('"')
  }

  #number(): boolean {
    this.#next('-')
    if (!this.#next('0') && !this.#run(DIGITS)) return false
    if (this.#next('.') && !this.#run(DIGITS)) return false
    if (!this.#next('e') && !this.#next('E')) return true
    if (!this.#next('+')) this.#next('-')
    return this.#run(DIGITS)
  }

  /** One character, after blanks. */
  #take(character: string): boolean {
    this.#run(BLANKS)
    return this.#next(character)
  }

  #next(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at += 1
    return true
  }

  /** @returns whether there was one of these characters */
  #run(characters: string): boolean {
    const from = this.#at
    for (
      let next = this.#text[from];
      next !== undefined && characters.includes(next);
      next = this.#text[this.#at]
    )
      this.#at += 1
    return this.#at > from
  }

  #match(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    if (!pattern.test(this.#text)) return false
    this.#at = pattern.lastIndex
    return true
  }
}
