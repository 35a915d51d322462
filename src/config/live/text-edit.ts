/**
 * Changes one place in the text of a configuration file and leaves everything else as it is: comments, blank lines,
 * order, spelling. Pure. The text is one that was read without an error.
 */

import { displayName } from '../known-names.ts'
import { type Token, tokenize } from '../lexer.ts'
import type { ScopeName } from '../option-row.ts'
import type { Value } from '../tree.ts'
import { formatAssignment, formatValue } from './format.ts'
import { describeStep, type ScopePath, scopeAt, stepTo } from './steps.ts'

/** A statement's place in the text; offsets count characters. */
interface Span {
  readonly kind: 'assignment' | 'stanza' | 'include'
  readonly name: string
  readonly instance: string | undefined
  readonly line: number
  readonly column: number
  readonly start: number
  readonly end: number
  /** of the value, or of what stands between the braces */
  readonly inner: { readonly start: number; readonly end: number }
  readonly body: readonly Span[]
}

interface Place {
  readonly line: number
  readonly column: number
}

export interface NewOption {
  /** in lower case */
  readonly option: string
  readonly value: Value
}

/** Another value for the assignment whose name stands at a place. */
export function replaceValue(text: string, at: Place, value: Value): string {
  const { inner } = spanAt(text, at)
  const old = text.slice(inner.start, inner.end)
  const indent = indentOf(text, spanAt(text, at).start)
  const whole = formatValue(value)
  const shown =
    old.includes('\n') || whole.length > LONG
      ? formatAssignment('', value, indent)
          .map((line) => asTabs(text, line))
          .join(lineEnd(text))
          .replace(/^\s*= /, '')
      : whole
  return text.slice(0, inner.start) + shown + text.slice(inner.end)
}

/** Without the statement whose name stands at a place, nor the line that it had for itself. */
export function removeStatement(text: string, at: Place): string {
  const { start, end } = spanAt(text, at)
  const lineStart = text.lastIndexOf('\n', start - 1) + 1
  const newLine = text.indexOf('\n', end)
  const lineStop = newLine === -1 ? text.length : newLine + 1
  const alone = text.slice(lineStart, start).trim() === '' && text.slice(end, lineStop).trim() === ''
  if (alone) return text.slice(0, lineStart) + text.slice(lineStop)
  // a comment behind it stays
  return text.slice(0, start) + text.slice(end).replace(/^[ \t]+(?=\S)/, '')
}

/** One more assignment at the end of the stanza whose name stands at a place; undefined: at the end of the text. */
export function insertOption(text: string, at: Place | undefined, { option, value }: NewOption): string {
  const block = at && spanAt(text, at)
  return insertLines(text, block, (indent) => assignment(option, value, indent))
}

/** The option in its scope, which is opened where the text has it already, and made at the end otherwise. */
export function upsertOption(text: string, path: ScopePath, added: NewOption): string {
  let spans = spansOf(text)
  let block: Span | undefined
  let scope: ScopeName | undefined = 'global'
  for (const [index, step] of path.entries()) {
    const parent: ScopeName | undefined = scope
    const found: Span | undefined = spans.findLast(
      ({ kind, name, instance }) => kind === 'stanza' && stepTo(parent, name, instance).key === step.key,
    )
    if (found === undefined)
      return insertLines(text, block, (indent) => nested(path.slice(index), added, indent))
    block = found
    spans = found.body
    scope = scopeAt([step])
  }
  const present = spans.findLast(({ kind, name }) => kind === 'assignment' && name === added.option)
  if (present !== undefined) return replaceValue(text, present, added.value)
  return insertLines(text, block, (indent) => assignment(added.option, added.value, indent))
}

function assignment(option: string, value: Value, indent: string): readonly string[] {
  const whole = `${indent}${displayName(option)} = ${formatValue(value)}`
  return whole.length > LONG ? formatAssignment(displayName(option), value, indent) : [whole]
}

function nested(path: ScopePath, added: NewOption, indent: string): readonly string[] {
  const [step, ...rest] = path
  if (step === undefined) return assignment(added.option, added.value, indent)
  return [`${indent}${describeStep(step)} {`, ...nested(rest, added, `${indent}  `), `${indent}}`]
}

/** Lines that are two blanks further in each are so by tabs where the text is. */
function asTabs(text: string, line: string): string {
  if (!line.startsWith('\t') && (!/^\t/m.test(text) || /^ {2}/m.test(text))) return line
  return line.replace(
    /^(\t*)((?: {2})+)/,
    (_, tabs: string, blanks: string) => tabs + '\t'.repeat(blanks.length / 2),
  )
}

