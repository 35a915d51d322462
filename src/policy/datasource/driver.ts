/**
 * A kind of database, as a datasource uses it. One driver for each address; `sqlite.ts` and `postgres.ts`.
 *
 * Text is Unicode. A value never becomes part of a query's text. An error names the database and what it said, never a
 * value that was given to it or came from it.
 */

export type DbValue = null | boolean | number | string | Uint8Array

export interface DbRows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly DbValue[])[]
}

/** By name for `:name` and `$name`, in their order for `?`. */
export type DbParameters = Readonly<Record<string, DbValue>> | readonly DbValue[]

export interface DbQuery {
  readonly sql: string
  readonly parameters: DbParameters
  /** rows beyond are left in the database; undefined = all */
  readonly maxRows: number | undefined
  /** whether it may change anything, where the driver can tell */
  readonly write: boolean
}

export interface Driver {
  /**
   * @param signal aborts when the time is up: the query is stopped
   * @throws DatasourceUnreachable when the database did not get the query; DatasourceError
   */
  query(query: DbQuery, signal: AbortSignal): Promise<DbRows>
  /** What is wrong with a query or the database as far as can be seen without the network. Asks for nothing. */
  examine(sql: string, signal: AbortSignal): Promise<readonly DbFinding[]>
  /** Ends what is idle and, soon, what is not. */
  close(): Promise<void>
}

export interface DbFinding {
  readonly severity: 'error' | 'warning'
  readonly text: string
}

/** The question was not answered. The message is for the panic log. */
export class DatasourceError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DatasourceError'
  }
}

/** The database did not get the question: another one may be asked. */
export class DatasourceUnreachable extends DatasourceError {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DatasourceUnreachable'
  }
}

/** Nothing is wrong but the number of questions that wait. */
export class DatasourceBusyError extends DatasourceError {
  constructor(name: string) {
    super(`too many queries wait for the datasource "${name}"`)
    this.name = 'DatasourceBusyError'
  }
}
