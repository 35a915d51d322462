/**
 * Reads PCRE patterns (momentum: lua/ref-msys-pcre-match), octet by octet: no UTF mode.
 *
 * Conditions, recursion, branch reset, `\G`, `\X`, Unicode properties and verbs are refused by name; nothing that is
 * not understood is taken for a literal.
 */

import { escapeClass, OctetSet } from './octet-set.ts'
import { readClass } from './pcre-class.ts'
import { PatternReader } from './pcre-reader.ts'
import {
  fixedLength,
  type ParsedPattern,
  type PatternNode,
  type Place,
  type RepeatMode,
  UNLIMITED,
} from './pcre-tree.ts'

const maxPattern = 8192
const maxDepth = 100
const maxRepeat = 65_535
const anything = OctetSet.of([0, 255])
const notNewline = OctetSet.of([10, 10]).inverted()
const NOTHING: PatternNode = { kind: 'sequence', items: [] }

interface Options {
  /** i, m, s, x of PCRE */
  readonly fold: boolean
  readonly lines: boolean
  readonly dotAll: boolean
  readonly extended: boolean
}

/** @throws PatternError */
export function parsePattern(pattern: string): ParsedPattern {
  const reader = new PatternReader(pattern)
  if (pattern.length > maxPattern) throw reader.error(`a pattern has at most ${maxPattern} octets`)
  return new Parser(reader).run()
}

class Parser {
  readonly #reader: PatternReader
  readonly #names = new Map<number, string>()
  readonly #total: number
  /** the highest group that was referred to */
  #referred = 0
  #groups = 0
  #depth = 0
  #options: Options = { fold: false, lines: false, dotAll: false, extended: false }

  constructor(reader: PatternReader) {
    this.#reader = reader
    this.#total = countGroups(reader.pattern)
  }

