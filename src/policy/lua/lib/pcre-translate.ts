/**
 * A PCRE pattern → the source of a JavaScript regular expression (without flags) that means the same on octets.
 *
 * Nothing is left to differences of the two dialects: every literal, class, anchor and option is written out. What
 * JavaScript cannot do is refused by name: atomic groups and possessive quantifiers, conditions, recursion, `\K`, `\G`,
 * Unicode properties. One difference stays: a reference back to a group that took no part matches the empty text here.
 */

import { escapeClass, hex, OctetSet } from './octet-set.ts'
import { readClass } from './pcre-class.ts'
import { PatternError, PatternReader } from './pcre-reader.ts'
import { estimate, type Risk } from './pcre-risk.ts'

export interface Translation {
  readonly source: string
  /** names of groups, by number from 1 */
  readonly names: ReadonlyMap<number, string>
  readonly groups: number
  /** can match only at the start of the text */
  readonly anchored: boolean
  readonly risk: Risk
}

const maxPattern = 8192
const maxDepth = 100
const maxRepeat = 65_535
const START = '(?<![^])'
const END = '(?![^])'
const anything = OctetSet.of([0, 255])
const notNewline = OctetSet.of([10, 10]).inverted()

interface Options {
  /** i, m, s, x of PCRE */
  readonly fold: boolean
  readonly lines: boolean
  readonly dotAll: boolean
  readonly extended: boolean
}

/** @throws PatternError */
export function translate(pattern: string): Translation {
  if (pattern.length > maxPattern) throw new PatternError(`a pattern has at most ${maxPattern} octets`, 0)
  return new Translator(pattern).run()
}

class Translator {
  readonly #reader: PatternReader
  readonly #names = new Map<number, string>()
  readonly #total: number
  /** numbers of back references that were met, with their places */
  readonly #references: [number, number][] = []
  #groups = 0
  #depth = 0
  /** of the group that was read last: in the end, of the whole pattern */
  #branches = 0
  #options: Options = { fold: false, lines: false, dotAll: false, extended: false }

  constructor(pattern: string) {
    this.#reader = new PatternReader(pattern)
    this.#total = countGroups(pattern)
  }

