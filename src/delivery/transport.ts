/**
 * A way out. Each takes one message and one route, makes one attempt, and says what came of it.
 *
 * What the next hop answers is a result, never an exception. Whatever a transport throws is a fault of ours: the queue
 * counts it as a transient failure and tells the operator. `delivered` means that the next hop has taken the message
 * over, for a mailbox that it is on stable storage: the spool forgets the message right after it.
 */

import type { OutboundValues } from '../config/settings.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import type { DeliverableRoute } from './route.ts'

/** Where an attempt was when it ended (Momentum: log-formats-connection-stages). */
export const stages = {
  notConnected: 0,
  afterMailFrom: 3,
  afterRcptTo: 5,
  afterData: 7,
  sendingBody: 8,
  confirmation: 9,
  afterEhlo: 11,
  banner: 12,
  afterRset: 14,
} as const

export type Stage = (typeof stages)[keyof typeof stages]

export interface AttemptResult {
  readonly kind: 'delivered' | 'transient' | 'permanent'
  readonly stage: Stage
  /** the next hop's answer on one line, or our own `[internal]` text */
  readonly text: string
  /** delivered: octets of the message; otherwise octets that were sent, 0 when no connection came about */
  readonly bytes: number
  /** address of the remote host, '' when there was none */
  readonly remote: string
}

export interface AttemptContext<R extends DeliverableRoute> {
  readonly route: R
  /** what holds for the recipient's domain */
  readonly options: OutboundValues
  /** an earlier attempt may have gone through without our knowing: after a start, and after every failure */
  readonly mayRepeat: boolean
  /** the attempt is to end now, at the next safe place, by throwing the signal's reason */
  readonly signal: AbortSignal
}

export interface Transport<R extends DeliverableRoute> {
  deliver(message: StoredMessage, content: StoredContent, context: AttemptContext<R>): Promise<AttemptResult>
  /** Lets go of what is kept between attempts; no attempt is made after it. */
  close?(): void
}

/** One transport for each kind of route. */
export type Transports = {
  readonly [K in DeliverableRoute['kind']]: Transport<Extract<DeliverableRoute, { kind: K }>>
}
