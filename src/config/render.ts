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
      found = (readSource(at.file) ?? '').split('\n')
      lines.set(at.file, found)
    }
    return found[at.line - 1]
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
  const line = withoutSecrets(source.replace(/\r$/, ''))
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

/**
 * The password in a database's connection string, and that of Outbound_SMTP_Auth_Pass, mistyped or not: stars of its
 * length, so that carets stay where they are.
 */
function withoutSecrets(line: string): string {
  const masked = line.replaceAll(/(_pas\w*(?:\s*=\s*|\s+)\(?\s*)("(?:[^"\\]|\\.)*"?|[^\s{}"]+)/gi, stars)
  return /pgsql:/i.test(line) ? masked.replaceAll(/(\bpassword\s*=)([^;"'\n]*)/gi, stars) : masked
}

function stars(_whole: string, key: string, value: string): string {
  return key + '*'.repeat(value.length)
}

function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, '?')
}
