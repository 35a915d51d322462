/**
 * Lua 5.1's pattern matching (lstrlib.c), on octets, with a budget.
 *
 * The C matcher cannot be interrupted and a short pattern can keep it busy for years; this one reports every few
 * thousand steps to its owner, who may throw. Differences: a NUL in a pattern is an ordinary character (5.1 stops
 * there), and a pattern that needs more than 200 nested attempts is an error, as in Lua 5.2.
 */

import { ScriptError } from './state.ts'

const ESCAPE = 37 // %
const UNFINISHED = -1
const POSITION = -2
const maxCaptures = 32
const maxDepth = 200
const stepsBetweenReports = 8192

const code = (character: string): number => character.charCodeAt(0)
const OPEN = code('(')
const CLOSE = code(')')
const DOLLAR = code('$')
const BRACKET = code('[')
const END_BRACKET = code(']')
const CARET = code('^')
const DASH = code('-')
const DOT = code('.')
const STAR = code('*')
const PLUS = code('+')
const QUESTION = code('?')
const ZERO = code('0')
const NINE = code('9')

/** Where a string's octets are in the memory that both strings share. */
export interface Span {
  readonly at: number
  readonly length: number
}

/** A capture: octets `from` … `from + length`, or a position (`length` −2). */
export interface Capture {
  readonly from: number
  readonly length: number
}

export class Matcher {
  /** absolute offset where the last match began, and its end */
  start = 0
  end = 0

  readonly #memory: Uint8Array
  readonly #from: number
  readonly #to: number
  readonly #pattern: number
  readonly #patternEnd: number
  readonly #report: () => void
  readonly #captureFrom: number[] = []
  readonly #captureLength: number[] = []
  #steps = 0
  #depth = 0

  /** @param report called every few thousand steps; throws to end the search */
  constructor(memory: Uint8Array, subject: Span, pattern: Span, report: () => void) {
    this.#memory = memory
    this.#from = subject.at
    this.#to = subject.at + subject.length
    this.#pattern = pattern.at
    this.#patternEnd = pattern.at + pattern.length
    this.#report = report
  }

  /** Whether the pattern starts with `^`. */
  get anchored(): boolean {
    return this.#pattern < this.#patternEnd && this.#memory[this.#pattern] === CARET
  }

  /** Looks for the first match at or after `from` (absolute). @param anchored only at `from`, after the `^` */
  search(from: number, anchored: boolean): boolean {
    const pattern = anchored ? this.#pattern + 1 : this.#pattern
    for (let at = from; at <= this.#to; at++) {
      this.#captureFrom.length = 0
      this.#captureLength.length = 0
      this.#depth = 0
      const end = this.#match(at, pattern)
      if (end >= 0) {
        this.start = at
        this.end = end
        return true
      }
      if (anchored) return false
    }
    return false
  }

  get captureCount(): number {
    return this.#captureFrom.length
  }

