/**
 * Policy as it is asked about a message that has been received, or about one recipient's copy of it. A refusal belongs to
 * the state that the caller names; a message that is dropped in silence is told once.
 */

import type { ConditionalKey } from '../authenticity/signing-keys.ts'
import type { HeaderBlock } from '../mail/headers.ts'
import type { ValidationContext } from '../policy/context.ts'
import type { MessageFacts } from '../policy/phases.ts'
import type { Answer } from './consult.ts'
import { consult } from './consult.ts'
import { codeOf } from './mail-from.ts'
import type { BodyContent } from './message-content.ts'
import type { ReceptionState } from './reception-states.ts'
import { Refusal, tellRejection } from './reject.ts'
import type { Session } from './session-state.ts'

/** The facts of a message that policy may change. */
export type Message = { -readonly [K in keyof MessageFacts]: MessageFacts[K] } & {
  readonly headers: HeaderBlock
  readonly content: BodyContent
  /** signatures that scripts asked for */
  wishes?: readonly ConditionalKey[]
}

/** What is asked about the message, in this order. */
export const MESSAGE_PHASES = ['data', 'rcptto_list', 'rcptto_list_final', 'data_spool'] as const

/** What is asked about each recipient's copy, in this order. */
export const COPY_PHASES = [
  'data_spool_each_rcpt',
  'each_rcpt_after',
  'set_binding',
  'final_validation2',
  'final_validation',
  'post_final_validation',
] as const

type MessagePhase = (typeof MESSAGE_PHASES)[number] | (typeof COPY_PHASES)[number]

/** Whether there is anybody to ask in any of these phases. */
export function isWanted({ services: { policy } }: Session, phases: readonly MessagePhase[]): boolean {
  for (const phase of phases) if (policy.wants(phase)) return true
  return false
}

/** @throws Refusal of that state */
export async function askAbout(
  session: Session,
  phase: MessagePhase,
  { message, state }: { readonly message: Message; readonly state: ReceptionState },
): Promise<Answer> {
  try {
    return await consult(session, phase, { session: session.facts, message })
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { reply, fault, close, cause, module, told } = error
    throw new Refusal(reply, { fault, close, cause, module, told, state })
  }
}

export function tellDiscard(
  session: Session,
  { text, module }: Extract<Answer, { kind: 'discard' }>,
  state: ReceptionState,
  context: ValidationContext = session.context,
): void {
  tellRejection(session, { code: codeOf(text), text, module, state, context })
}
