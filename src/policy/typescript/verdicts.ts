/**
 * What a policy in TypeScript answers, and in which phases it may answer it.
 *
 * Saying nothing (`undefined`) means the same as `proceed`. An answer that the phase does not permit does not compile;
 * from plain JavaScript it is an error of the policy: the client gets the 421.
 */

import type { AnyPhase } from '../phases.ts'

/** Nothing against it: the next policy is asked. */
export interface Proceed {
  readonly kind: 'proceed'
}

/** Nothing against it, and no other policy is asked in this phase. */
export interface Done {
  readonly kind: 'done'
}

/** Nothing against it, and the client is told so in these words instead of the usual ones. */
export interface Accept {
  readonly kind: 'accept'
  readonly code: number
  readonly text: string
}

/** The command is refused, the session goes on. Nobody else is asked. */
export interface Reject {
  readonly kind: 'reject'
  readonly code: number
  readonly text: string
}

/** The command is refused and the connection closed. Nobody else is asked. */
export interface Disconnect {
  readonly kind: 'disconnect'
  readonly code: number
  readonly text: string
}

/** The client is told that its message was accepted, and it is dropped; rejectlog has the reason. */
export interface Discard {
  readonly kind: 'discard'
  readonly reason: string
}

/** The client waits, then gets the answer `after`. */
export interface Tarpit<A extends PlainAnswer = PlainAnswer> {
  readonly kind: 'tarpit'
  readonly seconds: number
  readonly after: A
}

/** What can be answered at once. */
export type PlainAnswer = Proceed | Done | Accept | Reject | Disconnect | Discard

export type AnyAnswer = PlainAnswer | Tarpit

/** Which answers each phase permits, beside `proceed` and `done`; in the order of a reception. */
export const permittedAnswers = {
  accept: ['accept', 'reject', 'disconnect', 'tarpit'],
  connect: ['accept', 'reject', 'disconnect', 'tarpit'],
  connected: ['accept', 'reject', 'disconnect', 'tarpit'],
  ehlo: ['accept', 'reject', 'disconnect', 'tarpit'],
  tls_parameters: ['reject', 'disconnect', 'tarpit'],
  // policy makes a peer unverified, never a verified one: there is nothing that it could accept
  tls_verify: ['reject', 'disconnect', 'tarpit'],
  host_verify: ['reject'],
  // what follows a handshake is the client's next command: there is nothing that a reply could answer
  tls: ['disconnect', 'tarpit'],
  // a success here would be one without credentials
  auth_before: ['reject', 'disconnect', 'tarpit'],
  auth: ['accept', 'reject', 'disconnect', 'tarpit'],
  // whether it is the user's password: 235 says yes, 5xx no, 4xx that nobody can tell
  auth_perform: ['accept', 'reject', 'tarpit'],
  auth_failed: [],
  mailfrom: ['accept', 'reject', 'disconnect', 'tarpit'],
  rcptto: ['accept', 'reject', 'disconnect', 'tarpit'],
  data: ['accept', 'reject', 'disconnect', 'discard', 'tarpit'],
  rcptto_list: ['accept', 'reject', 'disconnect', 'tarpit'],
  rcptto_list_final: ['accept', 'reject', 'disconnect', 'tarpit'],
  data_spool: ['accept', 'reject', 'disconnect', 'discard', 'tarpit'],
  data_spool_each_rcpt: ['reject', 'disconnect', 'discard', 'tarpit'],
  each_rcpt_after: ['reject', 'disconnect', 'discard', 'tarpit'],
  set_binding: [],
  final_validation2: ['reject', 'disconnect', 'tarpit'],
  final_validation: [],
  post_final_validation: [],
} as const satisfies Readonly<Record<AnyPhase, Kinds>>

type Kinds = readonly AnyAnswer['kind'][]

type Kind<P extends AnyPhase> = 'proceed' | 'done' | (typeof permittedAnswers)[P][number]

type Plain<P extends AnyPhase> = Extract<PlainAnswer, { kind: Kind<P> }>

type Immediate<P extends AnyPhase> =
  | Plain<P>
  | ('tarpit' extends Kind<P> ? Tarpit<Plain<P>> : never)
  | undefined
  | void

/** What a callout of a phase returns, at once or after a while: a promise holds up its own session only. */
export type Answer<P extends AnyPhase> = Immediate<P> | Promise<Immediate<P>>

export const proceed: Proceed = { kind: 'proceed' }

/** See `Done`. */
export function done(): Done {
  return { kind: 'done' }
}

/**
 * See `Accept`. A refusal that an earlier script left standing is not taken back.
 * @param code 200–299: 220 for a connection, 235 for an authentication, 250 for everything else
 * @throws RangeError for another code
 */
export function accept(code: number, text: string): Accept {
  if (!isCode(code, 200, 299)) throw new RangeError(`accept: ${code} is no code of success (200–299)`)
  return { kind: 'accept', code, text }
}

/**
 * See `Reject`.
 * @param code 400–499: try again later; 500–599: never; 421 always closes the connection
 * @param text begins with an enhanced status code: `5.7.1 not from you`
 * @throws RangeError for another code
 */
export function reject(code: number, text: string): Reject {
  if (!isCode(code, 400, 599)) throw new RangeError(`reject: ${code} is no code of refusal (400–599)`)
  return { kind: 'reject', code, text }
}

/**
 * See `Disconnect`.
 * @param code 400–599; 421 is the usual one
 * @throws RangeError for another code
 */
export function disconnect(code: number, text: string): Disconnect {
  if (!isCode(code, 400, 599)) throw new RangeError(`disconnect: ${code} is no code of refusal (400–599)`)
  return { kind: 'disconnect', code, text }
}

/** See `Discard`. @param reason for rejectlog; may begin with a reply code, `550 5.7.0` is put before it otherwise */
export function discard(reason = 'discarded by policy'): Discard {
  return { kind: 'discard', reason }
}

/**
 * See `Tarpit`. A session waits at most 300 seconds for one phase.
 * @throws RangeError for a time that is negative or not finite
 */
export function tarpit(seconds: number): Tarpit<Proceed>
export function tarpit<A extends PlainAnswer>(seconds: number, after: A): Tarpit<A>
export function tarpit(seconds: number, after: PlainAnswer = proceed): Tarpit {
  if (!isDuration(seconds)) throw new RangeError(`tarpit: ${seconds} is no number of seconds`)
  return { kind: 'tarpit', seconds, after }
}

export function isCode(value: unknown, from: number, to: number): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= from && value <= to
}

export function isDuration(value: unknown): boolean {
  return typeof value === 'number' && value >= 0 && Number.isFinite(value)
}
