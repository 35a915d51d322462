/**
 * bouncelog: one line per failure of a delivery, also one that another host reports later, with its class (Momentum, log-formats-bouncelog):
 * `time@message@batch@connection@B|T@rcpt local@rcpt domain@sender local@sender domain@group@binding@stage@class@size@ip@text`.
 * Escaped like mainlog.
 */

import type { DeliveryOutcome, OutOfBandBounce } from '../events/events.ts'
import { bounceClass } from '../mail/bounce-class.ts'
import { escapeText } from './escape.ts'
import { epochSeconds } from './mainlog.ts'

/** The line of a failure, without its line ending. */
export function formatBouncelog(event: DeliveryOutcome): string {
  const { at, envelope } = event
  const fields = [
    epochSeconds(at),
    envelope.id,
    envelope.batchId,
    event.connectionId,
    event.kind === 'transient-failure' ? 'T' : 'B',
    envelope.recipient.local,
    envelope.recipient.domain,
    envelope.sender?.local ?? '',
    envelope.sender?.domain ?? '',
    envelope.bindingGroup,
    envelope.binding,
    String(event.stage),
    String(bounceClass(event.text)),
    String(envelope.size),
    event.remote,
    event.text,
  ]
  return fields.map((field) => escapeText(field, '@')).join('@')
}

/** of a bounce that came back out of band (Momentum: log-formats-connection-stages) */
const OUT_OF_BAND = 21

/** The line of a report that came back: recipient and sender are those of the mail that it is about. */
export function formatOutOfBand(event: OutOfBandBounce): string {
  const fields = [
    epochSeconds(event.at),
    event.messageId,
    event.batchId,
    event.connectionId,
    'B',
    event.recipient?.local ?? '',
    event.recipient?.domain ?? '',
    event.sender.local,
    event.sender.domain,
    event.bindingGroup,
    event.binding,
    String(OUT_OF_BAND),
    String(bounceClass(`${event.text} ${event.status}`)),
    String(event.size),
    event.remote,
    event.text,
  ]
  return fields.map((field) => escapeText(field, '@')).join('@')
}

/** @param at milliseconds since the epoch */
export function bouncelogHeartbeat(at: number): string {
  return `${epochSeconds(at)}@@@@M1`
}
