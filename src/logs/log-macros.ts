/**
 * What each macro of a custom_logger says about an event (Momentum: modules/custom-logger, 4-tls-macros). What an event
 * does not know is empty.
 */

import type { LogMacroName } from '../config/log-format.ts'
import type { DeliveryOutcome, Reception, Rejection } from '../events/events.ts'
import { bounceClass, bounceClassName } from '../mail/bounce-class.ts'
import type { Mailbox } from '../mail/envelope.ts'
import { routingDomain } from '../mail/envelope.ts'
import { strftime } from './strftime.ts'

export type LoggedEvent = Reception | DeliveryOutcome | Rejection

export interface MacroRequest {
  readonly event: LoggedEvent
  /** what stands in the braces, as a byte string; '' without */
  readonly argument: string
  /** the Pathway_Group of a Pathway */
  readonly pathwayGroup: (pathway: string) => string
}

/** Values as they are; how they get into a line is another's business. */
export const macroValues: Readonly<Record<LogMacroName, (request: MacroRequest) => string>> = {
  A: ({ event }) => authenticated(event, 'auth_name'),
  b: ({ event }) => envelopeOf(event)?.binding ?? '',
  B: ({ event }) => String(envelopeOf(event)?.size ?? ''),
  BI: ({ event }) => envelopeOf(event)?.batchId ?? '',
  c: ({ event }) => (isFailure(event) ? bounceClassName(bounceClass(event.text)) : ''),
  C: ({ event }) => (isFailure(event) ? String(bounceClass(event.text)) : ''),
  CI: ({ event }) => (event.kind === 'rejection' ? event.connectionId : event.envelope.connectionId),
  d: ({ event }) => domainOf(event),
  g: ({ event }) => envelopeOf(event)?.bindingGroup ?? '',
  h: ({ event, argument }) => headerOf(event, argument.toLowerCase()),
  H: ({ event }) => remoteOf(event),
  i: ({ event }) => envelopeOf(event)?.id ?? '',
  m: ({ event }) => senderOf(event).local,
  M: ({ event }) => senderOf(event).domain,
  n: ({ event }) => textOf(event),
  N: ({ event }) => triesOf(event),
  OC: ({ event }) => (isOutcome(event) ? event.connectionId : ''),
  p: ({ event }) => protocolOf(event),
  P: ({ event }) => pathwayOf(event),
  PG: ({ event, pathwayGroup }) =>
    event.kind === 'rejection' ? event.pathwayGroup : pathwayGroup(pathwayOf(event)),
  r: ({ event }) => recipientOf(event).local,
  R: ({ event }) => recipientOf(event).domain,
  s: ({ event }) => stageOf(event),
  S: ({ event }) => (isOutcome(event) ? String(event.stage) : ''),
  t: ({ event, argument }) =>
    argument === '' ? String(Math.floor(event.at / 1000)) : strftime(argument, event.at),
  T: ({ event, argument }) => secondsQueued(event, argument === '' ? 2 : Number(argument)),
  U: ({ event }) => authenticated(event, 'auth_user'),
  us: ({ event, argument }) => fractionOf(event.at, Number(argument)),
  vctx_conn: ({ event, argument }) => fromContext(event, 'connectionContext', argument) ?? '',
  vctx_mess: ({ event, argument }) => fromContext(event, 'messageContext', argument) ?? '',
  local_ip: ({ event }) => localOf(event),
  outbound_tls: ({ event }) => tlsUse(event),
  outbound_tls_type: ({ event }) => (tlsUse(event) === 'unknown' ? '' : (tlsOf(event)?.demand ?? 'no')),
  outbound_tls_cipher: ({ event }) => tlsOf(event)?.cipher ?? '',
  outbound_tls_cipher_algbits: ({ event }) => bits(tlsOf(event)?.cipherAlgorithmBits),
  outbound_tls_cipher_usebits: ({ event }) => bits(tlsOf(event)?.cipherUsedBits),
  outbound_tls_protocol: ({ event }) => tlsOf(event)?.protocol ?? '',
  outbound_tls_verified: ({ event }) => verifiedOf(event),
  outbound_tls_issuer: ({ event }) => tlsOf(event)?.issuer ?? '',
  outbound_tls_subject: ({ event }) => tlsOf(event)?.subject ?? '',
}

function isOutcome(event: LoggedEvent): event is DeliveryOutcome {
  return event.kind !== 'reception' && event.kind !== 'rejection'
}

function isFailure(event: LoggedEvent): event is DeliveryOutcome {
  return event.kind === 'transient-failure' || event.kind === 'permanent-failure'
}

function envelopeOf(event: LoggedEvent) {
  return event.kind === 'rejection' ? undefined : event.envelope
}