function insertLines(
  text: string,
  block: Span | undefined,
  made: (indent: string) => readonly string[],
): string {
  const lines = (indent: string): readonly string[] => made(indent).map((line) => asTabs(text, line))
  const end = lineEnd(text)
  if (block === undefined) {
    const before = text === '' || text.endsWith('\n') ? text : text + end
    return before + lines('').join(end) + end
  }
  const outer = indentOf(text, block.start)
  const [first] = block.body
  const indent =
    first !== undefined && isFirstOfLine(text, first.start) ? indentOf(text, first.start) : `${outer}  `
  const added = lines(indent).join(end)
  const closing = block.inner.end
  const inside = text.slice(block.inner.start, closing)
  // a stanza that stands on one line stays there
  if (
    block.body.length > 0 &&
    !inside.includes('\n') &&
    !added.includes('\n') &&
    inside.length + added.length < LONG
  )
    return `${text.slice(0, closing).trimEnd()} ${added.trim()} ${text.slice(closing)}`
  const closingLine = text.lastIndexOf('\n', closing - 1) + 1
  if (closingLine > block.inner.start && text.slice(closingLine, closing).trim() === '')
    return text.slice(0, closingLine) + added + end + text.slice(closingLine)
  return `${text.slice(0, closing).trimEnd()}${end}${added}${end}${outer}${text.slice(closing)}`
}

function isFirstOfLine(text: string, at: number): boolean {
  return text.slice(text.lastIndexOf('\n', at - 1) + 1, at).trim() === ''
}

/** of the line that holds an offset */
function indentOf(text: string, at: number): string {
  return /^[ \t]*/.exec(text.slice(text.lastIndexOf('\n', at - 1) + 1))?.[0] ?? ''
}

function lineEnd(text: string): string {
  return /\r?\n/.exec(text)?.[0] ?? '\n'
}

function spanAt(text: string, { line, column }: Place): Span {
  const search = (spans: readonly Span[]): Span | undefined => {
    for (const span of spans) {
      if (span.line === line && span.column === column) return span
      const inside = search(span.body)
      if (inside !== undefined) return inside
    }
    return undefined
  }
  const found = search(spansOf(text))
  if (found === undefined) throw new Error(`nothing begins at ${line}:${column}`)
  return found
}

function spansOf(text: string): readonly Span[] {
  return new Spans(tokenize(text, '').tokens).read()
}

class Spans {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  /** Statements up to the `}` that closes the stanza, or to the end. */
  read(): readonly Span[] {
    const spans: Span[] = []
    for (let kind = this.#kind(); kind !== 'end' && kind !== '}'; kind = this.#kind())
      spans.push(this.#statement())
    return spans
  }

  #statement(): Span {
    const first = this.#take()
    const name = first.text.toLowerCase()
    const about = { name, line: first.at.line, column: first.at.column, start: first.start, body: [] }
    if (name === 'include' || name === 'readonly_include') {
      const path = this.#take()
      return { ...about, kind: 'include', instance: undefined, end: path.end, inner: path }
    }
    if (this.#kind() === '=') this.#take()
    const text = this.#kind() === 'word' || this.#kind() === 'string'
    if (
      this.#kind() !== '{' &&
      !(text && this.#tokens[this.#at + 1]?.kind === '{' && this.#tokens[this.#at - 1]?.kind !== '=')
    ) {
      const value = this.#value()
      return { ...about, kind: 'assignment', instance: undefined, end: value.end, inner: value }
    }
    const instance = text ? this.#take().text : undefined
    const open = this.#take()
    const body = this.#at
    const inside = this.read()
    const close = this.#take()
    const empty = this.#at === body
    return {
      ...about,
      kind: 'stanza',
      instance,
      end: close.end,
      inner: { start: open.end, end: empty ? open.end : close.start },
      body: inside,
    }
  }

  #value(): { readonly start: number; readonly end: number } {
    const first = this.#take()
    let last = first
    for (let open = Number(first.kind === '(' || first.kind === '['); open > 0 && this.#kind() !== 'end'; ) {
      last = this.#take()
      if (last.kind === '(' || last.kind === '[') open += 1
      if (last.kind === ')' || last.kind === ']') open -= 1
    }
    return { start: first.start, end: last.end }
  }

  #kind(): Token['kind'] {
    return this.#tokens[this.#at]?.kind ?? 'end'
  }

  #take(): Token {
    // the last token is `end` and is never taken
    const token = this.#tokens[this.#at] as Token
    if (token.kind !== 'end') this.#at += 1
    return token
  }
}

/** characters of a line; a longer value has a line for each item */
const LONG = 100
