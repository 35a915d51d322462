/** What policy answers. Every phase answers with exactly one of these. */

export type Verdict =
  /** go on: ask the next script, and proceed when all have been asked */
  | { readonly kind: 'continue' }
  /** go on, but ask no further script in this phase */
  | { readonly kind: 'done' }
  /** answer the command with this reply; the session goes on. A 2xx code replaces the usual text of a success. */
  | { readonly kind: 'reply'; readonly code: number; readonly text: string; readonly module: string }
  /** answer and close */
  | { readonly kind: 'disconnect'; readonly code: number; readonly text: string; readonly module: string }
  /** accept towards the client, keep nothing; logged as a rejection with `text` (starts with a code) */
  | { readonly kind: 'discard'; readonly text: string; readonly module: string }
  /** wait, then do what `then` says */
  | { readonly kind: 'tarpit'; readonly seconds: number; readonly then: Verdict }

export const CONTINUE: Verdict = { kind: 'continue' }