  run(): Translation {
    const body = this.#alternatives()
    if (this.#reader.at < this.#reader.pattern.length)
      throw this.#reader.error('unmatched closing parenthesis')
    for (const [number, at] of this.#references) {
      if (number > this.#groups) throw new PatternError('reference to a group that does not exist', at)
    }
    const { source, risk } = body
    const anchored = this.#branches === 1 && source.startsWith(`(?:${START})`) && !/^.{13}\{/.test(source)
    return { source, names: this.#names, groups: this.#groups, anchored, risk }
  }

  /** Up to a closing parenthesis or the end; options that are set inside end there. */
  #alternatives(): Piece {
    if (++this.#depth > maxDepth) throw this.#reader.error('groups are nested too deeply')
    const before = this.#options
    const branches: Piece[] = [this.#branch()]
    while (this.#reader.peek() === '|') {
      this.#reader.at++
      branches.push(this.#branch())
    }
    this.#options = before
    this.#depth--
    this.#branches = branches.length
    return {
      source: branches.map(({ source }) => source).join('|'),
      risk: estimate.oneOf(branches.map(riskOf)),
    }
  }

  #branch(): Piece {
    const pieces: Piece[] = []
    for (;;) {
      if (this.#options.extended) this.#reader.skipBlanks()
      const c = this.#reader.peek()
      if (c === '' || c === '|' || c === ')') break
      const piece = this.#atom()
      if (piece !== undefined) pieces.push(this.#quantified(piece))
    }
    return {
      source: pieces.map(({ source }) => source).join(''),
      risk: estimate.sequence(pieces.map(riskOf)),
    }
  }

  /** Undefined for what stands for nothing: comments, options, `\E`. */
  #atom(): Piece | undefined {
    const c = this.#reader.next()
    switch (c) {
      case '(':
        return this.#group()
      case '[':
        return { source: readClass(this.#reader, this.#options.fold).toSource(), risk: estimate.single }
      case '.':
        return this.#set(this.#options.dotAll ? anything : notNewline)
      case '^':
        return assertion(this.#options.lines ? `${START}|(?<=\\x0a)(?=[^])` : START)
      case '$':
        return assertion(this.#options.lines ? `(?=\\x0a)|${END}` : `(?=\\x0a?${END})`)
      case '\\':
        return this.#escape()
      case '*':
      case '+':
      case '?':
        throw this.#reader.error('a quantifier without anything to repeat', -1)
      default:
        return this.#literal(c.charCodeAt(0))
    }
  }

  #literal(octet: number): Piece {
    const set = OctetSet.of([octet, octet])
    const letter = /[A-Za-z]/.test(String.fromCharCode(octet))
    return this.#options.fold && letter ? this.#set(set) : { source: hex(octet), risk: estimate.single }
  }

  #set(set: OctetSet): Piece {
    return { source: (this.#options.fold ? set.folded() : set).toSource(), risk: estimate.single }
  }

  #quantified(piece: Piece): Piece {
    if (this.#options.extended) this.#reader.skipBlanks()
    const found = /(?:[*+?]|\{(?<least>\d{1,5})(?<comma>,(?<most>\d{0,5}))?\})(?<mode>[?+]?)/y
    found.lastIndex = this.#reader.at
    const match = found.exec(this.#reader.pattern)
    if (match === null) return piece
    const { least, comma, most, mode } = match.groups ?? {}
    if (mode === '+') throw this.#reader.error('possessive quantifiers are not supported')
    this.#reader.at = found.lastIndex
    const text = match[0]
    const from = least === undefined ? (text.startsWith('+') ? 1 : 0) : Number(least)
    const unlimited = /^[*+]/.test(text) || (comma !== undefined && most === '')
    const to = unlimited ? undefined : least === undefined ? 1 : comma === undefined ? from : Number(most)
    if (from > maxRepeat || (to ?? 0) > maxRepeat) throw this.#reader.error('number too big in a quantifier')
    if (to !== undefined && to < from) throw this.#reader.error('numbers out of order in a quantifier')
    const risk = estimate.repeat(piece.risk, from, to)
    if (risk.size > 20_000) throw this.#reader.error('the pattern is too large when repeated')
    if (
      /^[*+?]|^\{\d+(?:,\d*)?\}/.test(this.#reader.pattern.slice(this.#reader.at)) &&
      !this.#options.extended
    )
      throw this.#reader.error('a quantifier without anything to repeat')
    const suffix = `{${from},${to ?? ''}}${mode === '?' ? '?' : ''}`
    return { source: `${piece.source}${suffix}`, risk }
  }

  #group(): Piece | undefined {
    if (this.#reader.peek() === '*') throw this.#reader.error('verbs such as (*COMMIT) are not supported')
    if (this.#reader.peek() !== '?') return this.#capture(undefined)
    this.#reader.at++
    const rest = this.#reader.pattern.slice(this.#reader.at, this.#reader.at + 80)
    const name = /^(?:P?<(?<angle>[A-Za-z_]\w{0,31})>|'(?<quote>[A-Za-z_]\w{0,31})')/.exec(rest)
    if (name !== null) {
      this.#reader.at += name[0].length
      return this.#capture(name.groups?.['angle'] ?? name.groups?.['quote'])
    }
    const look = /^(?:=|!|<=|<!)/.exec(rest)?.[0]
    if (look !== undefined) {
      this.#reader.at += look.length
      const { source, risk } = this.#inside()
      return { source: `(?:(?${look}${source}))`, risk: estimate.assertion(risk) }
    }
    const reference = /^P=(\w+)\)/.exec(rest)
    if (reference !== null) {
      this.#reader.at += reference[0].length
      return this.#referenceTo(reference[1] ?? '')
    }
    if (rest.startsWith('#')) {
      const end = this.#reader.pattern.indexOf(')', this.#reader.at)
      if (end < 0) throw this.#reader.error('a comment without an end')
      this.#reader.at = end + 1
      return undefined
    }
    return this.#optionGroup(rest)
  }

  /** `(?:…)`, `(?i:…)`, and `(?i)` for the rest of the group. */
  #optionGroup(rest: string): Piece | undefined {
    const match = /^(?<on>[imsx]*)(?:-(?<off>[imsx]*))?(?<end>[:)])/.exec(rest)
    if (match === null) throw this.#reader.error(whyNot(rest))
    this.#reader.at += match[0].length
    const before = this.#options
    const { on = '', off = '', end } = match.groups ?? {}
    const setting = (letter: string, value: boolean): boolean =>
      off.includes(letter) ? false : value || on.includes(letter)
    this.#options = {
      fold: setting('i', before.fold),
      lines: setting('m', before.lines),
      dotAll: setting('s', before.dotAll),
      extended: setting('x', before.extended),
    }
    // alternatives() puts the options back at the end of the group that this stands in
    if (end === ')') return undefined
    const { source, risk } = this.#inside()
    this.#options = before
    return { source: `(?:${source})`, risk }
  }

  #capture(name: string | undefined): Piece {
    const number = ++this.#groups
    if (name !== undefined) {
      if ([...this.#names.values()].includes(name)) throw this.#reader.error(`two groups are named "${name}"`)
      this.#names.set(number, name)
    }
    const { source, risk } = this.#inside()
    return { source: `(${source})`, risk }
  }

  #inside(): Piece {
    const body = this.#alternatives()
    if (this.#reader.peek() !== ')') throw this.#reader.error('missing closing parenthesis')
    this.#reader.at++
    return body
  }

  #escape(): Piece | undefined {
    const c = this.#reader.next()
    if (c === '') throw this.#reader.error('a backslash at the end')
    const simple = assertions[c]
    if (simple !== undefined) return assertion(simple)
    const set = c === 'N' ? notNewline : escapeClass(c)
    if (set !== undefined) return this.#set(set)
    if (c === 'R') return { source: '(?:\\x0d\\x0a|[\\x0a-\\x0d\\x85])', risk: estimate.single }
    if (c === 'E') return undefined
    if (c === 'Q') return this.#quotedText()
    if (c === 'g' || c === 'k') return this.#namedReference(c)
    if (/[1-9]/.test(c)) return this.#numbered()
    return this.#literal(this.#reader.character(c))
  }

  #quotedText(): Piece {
    const end = this.#reader.pattern.indexOf('\\E', this.#reader.at)
    const text = this.#reader.pattern.slice(this.#reader.at, end < 0 ? undefined : end)
    this.#reader.at = end < 0 ? this.#reader.pattern.length : end + 2
    const pieces = Array.from(text, (c) => this.#literal(c.charCodeAt(0)))
    const last = pieces.pop()
    if (last === undefined) return { source: '', risk: estimate.nothing }
    const source = pieces.map((piece) => piece.source).join('')
    // a quantifier behind \E belongs to the last character
    const quantified = this.#quantified(last)
    return { source: `(?:${source}${quantified.source})`, risk: quantified.risk }
  }

  /** `\1`, or an octal number where there are not that many groups. */
  #numbered(): Piece {
    this.#reader.at--
    const [digits = ''] = /^\d{1,3}/.exec(this.#reader.pattern.slice(this.#reader.at)) ?? []
    const number = Number(digits)
    if (number < 10 || number <= this.#total) {
      this.#reader.at += digits.length
      return this.#reference(number)
    }
    const [octal = ''] = /^[0-7]{1,3}/.exec(digits) ?? []
    if (octal === '' || Number.parseInt(octal, 8) > 255)
      throw this.#reader.error('reference to a group that does not exist')
    this.#reader.at += octal.length
    return this.#literal(Number.parseInt(octal, 8))
  }

  /** `\g1`, `\g{1}`, `\g{-1}`, `\g{name}`, `\k<name>`, `\k'name'`, `\k{name}` */
  #namedReference(letter: string): Piece {
    const match =
      /^(?:\{(?<brace>-?\w+)\}|<(?<angle>[A-Za-z_]\w*)>|'(?<quote>[A-Za-z_]\w*)'|(?<bare>\d+))/.exec(
        this.#reader.pattern.slice(this.#reader.at, this.#reader.at + 60),
      )
    const { brace, angle, quote, bare } = match?.groups ?? {}
    const target = brace ?? angle ?? quote ?? bare
    if (match === null || target === undefined || (letter === 'g' && (angle ?? quote) !== undefined))
      throw this.#reader.error(`\\${letter} in this form is not supported`)
    this.#reader.at += match[0].length
    if (!/^-?\d+$/.test(target)) return this.#referenceTo(target)
    const number = Number(target)
    return this.#reference(number < 0 ? this.#groups + 1 + number : number)
  }

  #referenceTo(name: string): Piece {
    const number = [...this.#names].find(([, known]) => known === name)?.[0]
    if (number === undefined)
      throw this.#reader.error(`reference to "${name}", a group that does not exist before it`)
    return this.#reference(number)
  }

  #reference(number: number): Piece {
    if (number < 1) throw this.#reader.error('reference to a group that does not exist')
    this.#references.push([number, this.#reader.at])
    const source = this.#options.fold ? `(?i:\\${number})` : `(?:\\${number})`
    return { source, risk: estimate.reference }
  }
}

interface Piece {
  readonly source: string
  readonly risk: Risk
}

const riskOf = ({ risk }: Piece): Risk => risk
const assertion = (source: string): Piece => ({ source: `(?:${source})`, risk: estimate.nothing })

const assertions: Readonly<Record<string, string>> = {
  A: START,
  z: END,
  Z: `(?=\\x0a?${END})`,
  b: '\\b',
  B: '\\B',
}
/** Why a group that begins with `(?` and this is refused. */
function whyNot(rest: string): string {
  if (rest.startsWith('>')) return 'atomic groups (?>…) are not supported'
  if (rest.startsWith('(')) return 'conditions (?(…)…) are not supported'
  if (rest.startsWith('|')) return 'groups that share numbers (?|…) are not supported'
  if (/^(?:R|[-+]?\d|&|P>)/.test(rest)) return 'recursion is not supported'
  return `(?${rest.slice(0, 1)} is not supported`
}

/** How many capturing groups a pattern has; what is inside classes and behind backslashes does not count. */
function countGroups(pattern: string): number {
  const bare = pattern.replaceAll(/\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]/gs, '')
  return bare.match(/\((?!\?)|\(\?P?<(?![=!])|\(\?'/g)?.length ?? 0
}