  run(): ParsedPattern {
    const root = this.#alternatives()
    if (this.#reader.peek() !== '') throw this.#reader.error('unmatched closing parenthesis')
    if (this.#referred > this.#groups) throw this.#reader.error('reference to a group that does not exist')
    return { root, names: this.#names, groups: this.#groups }
  }

  /** Up to a closing parenthesis or the end; options that are set inside end there. */
  #alternatives(): PatternNode {
    if (++this.#depth > maxDepth) throw this.#reader.error('groups are nested too deeply')
    const before = this.#options
    const branches = [this.#branch()]
    while (this.#reader.peek() === '|') {
      this.#reader.at++
      branches.push(this.#branch())
    }
    this.#options = before
    this.#depth--
    const [only = NOTHING, ...others] = branches
    return others.length === 0 ? only : { kind: 'choice', branches }
  }

  #branch(): PatternNode {
    const items: PatternNode[] = []
    for (;;) {
      if (this.#options.extended) this.#reader.skipBlanks()
      const c = this.#reader.peek()
      if (c === '' || c === '|' || c === ')') break
      const item = this.#atom()
      if (item !== undefined) items.push(this.#quantified(item))
    }
    const [only = NOTHING, ...others] = items
    return others.length === 0 ? only : { kind: 'sequence', items }
  }

  /** Undefined for what stands for nothing: comments, options, `\E`. */
  #atom(): PatternNode | undefined {
    const c = this.#reader.next()
    switch (c) {
      case '(':
        return this.#group()
      case '[':
        return { kind: 'set', set: readClass(this.#reader, this.#options.fold) }
      case '.':
        return { kind: 'set', set: this.#options.dotAll ? anything : notNewline }
      case '^':
        return place(this.#options.lines ? 'line-start' : 'start')
      case '$':
        return place(this.#options.lines ? 'line-end' : 'end-or-newline')
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

  #literal(octet: number): PatternNode {
    const set = OctetSet.of([octet, octet])
    return { kind: 'set', set: this.#options.fold ? set.folded() : set }
  }

  #quantified(body: PatternNode): PatternNode {
    if (this.#options.extended) this.#reader.skipBlanks()
    const match = this.#reader.take(/(?<sign>[*+?])|\{(?<least>\d{1,5})(?<comma>,(?<most>\d{0,5}))?\}/y)
    if (match === undefined) return body
    const { sign, least: low, comma, most: high } = match
    const least = low === undefined ? (sign === '+' ? 1 : 0) : Number(low)
    const most =
      low === undefined
        ? sign === '?'
          ? 1
          : UNLIMITED
        : comma === undefined
          ? least
          : Number(high || UNLIMITED)
    if (least > maxRepeat || (most > maxRepeat && most !== UNLIMITED))
      throw this.#reader.error('number too big in a quantifier')
    if (most < least) throw this.#reader.error('numbers out of order in a quantifier')
    const node: PatternNode = { kind: 'repeat', body, least, most, mode: this.#repeatMode() }
    const next = this.#reader.peek()
    if (next === '*' || next === '+' || next === '?')
      throw this.#reader.error('a quantifier without anything to repeat')
    return node
  }

  #repeatMode(): RepeatMode {
    const c = this.#reader.peek()
    if (c !== '?' && c !== '+') return 'greedy'
    this.#reader.at++
    return c === '?' ? 'lazy' : 'possessive'
  }

  #group(): PatternNode | undefined {
    const reader = this.#reader
    if (reader.peek() === '*') throw reader.error('verbs such as (*COMMIT) are not supported')
    if (reader.peek() !== '?') return this.#capture(undefined)
    reader.at++
    const name = reader.take(/P?<(?<angle>[A-Za-z_]\w{0,31})>|'(?<quote>[A-Za-z_]\w{0,31})'/y)
    if (name !== undefined) return this.#capture(name['angle'] ?? name['quote'])
    const look = reader.take(/(?<behind><?)(?<sign>[=!])/y)
    if (look !== undefined) return this.#look(look['behind'] === '<', look['sign'] === '!')
    if (reader.take(/>/y) !== undefined) return { kind: 'atomic', body: this.#inside() }
    const reference = reader.take(/P=(?<name>\w+)\)/y)
    if (reference !== undefined) return this.#referenceTo(reference['name'] ?? '')
    if (reader.peek() !== '#') return this.#optionGroup()
    const end = reader.pattern.indexOf(')', reader.at)
    if (end < 0) throw reader.error('a comment without an end')
    reader.at = end + 1
    return undefined
  }

  #look(behind: boolean, negative: boolean): PatternNode {
    const body = this.#inside()
    const branches = body.kind === 'choice' ? body.branches : [body]
    if (behind && branches.some((branch) => fixedLength(branch) === undefined))
      throw this.#reader.error('what is looked behind for has no fixed length')
    return { kind: 'look', behind, negative, body }
  }

  /** `(?:…)`, `(?i:…)`, and `(?i)` for the rest of the group. */
  #optionGroup(): PatternNode | undefined {
    const rest = this.#reader.rest()
    const match = this.#reader.take(/(?<on>[imsx]*)(?:-(?<off>[imsx]*))?(?<end>[:)])/y)
    if (match === undefined) throw this.#reader.error(whyNot(rest))
    const before = this.#options
    const { on = '', off = '', end } = match
    const setting = (letter: string, value: boolean): boolean =>
      !off.includes(letter) && (value || on.includes(letter))
    this.#options = {
      fold: setting('i', before.fold),
      lines: setting('m', before.lines),
      dotAll: setting('s', before.dotAll),
      extended: setting('x', before.extended),
    }
    // alternatives() puts the options back at the end of the group that this stands in
    if (end === ')') return undefined
    const body = this.#inside()
    this.#options = before
    return body
  }

  #capture(name: string | undefined): PatternNode {
    const number = ++this.#groups
    if (name !== undefined) {
      if ([...this.#names.values()].includes(name)) throw this.#reader.error(`two groups are named "${name}"`)
      this.#names.set(number, name)
    }
    return { kind: 'group', number, body: this.#inside() }
  }

  #inside(): PatternNode {
    const body = this.#alternatives()
    if (this.#reader.peek() !== ')') throw this.#reader.error('missing closing parenthesis')
    this.#reader.at++
    return body
  }

  #escape(): PatternNode | undefined {
    const c = this.#reader.next()
    if (c === '') throw this.#reader.error('a backslash at the end')
    const known = places[c]
    if (known !== undefined) return place(known)
    const set = c === 'N' ? notNewline : escapeClass(c)
    if (set !== undefined) return { kind: 'set', set }
    if (c === 'K') return { kind: 'keep' }
    if (c === 'R') return lineBreak
    if (c === 'E') return undefined
    if (c === 'Q') return this.#quotedText()
    if (c === 'g' || c === 'k') return this.#namedReference(c)
    if (/[1-9]/.test(c)) return this.#numbered()
    return this.#literal(this.#reader.character(c))
  }

  #quotedText(): PatternNode {
    const reader = this.#reader
    const end = reader.pattern.indexOf('\\E', reader.at)
    const text = reader.pattern.slice(reader.at, end < 0 ? undefined : end)
    reader.at = end < 0 ? reader.pattern.length : end + 2
    const items = Array.from(text, (c) => this.#literal(c.charCodeAt(0)))
    const last = items.pop()
    // a quantifier behind \E belongs to the last character
    return last === undefined ? NOTHING : { kind: 'sequence', items: [...items, this.#quantified(last)] }
  }

  /** `\1`, or an octal number where there are not that many groups. */
  #numbered(): PatternNode {
    this.#reader.at--
    const [digits = ''] = /^\d{1,3}/.exec(this.#reader.rest()) ?? []
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
  #namedReference(letter: string): PatternNode {
    const match = this.#reader.take(
      /\{(?<brace>-?\w+)\}|<(?<angle>[A-Za-z_]\w*)>|'(?<quote>[A-Za-z_]\w*)'|(?<bare>\d+)/y,
    )
    const { brace, angle, quote, bare } = match ?? {}
    const target = brace ?? angle ?? quote ?? bare
    if (target === undefined || (letter === 'g' && (angle ?? quote) !== undefined))
      throw this.#reader.error(`\\${letter} in this form is not supported`)
    if (!/^-?\d+$/.test(target)) return this.#referenceTo(target)
    const number = Number(target)
    return this.#reference(number < 0 ? this.#groups + 1 + number : number)
  }

  #referenceTo(name: string): PatternNode {
    const number = [...this.#names].find(([, known]) => known === name)?.[0]
    if (number === undefined)
      throw this.#reader.error(`reference to "${name}", a group that does not exist before it`)
    return this.#reference(number)
  }

  #reference(number: number): PatternNode {
    if (number < 1) throw this.#reader.error('reference to a group that does not exist')
    this.#referred = Math.max(this.#referred, number)
    return { kind: 'reference', number, fold: this.#options.fold }
  }
}

const place = (name: Place): PatternNode => ({ kind: 'place', place: name })

const places: Readonly<Record<string, Place>> = {
  A: 'start',
  z: 'end',
  Z: 'end-or-newline',
  b: 'word-edge',
  B: 'no-word-edge',
}

/** `\R`: CR LF is one, and is not taken apart. */
const lineBreak: PatternNode = {
  kind: 'atomic',
  body: {
    kind: 'choice',
    branches: [
      {
        kind: 'sequence',
        items: [
          { kind: 'set', set: OctetSet.of([13, 13]) },
          { kind: 'set', set: OctetSet.of([10, 10]) },
        ],
      },
      { kind: 'set', set: OctetSet.of([10, 13], [0x85, 0x85]) },
    ],
  },
}

/** Why a group that begins with `(?` and this is refused. */
function whyNot(rest: string): string {
  if (rest.startsWith('(')) return 'conditions such as (?(1)a|b) are not supported'
  if (rest.startsWith('|')) return 'groups that share numbers, (?|, are not supported'
  if (/^(?:R|[-+]?\d|&|P>)/.test(rest)) return 'recursion is not supported'
  return `(?${rest.slice(0, 1)} is not supported`
}

/** How many capturing groups a pattern has; what is inside classes and behind backslashes does not count. */
function countGroups(pattern: string): number {
  const bare = pattern.replaceAll(/\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]/gs, '')
  return bare.match(/\((?!\?)|\(\?P?<(?![=!])|\(\?'/g)?.length ?? 0
}
