/**
 * Refusals: the error that carries one to the session's single catch, and the fact that is told about it.
 *
 * A command that is refused leads to exactly one rejection fact. What was told already where it happened (a discarded
 * message, one recipient of several) is marked so and is not told again.
 */

import type { Rejection } from '../events/events.ts'
import type { Fault, Reply } from '../mail/status.ts'
import { SmtpError } from '../mail/status.ts'
import type { ValidationContext } from '../policy/context.ts'
import type { ReceptionState } from './reception-states.ts'
import { receptionState } from './reception-states.ts'
import type { Session } from './session-state.ts'

interface RefusalOptions {
  readonly fault?: Fault
  readonly close?: boolean
  readonly cause?: unknown
  /** who decided; `core` when absent */
  readonly module?: string
  /** when the state is not the one in which the command was awaited */
  readonly state?: ReceptionState
  /** the rejection fact was told already */
  readonly told?: boolean
}

export class Refusal extends SmtpError {
  readonly module: string
  readonly state: ReceptionState | undefined
  readonly told: boolean

  constructor(reply: Reply, options: RefusalOptions = {}) {
    super(reply, options)
    this.name = 'Refusal'
    this.module = options.module ?? 'core'
    this.state = options.state
    this.told = options.told ?? false
  }
}

/** A refusal to be thrown: `throw refuse(503, '5.5.1 …')`. */
export function refuse(code: number, text: string, options: RefusalOptions = {}): Refusal {
  return new Refusal({ code, text }, options)
}

/** The scope requires a certificate and TLS is up without one that counts in it. */
export function certificateMissing(): Refusal {
  return refuse(421, '4.7.0 TLS Negotiation failed.', { module: 'tls', close: true })
}

export interface RejectionDetails {
  readonly code: number
  readonly text: string
  readonly module: string
  /** the state in which the refused command was awaited when absent */
  readonly state?: ReceptionState
  /** the context of one recipient's copy */
  readonly context?: ValidationContext
}

/** Tells the rejection fact. */
export function tellRejection(session: Session, details: RejectionDetails): void {
  const { connection, services } = session
  session.decision.rejected(details)
  const scope = session.transaction?.scope ?? session.scope
  const context = details.context ?? session.context
  const rejection: Rejection = {
    kind: 'rejection',
    at: services.clock(),
    connectionId: connection.id,
    remote: connection.remote,
    local: connection.local,
    pathway: scope.pathway,
    pathwayGroup: scope.pathwayGroup,
    state: details.state ?? receptionState(session),
    code: details.code,
    module: details.module,
    connectionContext: context.snapshot('connection'),
    messageContext: context.snapshot('message'),
    text: details.text,
  }
  services.events.emit(rejection)
}

/** Something that an operator must know. `text` must not hold anything that a client said in confidence. */
export function tellPanic(session: Session, module: string, text: string): void {
  const { services, connection } = session
  services.events.emit({
    kind: 'panic',
    at: services.clock(),
    level: 'error',
    module,
    text: `${connection.id}: ${text}`,
  })
}

/** The refusal of a message for want of room. */
export function spoolFull(cause: unknown): Refusal {
  return refuse(452, '4.3.1 insufficient system storage', {
    fault: 'us',
    module: 'spool',
    state: 'reading body',
    cause,
  })
}

/** An error as the panic log shows it: what and where, on one line. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const where = /\n\s+at (?:.* \()?(?:.*\/)?([^/()\s]+:\d+):\d+\)?/.exec(error.stack ?? '')?.[1]
  return `${error.name}: ${error.message}${where === undefined ? '' : ` (${where})`}`
}