/** A key such as "constructor" must not find what no script has set. */
function fromContext(
  event: LoggedEvent,
  which: 'connectionContext' | 'messageContext',
  key: string,
): string | undefined {
  const context = event.kind === 'rejection' ? event[which] : event.envelope[which]
  return Object.hasOwn(context, key) ? context[key] : undefined
}

function headerOf(event: LoggedEvent, name: string): string {
  const headers = envelopeOf(event)?.loggedHeaders ?? {}
  return Object.hasOwn(headers, name) ? (headers[name] ?? '') : ''
}

function authenticated(event: LoggedEvent, key: 'auth_name' | 'auth_user'): string {
  if (fromContext(event, 'connectionContext', 'auth_status') !== 'pass') return ''
  return fromContext(event, 'connectionContext', key) ?? ''
}

function senderOf(event: LoggedEvent): Mailbox {
  if (event.kind !== 'rejection') return event.envelope.sender ?? { local: '', domain: '' }
  const { mailfrom_localpart: local = '', mailfrom_domain: domain = '' } = event.messageContext
  return { local, domain }
}

function recipientOf(event: LoggedEvent): Mailbox {
  if (event.kind !== 'rejection') return event.envelope.recipient
  const { rcptto_localpart: local = '', rcptto_domain: domain = '' } = event.messageContext
  return { local, domain }
}

function domainOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return ''
  return isOutcome(event) ? event.domain : routingDomain(event.envelope)
}

function remoteOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return event.remote.address
  return isOutcome(event) ? event.remote : event.envelope.client.address
}

function localOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return event.local.address
  return isOutcome(event) ? (event.local ?? '') : event.envelope.local.address
}

function textOf(event: LoggedEvent): string {
  if (event.kind === 'reception') return ''
  return event.kind === 'rejection' && event.code > 0 ? `${event.code} ${event.text}` : event.text
}

function triesOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return ''
  return isOutcome(event) ? String(event.retries) : '0'
}

/** A message of our own has come in over no connection. */
function protocolOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return 'esmtp'
  if (event.kind === 'reception') return event.protocol ?? 'esmtp'
  const { client, local } = event.envelope
  return client.address === '' && local.address === '' ? 'internal' : 'esmtp'
}

/** One that a script has set for the message counts. */
function pathwayOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return event.pathway
  const own = fromContext(event, 'messageContext', 'pathway')
  return own ?? fromContext(event, 'connectionContext', 'pathway') ?? 'default'
}

function stageOf(event: LoggedEvent): string {
  if (event.kind === 'rejection') return event.state
  return isOutcome(event) ? (stageTexts[event.stage] ?? 'in unknown state') : ''
}

/** Never negative: the clock may have been set back. */
function secondsQueued(event: LoggedEvent, places: number): string {
  if (event.kind === 'rejection') return ''
  return (Math.max(0, event.at - event.envelope.receivedAt) / 1000).toFixed(places)
}

/** Of the second, cut off and not rounded: it stands behind the whole ones. */
function fractionOf(at: number, places: number): string {
  const milliseconds = String(Math.floor(at) % 1000).padStart(3, '0')
  return milliseconds.padEnd(6, '0').slice(0, places)
}

function tlsOf(event: LoggedEvent) {
  return isOutcome(event) ? event.tls : undefined
}

/** Without a connection nobody knows. */
function tlsUse(event: LoggedEvent): 'TLS' | 'SMTP' | 'unknown' {
  if (!isOutcome(event) || event.remote === '' || event.stage === 0) return 'unknown'
  return (event.tls?.protocol ?? '') === '' ? 'SMTP' : 'TLS'
}

function verifiedOf(event: LoggedEvent): string {
  if (tlsUse(event) === 'unknown') return ''
  return tlsOf(event)?.verifiedBy === undefined ? 'unverified' : 'verified'
}

/** 0 without TLS */
function bits(count: number | undefined): string {
  return count === undefined || count === 0 ? '' : String(count)
}

/** by number (Momentum: 4-log-formats-connection-stages) */
const stageTexts: readonly string[] = [
  'while not connected',
  'while idle',
  'during MAIL FROM',
  'after MAIL FROM',
  'during RCPT TO',
  'after RCPT TO',
  'during DATA',
  'after DATA',
  'while sending BODY',
  'reading confirmation',
  'during EHLO',
  'after EHLO',
  'reading BANNER',
  'during RSET',
  'after RSET',
  'during STARTTLS',
  'after STARTTLS',
  'handshaking TLS',
  'renegotiating TLS',
  'during XCLIENT',
  'after XCLIENT',
  'out of band bounce',
  'in unknown state',
]
