/** Where a piece of configuration stands, and what there is to say about it. */

/** A place in a configuration file. Lines and columns count from 1, columns in characters. */
export interface Position {
  /** as the user wrote it on the command line, or as an include resolved it relative to that */
  readonly file: string
  readonly line: number
  readonly column: number
  /** characters to underline, at least 1 */
  readonly length: number
}

/** Where an effective value came from. */
export type Origin = Position | 'default'

/** `FILE:LINE` of an origin, or `default`: what `tls_verify_mode_from`, `eval` and `explain` show. */
export function describeOrigin(origin: Origin): string {
  return origin === 'default' ? 'default' : `${origin.file}:${origin.line}`
}

export interface Diagnostic {
  readonly severity: 'error' | 'warning'
  /** one sentence without a final full stop; a suggestion is part of it: `…; did you mean "require"?` */
  readonly message: string
  readonly at?: Position
  /** a second place that explains the first, such as where a stanza was opened */
  readonly note?: { readonly message: string; readonly at: Position }
}

/** The configuration cannot be used. Holds everything that is wrong with it, not only the first finding. */
export class ConfigError extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.find((d) => d.severity === 'error')?.message ?? 'configuration error')
    this.name = 'ConfigError'
    this.diagnostics = diagnostics
  }
}
