/**
 * mainlog: one line per reception and per outcome of a delivery (Momentum, log-formats-mainlog).
 *
 * Fields are separated by `@`; inside a field `@`, `\` and control characters are escaped with `\`. Field 4 says what a
 * line is: R, D, T, P, or M for a heartbeat.
 */

import type { DeliveryOutcome, Reception } from '../events/events.ts'
import type { Mailbox } from '../mail/envelope.ts'
import { escapeText } from './escape.ts'

/** The line of an event, without its line ending. */
export function formatMainlog(event: Reception | DeliveryOutcome): string {
  if (event.kind === 'reception') return formatReception(event)
  return event.kind === 'delivery' ? formatDelivery(event) : formatFailure(event)
}

/** @param at milliseconds since the epoch */
export function mainlogHeartbeat(at: number): string {
  return `${epochSeconds(at)}@@@@M`
}

/** @param at milliseconds since the epoch */
export function epochSeconds(at: number): string {
  return String(Math.floor(at / 1000))
}

function formatReception({ at, envelope, protocol = 'esmtp' }: Reception): string {
  const { id, batchId, connectionId, recipient, sender, client, size, bindingGroup, binding } = envelope
  const { local = '', domain = '' } = sender ?? NOBODY
  const head = `${epochSeconds(at)}@${id}@${batchId}@${connectionId}@R@${recipient.local}@${recipient.domain}`
  const line = `${head}@${local}@${domain}@${client.address}@${size}@${protocol}@${bindingGroup}@${binding}`
  // few lines have anything to escape
  if (PLAIN_RECEPTION.test(line)) return line
  return join([
    epochSeconds(at),
    id,
    batchId,
    connectionId,
    'R',
    recipient.local,
    recipient.domain,
    local,
    domain,
    client.address,
    String(size),
    protocol,
    bindingGroup,
    binding,
  ])
}

function formatDelivery(event: DeliveryOutcome): string {
  return join([
    ...outcomeHead(event, 'D'),
    String(event.bytes),
    event.envelope.bindingGroup,
    event.envelope.binding,
    String(event.retries),
    secondsSinceReception(event),
    event.remote,
  ])
}

function formatFailure(event: DeliveryOutcome): string {
  return join([
    ...outcomeHead(event, event.kind === 'transient-failure' ? 'T' : 'P'),
    String(event.bytes),
    event.envelope.bindingGroup,
    event.envelope.binding,
    String(event.stage),
    String(event.retries),
    secondsSinceReception(event),
    event.remote,
    event.text,
  ])
}

function outcomeHead(event: DeliveryOutcome, type: 'D' | 'T' | 'P'): string[] {
  const { id, batchId } = event.envelope
  return [epochSeconds(event.at), id, batchId, event.connectionId, type, event.domain]
}

/** To the millisecond, never negative (the clock may have been set back): `0.393`, `18.53`. */
function secondsSinceReception({ at, envelope }: DeliveryOutcome): string {
  return String(Math.max(0, Math.round(at - envelope.receivedAt)) / 1000)
}

function join(fields: readonly string[]): string {
  // one look at all of them: few lines have anything to escape
  if (!SPECIAL.test(fields.join(''))) return fields.join('@')
  return fields.map((field) => escapeText(field, '@')).join('@')
}

const NOBODY: Partial<Mailbox> = {}

/** no more separators than the fields need, and nothing else that `escapeText` would change */
const PLAIN_RECEPTION = /^(?:[ -?A-[\]-~\u0080-\u00ff]*@){13}[ -?A-[\]-~\u0080-\u00ff]*$/
/** whatever `escapeText` would change */
const SPECIAL = /[@\\]|[^ -~\u0080-\u00ff]/
