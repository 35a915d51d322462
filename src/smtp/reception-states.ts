/**
 * Momentum's names of the states of a reception, as rejectlog shows them (modules/reception-timing). A refusal belongs
 * to the state in which the refused command was awaited.
 */

import type { Session } from './session-state.ts'

export type ReceptionState =
  | 'just connected'
  | 'awaiting ehlo/helo'
  | 'awaiting mailfrom'
  | 'awaiting rcptto'
  | 'data phase'
  | 'reading body'
  | 'async body response'
  | 'relaying denied'
  | 'rcptto list response'
  | 'rcptto list final response'
  | 'esmtp setup phase'

/** The state in which the session awaits its next command. */
export function receptionState(session: Session): ReceptionState {
  if (!session.greeted) return 'just connected'
  if (session.transaction !== undefined) return 'awaiting rcptto'
  return session.hello === undefined ? 'awaiting ehlo/helo' : 'awaiting mailfrom'
}
