/** What it means to call a function of a script. */

/** What a function of a script returned, or why it did not. */
export type Outcome =
  | {
      readonly kind: 'returned'
      readonly value: number | true | undefined
      /** for the log, where it is no number */
      readonly shown: string | undefined
    }
  | {
      readonly kind: 'failed'
      readonly message: string
      /** nobody's mistake: the session ended while its script waited */
      readonly quiet?: boolean
    }

/** A call of a function outside of any session. */
export interface Task {
  /** registry reference of the function */
  readonly function: number
  /** pushes the arguments; returns how many */
  readonly push?: (L: number) => number
  /** aborted when nobody waits for it any more */
  readonly gone?: AbortSignal | undefined
  /** where `print` writes; the paniclog unless given */
  readonly print?: (text: string) => void
}
