/** One stanza of those that speak for a client, for explanations: which it is, and what it says about an option. */

import type { Position } from './diagnostic.ts'
import type { ScopeName } from './option-row.ts'

export interface ScopeSpeaker {
  readonly scope: ScopeName
  /** `10.0.0.0/8`, `:25`; '' where there is no instance */
  readonly instance: string
  /** undefined: it is written nowhere, as the global scope */
  readonly at: Position | undefined
  /** undefined: it is silent about the option; a value of `undefined` takes back what a wider scope says */
  says(option: string): { readonly value: unknown; readonly at: Position } | undefined
}
