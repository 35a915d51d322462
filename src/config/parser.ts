/**
 * Tokens → statements with places. Pure; never throws; always ends; reports every error and not only the first.
 *
 * After an error it goes on at the next line that starts with a name, or at the `}` that ends the stanza. `include`
 * stays a statement: `source.ts` reads it. Momentum: conf-overview, console-commands/config.
 */

import type { Diagnostic, Position } from './diagnostic.ts'
import { type Token, tokenize } from './lexer.ts'
import { looksSecret } from './secrets.ts'
import type { DictionaryEntry, Scalar, Statement, Value } from './tree.ts'

export interface Parsed {
  readonly statements: readonly Statement[]
  readonly diagnostics: readonly Diagnostic[]
}

export function parse(text: string, file: string): Parsed {
  const { tokens, diagnostics } = tokenize(text, file)
  return new Parser(tokens, diagnostics).run()
}

class Parser {
  readonly #tokens: readonly Token[]
  readonly #diagnostics: Diagnostic[]
  #index = 0
  #depth = 0

  constructor(tokens: readonly Token[], diagnostics: readonly Diagnostic[]) {
    this.#tokens = tokens
    this.#diagnostics = [...diagnostics]
  }

  run(): Parsed {
    const statements: Statement[] = []
    while (this.#peek().kind !== 'end') {
      if (this.#peek().kind === '}') {
        this.#error('this } closes nothing', this.#peek().at)
        this.#take()
      } else statements.push(...this.#statement())
    }
    return { statements, diagnostics: this.#diagnostics }
  }

  /** None or one: none after an error. Takes at least one token. */
  #statement(): Statement[] {
    const name = this.#take()
    if (name.kind !== 'word' || !namePattern.test(name.text)) {
      this.#unexpected(name, 'the name of an option or a stanza')
      return []
    }
    const next = this.#peek()
    const lower = name.text.toLowerCase()
    if (lower === 'include' || lower === 'readonly_include')
      return this.#include(next, lower === 'readonly_include')
    if (next.kind === '=') return this.#afterEquals(scalar(name))
    if (next.kind === '[') return this.#assignment(scalar(name))
    if (next.kind === '{') return this.#stanza(scalar(name), undefined)
    if (isText(next) && this.#tokens[this.#index + 1]?.kind === '{') {
      this.#take()
      return this.#stanza(scalar(name), scalar(next))
    }
    this.#unexpected(next, `"=" or "{" after ${name.text}`)
    return []
  }

  #include(path: Token, readOnly: boolean): Statement[] {
    if (!isText(path) || path.text === '') {
      this.#unexpected(path, 'the path of a file or a directory after include')
      return []
    }
    this.#take()
    return [{ kind: 'include', path: scalar(path), readOnly }]
  }

