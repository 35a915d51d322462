/**
 * A way out. Each takes the messages of one batch and their route, makes one attempt, and says what came of it for each.
 *
 * What the next hop answers is a result, never an exception. Whatever a transport throws is a fault of ours: the queue
 * counts it as a transient failure and tells the operator. `delivered` means that the next hop has taken the message
 * over, for a mailbox that it is on stable storage: the spool forgets the message right after it.
 */

import type { OutboundValues } from '../config/settings.ts'
import type { OutboundTlsFacts } from '../events/outbound-tls.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import type { LiveAttempt } from './operator/outbound.ts'
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
  afterStarttls: 16,
  tlsHandshake: 17,
  afterXclient: 20,
} as const

export type Stage = (typeof stages)[keyof typeof stages]

export interface AttemptResult {
  readonly kind: 'delivered' | 'transient' | 'permanent'
  readonly stage: Stage
  /** our own address on the connection; absent without one */
  readonly local?: string
  /** the next hop's answer on one line, or our own `[internal]` text */
  readonly text: string
  /** delivered: octets of the message; otherwise octets that were sent, 0 when no connection came about */
  readonly bytes: number
  /** address of the remote host, '' when there was none */
  readonly remote: string
  /** delivered: what the sender, who asked for it, is to be told; absent where the next hop tells it (RFC 3461 §5.2) */
  readonly notice?: 'delivered' | 'relayed'
  /** transient: when the next hop wants to be asked again, milliseconds since the epoch, in place of our own wait */
  readonly retryAt?: number
  /** how the session was protected; absent where nobody asked for TLS, and where there was none */
  readonly tls?: OutboundTlsFacts
}

/** Nothing was tried for this message: it stays where it is, and that is no failure. */
export interface Deferred {
  readonly kind: 'deferred'
  /** milliseconds since the epoch, before which trying is of no use; 0 = at once */
  readonly until: number
}

/** What comes back for one message. */
export type MessageResult = AttemptResult | Deferred

/** What an attempt asks before it turns to a host. Times are milliseconds since the epoch. */
export interface HostGate {
  /** Takes a place at the host for so many messages, at most, or is told when to come back. */
  enter(
    host: { readonly name: string; readonly address: string },
    messages: number,
  ): { readonly kind: 'go'; readonly messages: number; leave(): void } | Deferred
  /** Before a connection is made, once there is a place. undefined: it may be made, and is counted */
  connect(host: { readonly name: string; readonly address: string }): Deferred | undefined
}

export interface AttemptContext<R extends DeliverableRoute> {
  readonly route: R
  /** what holds for the routing domain of the messages in their binding */
  readonly options: OutboundValues
  /** an earlier attempt may have gone through without our knowing: after a start, and after every failure */
  readonly mayRepeat: boolean
  /** holds back connections, and messages to one host */
  readonly gate: HostGate
  /** the attempt is to end now, at the next safe place, by throwing the signal's reason */
  readonly signal: AbortSignal
  /** told how far the attempt is, for whoever looks */
  readonly live?: Pick<LiveAttempt, 'note'>
}

export interface Transport<R extends DeliverableRoute> {
  /**
   * @param messages at least one. They have one sender, one body type, one routing domain and one binding, and the same
   *   header and body, octet for octet: `content` is that of each
   * @returns a result for each message, in their order
   * @throws the signal's reason, or a fault of ours; then there is no result for any of them
   */
  deliver(
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: AttemptContext<R>,
  ): Promise<readonly MessageResult[]>
  /** Forgets which hosts failed a short while ago: they are tried when their turn comes. */
  retryHosts?(): void
  /** Lets go of what is kept between attempts; no attempt is made after it. */
  close?(): void
}

/** One transport for each kind of route. */
export type Transports = {
  readonly [K in DeliverableRoute['kind']]: Transport<Extract<DeliverableRoute, { kind: K }>>
}
