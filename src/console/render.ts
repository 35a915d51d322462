/**
 * Answers → text or JSON. Nothing hostile gets through, whatever a value holds: control characters, C1 included, bidi
 * controls and other invisible ones are escaped, so that no value can start a line, move the cursor or turn text round.
 * In JSON they are `\u` escapes, so a program gets the value itself.
 */

import type { Answer, Cell, Fact, TableAnswer } from './answer.ts'

/** Lines for people, each ended by a line feed. */
export function renderText(answer: Answer): string {
  return linesOf(answer)
    .map((line) => `${line}\n`)
    .join('')
}

/** One line of JSON. */
export function renderJson(answer: Answer): string {
  return `${toJson(dataOf(answer))}\n`
}

/** JSON that is safe to show on a terminal. */
export function toJson(data: unknown): string {
  return escapedJson(JSON.stringify(data) ?? 'null')
}

/** A text that is JSON, or a part of one, made safe to show; what stands between its values on lines of their own is on one. */
export function escapedJson(text: string): string {
  return text.replace(UNSEEN, (found) =>
    // none of them stands in a string
    found === '\n' || found === '\r' || found === '\t'
      ? ''
      : [...Array(found.length).keys()]
          .map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`)
          .join(''),
  )
}

/** Text of several lines for a terminal: line feeds stay. */
export function printableLines(text: string): string {
  return text.replace(UNSEEN, (found) => (found === '\n' ? found : written(found)))
}

/** Text for one line of a terminal. */
export function printable(text: string): string {
  return text.replace(UNSEEN, written)
}

function written(unseen: string): string {
  const code = unseen.codePointAt(0) ?? 0
  if (unseen === '\n') return '\\n'
  if (unseen === '\r') return '\\r'
  if (unseen === '\t') return '\\t'
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}

/**
 * A byte string as text: UTF-8 where it is, else each octet above 127 as `\xNN`. What is no byte string comes back as it
 * is.
 */
export function fromBytes(text: string): string {
  if (!/[\u0080-\u00ff]/.test(text) || /[^\0-\u00ff]/.test(text)) return text
  try {
    return strict.decode(Buffer.from(text, 'latin1'))
  } catch {
    return text.replace(/[\u0080-\u00ff]/g, (octet) => `\\x${octet.charCodeAt(0).toString(16)}`)
  }
}

const strict = new TextDecoder('utf-8', { fatal: true })

/** control and format characters, separators of lines and paragraphs, lone surrogates, what Unicode does not assign */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}]/gu

function linesOf(answer: Answer): readonly string[] {
  switch (answer.kind) {
    case 'value':
      return [shown(answer.value)]
    case 'facts':
      return [...(answer.title === undefined ? [] : [printable(answer.title)]), ...answer.facts.map(factLine)]
    case 'table':
      return tableLines(answer)
    case 'document':
  }
  return answer.lines.map(printable)
}

/** What JSON has of an answer. */
export function dataOf(answer: Answer): unknown {
  switch (answer.kind) {
    case 'value':
      return { [answer.key]: answer.value }
    case 'facts':
      return Object.fromEntries(answer.facts.map(({ key, value }) => [key, value ?? null]))
    case 'table':
      return {
        rows: answer.rows.map((row) =>
          Object.fromEntries(answer.columns.map(({ key }) => [key, row[key] ?? null])),
        ),
        leftOut: answer.leftOut ?? 0,
      }
    case 'document':
  }
  return answer.data
}

/** Momentum's layout of `summary`. */
function factLine({ label, value, shown: other }: Fact): string {
  return `        ${printable(label)}: ${other === undefined ? shown(value) : printable(other)}`
}

function tableLines({ columns, rows, empty, leftOut = 0 }: TableAnswer): readonly string[] {
  if (rows.length === 0) return [printable(empty)]
  const cells = rows.map((row) => columns.map(({ key }) => shown(row[key])))
  const heads = columns.map(({ head }) => head)
  const numeric = columns.map(({ key }) => rows.every((row) => typeof (row[key] ?? 0) === 'number'))
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at]?.length ?? 0)))
  const lines = [heads, ...cells].map((row) =>
    row
      .map((cell, at) => (numeric[at] ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return leftOut === 0 ? lines : [...lines, `${leftOut} more are not shown.`]
}

function shown(value: Cell): string {
  if (value === undefined || value === '') return '-'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return printable(String(value))
}