  /** Capture `index` from 0. Capture 0 of a pattern without captures is the whole match. */
  capture(index: number): Capture {
    if (index >= this.#captureFrom.length) {
      if (index !== 0) throw new ScriptError('invalid capture index')
      return { from: this.start, length: this.end - this.start }
    }
    const length = this.#captureLength[index] ?? 0
    if (length === UNFINISHED) throw new ScriptError('unfinished capture')
    return { from: this.#captureFrom[index] ?? 0, length }
  }

  /** The number that a position capture stands for. */
  position(capture: Capture): number {
    return capture.from - this.#from + 1
  }

  #step(): void {
    if (++this.#steps % stepsBetweenReports === 0) this.#report()
  }

  /** Returns the end of the match, or -1. */
  #match(s: number, p: number): number {
    if (++this.#depth > maxDepth) throw new ScriptError('pattern too complex')
    try {
      return this.#matchHere(s, p)
    } finally {
      this.#depth--
    }
  }

  #matchHere(subject: number, pattern: number): number {
    const memory = this.#memory
    let s = subject
    let p = pattern
    for (;;) {
      this.#step()
      if (p >= this.#patternEnd) return s
      const c = memory[p] ?? 0
      if (c === OPEN) return this.#startCapture(s, p + 1)
      if (c === CLOSE) return this.#endCapture(s, p + 1)
      if (c === DOLLAR && p + 1 === this.#patternEnd) return s === this.#to ? s : -1
      if (c === ESCAPE) {
        const special = this.#escape(s, p)
        if (special !== undefined) {
          if (special.s < 0) return -1
          ;({ s, p } = special)
          continue
        }
      }
      const end = this.#classEnd(p)
      const fits = s < this.#to && this.#single(memory[s] ?? 0, p, end)
      const suffix = end < this.#patternEnd ? (memory[end] ?? 0) : 0
      if (suffix === QUESTION) {
        const rest = fits ? this.#match(s + 1, end + 1) : -1
        if (rest >= 0) return rest
        p = end + 1
      } else if (suffix === STAR) {
        return this.#maxExpand(s, p, end)
      } else if (suffix === PLUS) {
        return fits ? this.#maxExpand(s + 1, p, end) : -1
      } else if (suffix === DASH) {
        return this.#minExpand(s, p, end)
      } else {
        if (!fits) return -1
        s++
        p = end
      }
    }
  }

  /** `%b`, `%f` and `%1`: where to go on (s -1: no match); undefined for an ordinary class. */
  #escape(s: number, p: number): { readonly s: number; readonly p: number } | undefined {
    const memory = this.#memory
    const next = p + 1 < this.#patternEnd ? (memory[p + 1] ?? 0) : 0
    if (next === code('b')) return { s: this.#balance(s, p + 2), p: p + 4 }
    if (next === code('f')) {
      const open = p + 2
      if (open >= this.#patternEnd || memory[open] !== BRACKET)
        throw new ScriptError("missing '[' after '%f' in pattern")
      const end = this.#classEnd(open)
      const before = s === this.#from ? 0 : (memory[s - 1] ?? 0)
      const here = s < this.#to ? (memory[s] ?? 0) : 0
      const fits = !this.#bracket(before, open, end - 1) && this.#bracket(here, open, end - 1)
      return { s: fits ? s : -1, p: end }
    }
    if (next >= ZERO && next <= NINE) return { s: this.#backReference(s, next), p: p + 2 }
    return undefined
  }

  #startCapture(s: number, p: number): number {
    const position = p < this.#patternEnd && this.#memory[p] === CLOSE
    if (this.#captureFrom.length >= maxCaptures) throw new ScriptError('too many captures')
    this.#captureFrom.push(s)
    this.#captureLength.push(position ? POSITION : UNFINISHED)
    const end = this.#match(s, position ? p + 1 : p)
    if (end < 0) {
      this.#captureFrom.pop()
      this.#captureLength.pop()
    }
    return end
  }

  #endCapture(s: number, p: number): number {
    const open = this.#captureLength.lastIndexOf(UNFINISHED)
    if (open < 0) throw new ScriptError('invalid pattern capture')
    this.#captureLength[open] = s - (this.#captureFrom[open] ?? 0)
    const end = this.#match(s, p)
    if (end < 0) this.#captureLength[open] = UNFINISHED
    return end
  }

  #backReference(s: number, digit: number): number {
    const index = digit - ZERO - 1
    const length = this.#captureLength[index]
    if (length === undefined || length === UNFINISHED) throw new ScriptError('invalid capture index')
    // a position capture has no text; 5.1 compares a length that no subject has
    if (length === POSITION || this.#to - s < length) return -1
    const from = this.#captureFrom[index] ?? 0
    for (let i = 0; i < length; i++) {
      this.#step()
      if (this.#memory[from + i] !== this.#memory[s + i]) return -1
    }
    return s + length
  }

  #balance(s: number, p: number): number {
    if (p + 1 >= this.#patternEnd) throw new ScriptError('unbalanced pattern')
    const memory = this.#memory
    if (s >= this.#to || memory[s] !== memory[p]) return -1
    const [begin, end] = [memory[p], memory[p + 1]]
    let depth = 1
    for (let at = s + 1; at < this.#to; at++) {
      this.#step()
      const c = memory[at]
      if (c === end) {
        if (--depth === 0) return at + 1
      } else if (c === begin) depth++
    }
    return -1
  }

  #maxExpand(s: number, p: number, end: number): number {
    let count = 0
    while (s + count < this.#to && this.#single(this.#memory[s + count] ?? 0, p, end)) {
      this.#step()
      count++
    }
    for (; count >= 0; count--) {
      const rest = this.#match(s + count, end + 1)
      if (rest >= 0) return rest
    }
    return -1
  }

  #minExpand(subject: number, p: number, end: number): number {
    for (let s = subject; ; s++) {
      const rest = this.#match(s, end + 1)
      if (rest >= 0) return rest
      if (s >= this.#to || !this.#single(this.#memory[s] ?? 0, p, end)) return -1
    }
  }

  /** The offset behind the class that starts at `p`. */
  #classEnd(p: number): number {
    const memory = this.#memory
    let at = p
    const first = memory[at++]
    if (first === ESCAPE) {
      if (at >= this.#patternEnd) throw new ScriptError("malformed pattern (ends with '%')")
      return at + 1
    }
    if (first !== BRACKET) return at
    if (at < this.#patternEnd && memory[at] === CARET) at++
    do {
      if (at >= this.#patternEnd) throw new ScriptError("malformed pattern (missing ']')")
      if (memory[at++] === ESCAPE && at < this.#patternEnd) at++
    } while (at >= this.#patternEnd || memory[at] !== END_BRACKET)
    return at + 1
  }

  #single(c: number, p: number, end: number): boolean {
    const first = this.#memory[p] ?? 0
    if (first === DOT) return true
    if (first === ESCAPE) return inClass(c, this.#memory[p + 1] ?? 0)
    if (first === BRACKET) return this.#bracket(c, p, end - 1)
    return first === c
  }

  /** @param close offset of the closing bracket */
  #bracket(c: number, open: number, close: number): boolean {
    const memory = this.#memory
    let p = open
    const negated = memory[p + 1] === CARET
    if (negated) p++
    while (++p < close) {
      const item = memory[p] ?? 0
      if (item === ESCAPE) {
        p++
        if (inClass(c, memory[p] ?? 0)) return !negated
      } else if (memory[p + 1] === DASH && p + 2 < close) {
        p += 2
        if (item <= c && c <= (memory[p] ?? 0)) return !negated
      } else if (item === c) return !negated
    }
    return negated
  }
}

/** Characters that make a `find` more than a search for plain text. */
export function isPlain(memory: Uint8Array, pattern: Span): boolean {
  for (let i = pattern.at; i < pattern.at + pattern.length; i++) {
    if (specials.includes(memory[i] ?? 0)) return false
  }
  return true
}

const specials = Array.from('^$*+?.([%-', code)

/** `%a` and its like, in the C locale. */
function inClass(c: number, letter: number): boolean {
  const lower = letter | 0x20
  const test = classes[lower]
  if (test === undefined) return letter === c
  return letter === lower ? test(c) : !test(c)
}

const isLower = (c: number): boolean => c >= 97 && c <= 122
const isUpper = (c: number): boolean => c >= 65 && c <= 90
const isDigit = (c: number): boolean => c >= 48 && c <= 57
const isAlphanumeric = (c: number): boolean => isLower(c) || isUpper(c) || isDigit(c)
const classes: Readonly<Record<number, (c: number) => boolean>> = {
  [code('a')]: (c) => isLower(c) || isUpper(c),
  [code('c')]: (c) => c < 32 || c === 127,
  [code('d')]: isDigit,
  [code('l')]: isLower,
  [code('p')]: (c) => c > 32 && c < 127 && !isAlphanumeric(c),
  [code('s')]: (c) => c === 32 || (c >= 9 && c <= 13),
  [code('u')]: isUpper,
  [code('w')]: isAlphanumeric,
  [code('x')]: (c) => isDigit(c) || (c >= 65 && c <= 70) || (c >= 97 && c <= 102),
  [code('z')]: (c) => c === 0,
}
