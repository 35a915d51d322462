/** Diagnostics as text, in the form of a compiler's: place, what is wrong, the line, a caret. */

import type { Diagnostic, Position } from './diagnostic.ts'

/**
 * One block for each diagnostic, with a line end after the last; '' when there is none.
 * @param readSource the text of a file as it was when it was read (`LoadResult.readSource`); undefined leaves the excerpt out
 */
export function renderDiagnostics(
  diagnostics: readonly Diagnostic[],
  readSource: (file: string) => string | undefined,
): string {
  const lines = new Map<string, readonly string[]>()
  const lineOf = (at: Position): string | undefined => {
    let found = lines.get(at.file)
    if (found === undefined) {
      found = (readSource(at.file) ?? '').split('\n').map((line) => line.replace(/\r$/, ''))
      lines.set(at.file, found)
    }
    return found[at.line - 1] === undefined ? undefined : withoutSecrets(found, at.line - 1)
  }
  return diagnostics.flatMap((each) => block(each, lineOf)).join('')
}

/** Text of the user's inside a message: quoted, on one line, without anything that a terminal would obey. */
export function quote(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 77)}…` : text
  return `"${visible(short)}"`
}

function block(diagnostic: Diagnostic, lineOf: (at: Position) => string | undefined): string[] {
  const { severity, message, at, note } = diagnostic
  const place = at === undefined ? '' : `${describe(at)}: `
  const result = [`${place}${severity}: ${message}\n`]
  if (at !== undefined) result.push(excerpt(at, lineOf(at)))
  if (note !== undefined) {
    result.push(`${describe(note.at)}: note: ${note.message}\n`, excerpt(note.at, lineOf(note.at)))
  }
  return result
}

function describe(at: Position): string {
  return `${visible(at.file)}:${at.line}:${at.column}`
}

function excerpt(at: Position, source: string | undefined): string {
  if (source === undefined || source.trim() === '') return ''
  const line = source
  const start = Math.min(at.column - 1, line.length)
  // the excerpt stays on one screen however long the line is
  const from = start > 200 ? start - 80 : 0
  const shown = line.slice(from, from + 240)
  // tabs stay tabs, so that the caret stands under its text whatever the terminal makes of them
  const before = visible(line.slice(from, start)).replace(/[^\t]/gu, ' ')
  const length = Math.max(1, Math.min(at.length, shown.length - (start - from)))
  const underline = `^${'~'.repeat(length - 1)}`
  return `${String(at.line).padStart(5)} | ${visible(shown)}\n      | ${before}${underline}\n`
}

/** Lines before an excerpt that are looked at for a password that begins there. */
const LOOK_BACK = 20

/**
 * A line with what stands after the name of a password as stars, mistyped names and missing signs included, also where
 * the password stands on a later line than its name; of the length of what they hide, so that carets stay where they are.
 */
function withoutSecrets(lines: readonly string[], index: number): string {
  let inside: string | undefined
  let shown = ''
  for (const line of lines.slice(Math.max(0, index - LOOK_BACK), index + 1)) {
    const name = inside === undefined ? secretName.exec(line) : undefined
    const head = name ? line.slice(0, name.index + name[0].length) : name === null ? line : ''
    const signs = name ? (/^[\s=:(]*/.exec(line.slice(head.length))?.[0] ?? '') : ''
    const value = line.slice(head.length + signs.length)
    // a key of a connection string ends with the string at the latest
    const inString = name ? quotesIn(head) % 2 === 1 : false
    const stop = inString ? value.indexOf('"') : -1
    // a query may speak of passwords
    const harmless = inString && !signs.includes('=') && !/\b(?:pgsql|mysql|odbc|ldaps?):/i.test(head)
    const hidden = harmless ? 0 : stop === -1 ? value.length : stop
    shown = head + signs + value.slice(0, hidden).replace(/[^\t]/g, '*') + value.slice(hidden)
    if (name !== null)
      inside = inString ? undefined : endOf(value, inside ?? (signs.includes('(') ? ')' : ''))
  }
  return shown.replace(
    /(:\/\/[^/@\s:]{0,200}:)(\S{1,200})(?=@)/g,
    (_whole, before: string, secret: string) => before + '*'.repeat(secret.length),
  )
}

function quotesIn(text: string): number {
  return text.replaceAll(/\\./g, '').split('"').length - 1
}

/**
 * @param value what stands on a line of a password
 * @param end what it ends with: a quote, `)`, or '' where it has not begun or is a word
 * @returns the same for the next line; undefined: it has ended
 */
function endOf(value: string, end: string): string | undefined {
  const text = value.trim().replaceAll(/\\./g, '')
  if (end !== '') return text.includes(end) ? undefined : end
  if (text === '' || text.startsWith('#') || /^[=:]$/.test(text)) return ''
  const first = text.charAt(0)
  const closing = first === '(' ? ')' : first
  if (!['"', "'", ')'].includes(closing)) return undefined
  return text.includes(closing, 1) ? undefined : closing
}

/** Names of options and keys of connection strings, in any spelling that still looks like one. */
const secretName =
  /(?<![\w/.-])(?!returns_pass|password_column)(?:\w{0,60}_pas\w*|passw\w*|passphrase|pwd|\w{0,60}secret)(?=[\s=:("']|$)/i

function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?')
}