  #afterEquals(name: Scalar): Statement[] {
    this.#take()
    return this.#peek().kind === '{' ? this.#stanza(name, undefined) : this.#assignment(name)
  }

  #assignment(name: Scalar): Statement[] {
    if (this.#nextIsStatement()) {
      this.#unexpected(this.#peek(), `a value for ${name.text}`)
      return []
    }
    const value = this.#value(`a value for ${name.text}`)
    return value === undefined ? [] : [{ kind: 'assignment', name, value }]
  }

  #stanza(name: Scalar, instance: Scalar | undefined): Statement[] {
    this.#take()
    if (this.#depth >= maxDepth) {
      this.#error(`stanzas are nested more than ${maxDepth} deep`, name.at)
      this.#skipBlock()
      return []
    }
    this.#depth += 1
    const body: Statement[] = []
    while (this.#peek().kind !== '}' && this.#peek().kind !== 'end') body.push(...this.#statement())
    this.#depth -= 1
    if (this.#peek().kind === 'end') {
      const title = instance === undefined ? name.text : `${name.text} "${instance.text}"`
      this.#error('the file ends inside a stanza: a } is missing', this.#peek().at, {
        message: `${title} was opened here`,
        at: name.at,
      })
    } else this.#take()
    return [{ kind: 'stanza', name, instance, body }]
  }

  /** Whether the next token starts a line and is itself a name with `=` or a block: then a value is missing before it. */
  #nextIsStatement(): boolean {
    const token = this.#peek()
    const before = this.#tokens[this.#index - 1]?.at.line ?? 0
    if (token.kind !== 'word' || token.at.line === before) return false
    const [second, third] = [this.#tokens[this.#index + 1], this.#tokens[this.#index + 2]]
    if (second === undefined) return false
    return '={['.includes(second.kind) || (isText(second) && third?.kind === '{')
  }

  /** undefined after an error, which has been reported. */
  #value(what: string): Value | undefined {
    const first = this.#peek()
    if (isText(first)) {
      this.#take()
      return scalar(first)
    }
    if (first.kind === '(') return this.#array(first.at)
    if (first.kind === '[') return this.#dictionary(first.at)
    this.#unexpected(first, what)
    return undefined
  }

  #array(at: Position): Value | undefined {
    this.#take()
    const items: Scalar[] = []
    for (;;) {
      const token = this.#peek()
      if (isText(token)) items.push(scalar(token))
      else if (token.kind === ')') {
        this.#take()
        return { kind: 'array', items, at }
      } else if (token.kind !== ',') {
        this.#unexpected(token, 'a value or ")"', { message: 'the list was opened here', at })
        return undefined
      }
      this.#take()
    }
  }

  #dictionary(at: Position): Value | undefined {
    this.#take()
    this.#depth += 1
    const entries = this.#entries(at)
    this.#depth -= 1
    return entries === undefined ? undefined : { kind: 'dictionary', entries, at }
  }

  #entries(at: Position): DictionaryEntry[] | undefined {
    const note = { message: 'the dictionary was opened here', at }
    const entries: DictionaryEntry[] = []
    for (;;) {
      const key = this.#peek()
      if (key.kind === ']') {
        this.#take()
        return entries
      }
      if (key.kind === ',') this.#take()
      else if (!isText(key) || this.#depth > maxDepth) {
        this.#unexpected(key, 'a key or "]"', note)
        return undefined
      } else {
        this.#take()
        const equals = this.#peek()
        if (equals.kind === '=') this.#take()
        else if (equals.kind !== '[') {
          this.#unexpected(equals, `"=" after the key ${key.text}`, note)
          return undefined
        }
        const value = this.#value(`a value for the key ${key.text}`)
        if (value === undefined) return undefined
        entries.push({ key: scalar(key), value })
      }
    }
  }

  #unexpected(token: Token, wanted: string, note?: Diagnostic['note']): void {
    const secret = this.#isBehindSecret(token)
    const text = token.kind === 'string' || (token.kind === 'word' && secret)
    const found = token.kind === 'end' ? 'the end of the file' : text ? 'text' : `"${token.text}"`
    const what = secret ? wanted.replace(/ after .*$/s, '') : wanted
    this.#error(`expected ${what}, found ${found}${hintFor(token)}`, token.at, note)
    this.#recover(token)
  }

  /** Whether a token may be a part of a password: messages do not quote it then. */
  #isBehindSecret(token: Token): boolean {
    let index = this.#tokens[this.#index] === token ? this.#index : this.#index - 1
    const { line } = token.at
    for (let near = 6; index > 0; index -= 1, near -= 1) {
      const before = this.#tokens[index - 1]
      if (before === undefined || (near <= 0 && before.at.line < line)) return false
      if (before.kind === 'word' && looksSecret(before.text)) return true
    }
    return false
  }

  /** Skips to the next line that starts with a name, or to the `}` of this stanza; whole blocks on the way. */
  #recover(from: Token): void {
    if (this.#tokens[this.#index - 1] === from && from.kind === '{') this.#skipBlock()
    let line = this.#tokens[this.#index - 1]?.at.line ?? 0
    for (let token = this.#peek(); token.kind !== 'end' && token.kind !== '}'; token = this.#peek()) {
      if (token.kind === 'word' && token.at.line > line && namePattern.test(token.text)) return
      this.#take()
      line = Math.max(line, token.at.line)
      if (token.kind === '{') {
        this.#skipBlock()
        line = this.#tokens[this.#index - 1]?.at.line ?? line
      }
    }
  }

  /** The `{` has been taken; takes everything up to its `}`. */
  #skipBlock(): void {
    for (let open = 1; open > 0 && this.#peek().kind !== 'end'; ) {
      const { kind } = this.#take()
      if (kind === '{') open += 1
      if (kind === '}') open -= 1
    }
  }

  #peek(): Token {
    // the last token is `end` and is never taken
    return this.#tokens[this.#index] as Token
  }

  #take(): Token {
    const token = this.#peek()
    if (token.kind !== 'end') this.#index += 1
    return token
  }

  #error(message: string, at: Position, note?: Diagnostic['note']): void {
    this.#diagnostics.push({ severity: 'error', message, at, ...(note && { note }) })
  }
}

/** What somebody may have had in mind who is used to another language. */
function hintFor({ text, kind }: Token): string {
  if (kind !== 'word') return ''
  if (text.startsWith('//')) return ': a comment begins with #'
  return /^\w+:$/.test(text) ? ': a value comes after =' : ''
}

function isText(token: Token): boolean {
  return token.kind === 'word' || token.kind === 'string'
}

function scalar(token: Token): Scalar {
  return { kind: 'scalar', text: token.text, at: token.at }
}

/** Momentum: letters, digits and `_`; RADIUS keys also have `-`. */
const namePattern = /^[A-Za-z0-9_-]+$/

const maxDepth = 64
