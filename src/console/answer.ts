/**
 * What a command answers: data. `render.ts` makes text of it for people and JSON for programs, so that both say the
 * same. Strings are Unicode text; what came from the wire goes through `fromBytes` first.
 */

export type Cell = string | number | boolean | undefined

export interface Column {
  /** the name in JSON */
  readonly key: string
  /** the head in text */
  readonly head: string
}

/** One line `label: value`. */
export interface Fact {
  readonly key: string
  readonly label: string
  readonly value: Cell
  /** shown in place of the value, which JSON has as it is: `3 days` */
  readonly shown?: string
}

export interface TableAnswer {
  readonly kind: 'table'
  readonly columns: readonly Column[]
  readonly rows: readonly Readonly<Record<string, Cell>>[]
  /** said in place of an empty table */
  readonly empty: string
  /** rows that there were besides */
  readonly leftOut?: number
}

export type Answer =
  /** one value alone on a line */
  | { readonly kind: 'value'; readonly key: string; readonly value: string | number }
  | { readonly kind: 'facts'; readonly title?: string; readonly facts: readonly Fact[] }
  | TableAnswer
  /** JSON has `data` as it is, people read the lines */
  | { readonly kind: 'document'; readonly data: unknown; readonly lines: readonly string[] }

/** What the operator asked for cannot be done; the message says why and what to write. May have several lines. */
export class ConsoleError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ConsoleError'
  }
}
