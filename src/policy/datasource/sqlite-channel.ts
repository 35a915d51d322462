/** What passes between `sqlite.ts` and the process of `sqlite-helper.ts`. */

import type { DbValue } from './driver.ts'

export interface SqliteQuestion {
  readonly path: string
  readonly write: boolean
  /** milliseconds that a locked database is waited for */
  readonly lockTime: number
  /** only whether the query can be prepared */
  readonly examine: boolean
  readonly sql: string
  readonly values: readonly DbValue[]
  readonly maxRows: number | undefined
}

export type SqliteAnswer =
  | { readonly kind: 'rows'; readonly columns: string[]; readonly rows: DbValue[][] }
  | {
      readonly kind: 'failed'
      readonly message: string
      /** whether the database could be opened */
      readonly reached: boolean
      /** whether the query's text is what is wrong */
      readonly ofQuery: boolean
    }
