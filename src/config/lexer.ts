/**
 * Configuration text → tokens, each with its place. Pure; never throws; an error is a diagnostic and the scan goes on.
 *
 * Momentum: conf-overview (comments, what needs quotes). Where the page is silent:
 * - a bareword may hold `/` (the examples need it) but never `/*`, `#`, quotes, brackets, `=` or `,`
 * - inside "…" `\"` and `\\` lose their backslash, `\r \n \t` are control characters, and any other `\x` keeps the
 *   backslash, so that regular expressions pass unharmed; '…' is raw
 * - text in quotes may go over several lines, except where the closing quote is plainly the opening one of the next
 *   value: there the first is reported as not closed, and its line ends it
 */

import type { Diagnostic, Position } from './diagnostic.ts'

export type Punctuation = '{' | '}' | '[' | ']' | '(' | ')' | '=' | ','

export interface Token {
  readonly kind: 'word' | 'string' | 'end' | Punctuation
  /** the value: without quotes, unescaped */
  readonly text: string
  readonly at: Position
  /** where it begins in the whole text, and right behind it; in characters */
  readonly start: number
  readonly end: number
}

export interface Lexed {
  /** the last one is `end` */
  readonly tokens: readonly Token[]
  readonly diagnostics: readonly Diagnostic[]
}

export function tokenize(text: string, file: string): Lexed {
  return new Lexer(text, file).run()
}

class Lexer {
  readonly #text: string
  readonly #file: string
  readonly #tokens: Token[] = []
  readonly #diagnostics: Diagnostic[] = []
  #offset = 0
  #line = 1
  #lineStart = 0
  /** the offset right behind the last word or text */
  #textEnd = -1

  constructor(text: string, file: string) {
    this.#text = text
    this.#file = file
    if (text.startsWith('\uFEFF')) {
      this.#offset = 1
      this.#lineStart = 1
    }
  }

  run(): Lexed {
    while (this.#offset < this.#text.length) this.#next()
    const end = this.#text.length
    this.#tokens.push({ kind: 'end', text: '', at: this.#position(this.#offset, 1), start: end, end })
    return { tokens: this.#tokens, diagnostics: this.#diagnostics }
  }

  /** Takes at least one character. */
  #next(): void {
    const character = this.#text.charAt(this.#offset)
    if (character === '\n') {
      this.#offset += 1
      this.#newLine()
    } else if (character === ' ' || character === '\t' || character === '\r' || character === '\f') {
      this.#offset += 1
    } else if (character === '#') this.#offset = this.#endOfLine(this.#offset)
    else if (this.#text.startsWith('/*', this.#offset)) this.#blockComment()
    else if (character === '"' || character === "'") this.#quoted(character)
    else if (isPunctuation(character)) {
      const start = this.#offset
      this.#offset += 1
      const at = this.#position(start, 1)
      this.#tokens.push({ kind: character, text: character, at, start, end: this.#offset })
    } else this.#bareword()
  }

  #blockComment(): void {
    const start = this.#position(this.#offset, 2)
    const end = this.#text.indexOf('*/', this.#offset + 2)
    if (end === -1) this.#error('this comment is not closed', start)
    this.#moveTo(end === -1 ? this.#text.length : end + 2)
  }

  #quoted(quote: string): void {
    const start = this.#offset
    const end = this.#closingQuote(start, quote)
    if (end === undefined) {
      const stop = this.#endOfLine(start)
      this.#error(`this text is not closed: it needs another ${quote}`, this.#position(start, stop - start))
      this.#push('string', start, stop, this.#text.slice(start + 1, stop).trimEnd())
      this.#offset = stop
      return
    }
    const inner = this.#text.slice(start + 1, end)
    this.#push('string', start, end + 1, quote === '"' ? unescape(inner) : inner)
    this.#moveTo(end + 1)
  }

  /** The offset of the quote that closes, or undefined where there is none or where it clearly opens another value. */
  #closingQuote(start: number, quote: string): number | undefined {
    const pattern = quote === '"' ? /["\\]/g : /'/g
    pattern.lastIndex = start + 1
    for (let found = pattern.exec(this.#text); found; found = pattern.exec(this.#text)) {
      if (found[0] === quote) {
        const inner = this.#text.slice(start + 1, found.index)
        return looksLikeTheNextStatement.test(inner) ? undefined : found.index
      }
      pattern.lastIndex = found.index + 2
    }
    return undefined
  }

  #bareword(): void {
    const start = this.#offset
    wordEnd.lastIndex = start + 1
    const end = wordEnd.exec(this.#text)?.index ?? this.#text.length
    const text = this.#text.slice(start, end)
    this.#offset = end
    const at = this.#position(start, end - start)
    const quote = typographicQuote.exec(text)?.[0]
    if (quote !== undefined) this.#error(`${quote} is no quote here: write " or '`, at)
    // nobody means it as a value
    if (text === ';') this.#error('no ; is needed here: leave it out', at)
    else this.#push('word', start, end, text)
  }

  #push(kind: 'word' | 'string', start: number, end: number, text: string): void {
    const newLine = this.#text.indexOf('\n', start)
    const length = (newLine === -1 || newLine > end ? end : newLine) - start
    const at = this.#position(start, length)
    if (text.includes('\uFFFD')) this.#error('this text is not valid UTF-8', at)
    // NUL and its like end a path or a header somewhere else; \t \n \r are legal inside quotes
    // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
    else if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text)) {
      this.#error('this text holds a control character', at)
    } else if (start === this.#textEnd) {
      // half of a name inside the quotes and half outside: nobody means two values by that
      this.#error('a blank is missing before this, or a quote stands in the wrong place', at)
    }
    this.#textEnd = end
    this.#tokens.push({ kind, text, at, start, end })
  }

  #position(offset: number, length: number): Position {
    const column = offset - this.#lineStart + 1
    return { file: this.#file, line: this.#line, column, length: Math.max(1, length) }
  }

  #endOfLine(from: number): number {
    const end = this.#text.indexOf('\n', from)
    return end === -1 ? this.#text.length : end
  }

  /** Moves forward over text that may hold line ends. */
  #moveTo(target: number): void {
    let newLine = this.#text.indexOf('\n', this.#offset)
    while (newLine !== -1 && newLine < target) {
      this.#offset = newLine + 1
      this.#newLine()
      newLine = this.#text.indexOf('\n', this.#offset)
    }
    this.#offset = target
  }

  #newLine(): void {
    this.#line += 1
    this.#lineStart = this.#offset
  }

  #error(message: string, at: Position): void {
    this.#diagnostics.push({ severity: 'error', message, at })
  }
}

function isPunctuation(character: string): character is Punctuation {
  return '{}[]()=,'.includes(character)
}

function unescape(inner: string): string {
  if (!inner.includes('\\')) return inner
  return inner.replace(/\\(["\\rnt])/g, (_, escaped: string) => escapes[escaped] ?? escaped)
}

const escapes: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t' }

/** white space, quotes, brackets, `=`, `,`, `#`, and the start of a block comment */
const wordEnd = /[\s"'{}[\]()=,#]|\/\*/g

/** over a line end, and right before the quote `=`, an opening bracket or a lone name: what came before was never closed */
const looksLikeTheNextStatement = /\n(?:[^\n]*[=([][ \t]*|[ \t]*[\w-]+[ \t]+)$/

/** what word processors and web pages make of quotes */
const typographicQuote = /^[“”„‟‘’«»]|[“”„‟‘’«»]$/u
