/** What the return value of a callout means (momentum: 4-implementing-policy-scriptlets, hooks/core-validate-auth). */

import type { AnyPhase } from './phases.ts'

export type Answer =
  /** ask the next script */
  | 'go-on'
  /** ask no further script in this phase */
  | 'stop'
  /** call again later */
  | 'again'
  /** the authentication is not accepted */
  | 'refuse'

/** The numbers that scripts know by name. */
export interface AnswerConstants {
  readonly VALIDATE_CONT: number
  readonly VALIDATE_DONE: number
  readonly VALIDATE_AGAIN: number
  readonly EC_AUTH_OK: number
  readonly EC_AUTH_FAIL: number
  readonly EC_AUTH_ERROR: number
}

/**
 * Undefined when the value answers nothing, which is an error of the script. A hook (`core_…`) may return nothing; a
 * `validate_…` callout has to answer.
 */
export function readAnswer(
  phase: AnyPhase,
  value: number | true | undefined,
  constants: AnswerConstants,
): Answer | undefined {
  // a void hook: whatever it returns is not looked at
  if (phase === 'tls') return 'go-on'
  if (value === constants.VALIDATE_CONT) return 'go-on'
  if (value === constants.VALIDATE_DONE) return 'stop'
  if (phase === 'auth') {
    if (value === undefined || value === true || value === constants.EC_AUTH_OK) return 'go-on'
    return value === constants.EC_AUTH_FAIL || value === constants.EC_AUTH_ERROR ? 'refuse' : undefined
  }
  return value === constants.VALIDATE_AGAIN ? 'again' : undefined
}
