/** What the return value of a callout means (momentum: 4-implementing-policy-scriptlets, 3-api/hooks-core-*). */

import type { Decision } from './decision.ts'
import type { AnyPhase } from './phases.ts'

export type Answer =
  /** ask the next script */
  | 'go-on'
  /** ask no further script in this phase */
  | 'stop'
  /** call again later */
  | 'again'
  /** it is not accepted */
  | 'refuse'
  /** it is not accepted now */
  | 'defer'
  /** the authentication succeeds whatever the credentials are */
  | 'grant'

/** The numbers that scripts know by name. */
export interface AnswerConstants {
  readonly VALIDATE_CONT: number
  readonly VALIDATE_DONE: number
  readonly VALIDATE_AGAIN: number
  readonly EC_AUTH_OK: number
  readonly EC_AUTH_FAIL: number
  readonly EC_AUTH_ERROR: number
  readonly EC_HOOK_CONT: number
  readonly EC_HOOK_DONE: number
  readonly EC_HOOK_RETRY: number
}

type Value = number | true | undefined

/**
 * Undefined when the value answers nothing, which is an error of the script. A hook (`core_…`) may return nothing; a
 * `validate_…` callout has to answer.
 */
export function readAnswer(phase: AnyPhase, value: Value, constants: AnswerConstants): Answer | undefined {
  switch (phase) {
    // void hooks, and one whose value has no meaning: what they return is not looked at
    case 'tls':
    case 'connected':
    case 'tls_parameters':
    case 'each_rcpt_after':
    case 'auth_failed':
    case 'final_validation':
    case 'post_final_validation':
      return 'go-on'
    case 'accept':
      return value === undefined ? 'go-on' : readValidation(value, constants)
    case 'tls_verify':
    case 'host_verify':
      if (value === undefined || value === true || value === 1) return 'go-on'
      return value === 0 ? 'refuse' : undefined
    case 'auth':
      return readAuthentication(value, constants)
    case 'auth_before':
      if (value === -1) return 'go-on'
      return value === constants.EC_AUTH_OK ? 'grant' : readAuthentication(value, constants)
    case 'auth_perform':
      return readLogin(value, constants)
    case 'final_validation2':
      return readFinal(value, constants)
    default:
      return readValidation(value, constants)
  }
}

function readValidation(value: Value, constants: AnswerConstants): Answer | undefined {
  if (value === constants.VALIDATE_CONT) return 'go-on'
  if (value === constants.VALIDATE_DONE) return 'stop'
  return value === constants.VALIDATE_AGAIN ? 'again' : undefined
}

function readAuthentication(value: Value, constants: AnswerConstants): Answer | undefined {
  if (value === constants.VALIDATE_CONT) return 'go-on'
  if (value === constants.VALIDATE_DONE) return 'stop'
  if (value === undefined || value === true || value === constants.EC_AUTH_OK) return 'go-on'
  return value === constants.EC_AUTH_FAIL || value === constants.EC_AUTH_ERROR ? 'refuse' : undefined
}

/** The script that answers is the last one asked. */
function readLogin(value: Value, constants: AnswerConstants): Answer | undefined {
  if (value === undefined) return 'go-on'
  if (value === constants.EC_AUTH_OK) return 'grant'
  if (value === constants.EC_AUTH_FAIL) return 'refuse'
  return value === constants.EC_AUTH_ERROR ? 'defer' : undefined
}

function readFinal(value: Value, constants: AnswerConstants): Answer | undefined {
  if (value === undefined || value === constants.EC_HOOK_CONT) return 'go-on'
  if (value === constants.EC_HOOK_DONE) return 'refuse'
  return value === constants.EC_HOOK_RETRY ? 'defer' : undefined
}

/** Puts an answer that is itself a decision into words, unless the script has found its own. */
export function settleAnswer(
  answer: 'refuse' | 'defer' | 'grant',
  phase: AnyPhase,
  decision: Decision,
): void {
  if (answer === 'grant') {
    // what an earlier script refused stays refused
    if ((decision.code ?? 0) < 400) decision.reply(235, '2.7.0 Authentication succeeded')
    return
  }
  if ((decision.code ?? 0) >= 400) return
  if (answer === 'defer' && phase === 'auth_perform')
    decision.reply(454, '4.7.0 Temporary authentication failure')
  else if (answer === 'defer') decision.reply(451, '4.7.1 message not accepted now, please try again later')
  else if (phase === 'auth_perform') decision.reply(535, '5.7.8 Authentication credentials invalid')
  else if (phase === 'tls_verify' || phase === 'host_verify')
    decision.reply(550, '5.7.1 certificate not accepted by policy')
  else if (phase === 'final_validation2') decision.reply(550, '5.7.1 message not accepted')
  else decision.reply(535, '5.7.8 authentication not accepted')
}
