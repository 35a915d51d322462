/** What policy answers. Every phase answers with exactly one of these. */

/** The script that answered; Unicode text. */
export interface AnsweredBy {
  readonly name: string
  /** the function that was asked */
  readonly callout: string
  /** FILE:LINE of the call that answered; absent where it is not known */
  readonly from?: string
  /** FILE:LINE on which the function begins, where it answered by its return value alone, so that no call is known */
  readonly defined?: string
}

export type Verdict =
  /** go on: ask the next script, and proceed when all have been asked */
  | { readonly kind: 'continue' }
  /** go on, but ask no further script in this phase */
  | { readonly kind: 'done' }
  /** answer the command with this reply; the session goes on. A 2xx code replaces the usual text of a success. */
  | (Words & { readonly kind: 'reply'; readonly code: number })
  /** answer and close */
  | (Words & { readonly kind: 'disconnect'; readonly code: number })
  /** accept towards the client, keep nothing; logged as a rejection with `text` (starts with a code) */
  | (Words & { readonly kind: 'discard' })
  /** wait, then do what `then` says */
  | {
      readonly kind: 'tarpit'
      readonly seconds: number
      readonly then: Verdict
      readonly by?: AnsweredBy
    }

interface Words {
  readonly text: string
  readonly module: string
  readonly by?: AnsweredBy
}

export const CONTINUE: Verdict = { kind: 'continue' }
