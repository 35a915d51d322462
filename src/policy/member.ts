/**
 * Who is asked. A policy is a list of members: one Lua engine speaks for all Lua scripts of a configuration, and each
 * TypeScript policy speaks for itself. What they say comes together in one `Decision` for each phase.
 */

import type { Decision } from './decision.ts'
import type { PolicyOffers } from './offers.ts'
import type { AnyFacts, AnyPhase, SessionFacts } from './phases.ts'

/** A phase under way. */
export interface Asking {
  readonly phase: AnyPhase
  /** those of the phase */
  readonly facts: AnyFacts[AnyPhase]
  /** what has been said so far; members write into it */
  readonly decision: Decision
}

export type MemberAnswer =
  /** ask the next one */
  | 'go-on'
  /** ask nobody else in this phase */
  | 'stop'
  /** ask nobody else, and take the decision as it stands, whatever rules of Momentum's the phase has */
  | 'final'
  /** something went wrong, and the panic log was told: the session gets the 421 */
  | 'failed'

export interface Member {
  /** What one of its scripts is asked in a phase, by name, in this order. @param script counts its own scripts from 0 */
  callouts(script: number, phase: AnyPhase): readonly string[]
  /** Never throws, never rejects, and answers in a bounded time. */
  ask(question: Question, asking: Asking): MemberAnswer | Promise<MemberAnswer>
  /** What its scripts keep for the session is dropped; the session goes on. */
  forget?(session: SessionFacts): void
  /** The connection is closed. */
  ended?(session: SessionFacts): void
  /** Another configuration is in force: what runs by itself stops. */
  retire?(): void
  /** what its scripts offer besides answers */
  readonly offers?: PolicyOffers | undefined
  /** Nobody will ask it any more. Never rejects. */
  close?(): Promise<void>
}

/** One callout of one script. */
export interface Question {
  readonly script: number
  readonly callout: string
}
