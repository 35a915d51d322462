/** Collects what is wrong with a configuration. */

import type { Diagnostic, Position } from './diagnostic.ts'

export class Report {
  readonly diagnostics: Diagnostic[] = []

  error(message: string, at: Position | undefined, note?: Diagnostic['note']): undefined {
    this.#add('error', message, at, note)
    return undefined
  }

  warning(message: string, at: Position | undefined, note?: Diagnostic['note']): void {
    this.#add('warning', message, at, note)
  }

  // oxlint-disable-next-line max-params -- the four parts of a diagnostic
  #add(severity: Diagnostic['severity'], message: string, at?: Position, note?: Diagnostic['note']): void {
    this.diagnostics.push({ severity, message, ...(at && { at }), ...(note && { note }) })
  }
}

/**
 * In the order of the files and lines, each finding once: an include that is read twice is wrong once.
 * @param files in the order of reading
 */
export function sortDiagnostics(diagnostics: readonly Diagnostic[], files: readonly string[]): Diagnostic[] {
  const rank = new Map(files.map((file, index) => [file, index]))
  const fileRank = (at: Position | undefined) => (at === undefined ? -1 : (rank.get(at.file) ?? files.length))
  const seen = new Set<string>()
  return diagnostics
    .filter(({ message, at }) => {
      const key = `${at?.file}:${at?.line}:${at?.column}:${message}`
      return !seen.has(key) && seen.add(key)
    })
    .toSorted(
      (a, b) =>
        fileRank(a.at) - fileRank(b.at) ||
        (a.at?.line ?? 0) - (b.at?.line ?? 0) ||
        (a.at?.column ?? 0) - (b.at?.column ?? 0),
    )
}
