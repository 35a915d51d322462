/**
 * Whether somebody is to be told what became of a message, and who (RFC 3461 §4.1 and §5.2; Momentum:
 * config/ref-generate-bounces, ref-mdn-failures-notify, ref-generate-delay-dsn).
 *
 * Nobody is told of a notice: mail from the null sender goes to Mdn_Failures_Notify where that is set, and what was sent
 * there is never told of again.
 */

import type { OutboundValues } from '../../config/settings.ts'
import { parseMailbox } from '../../mail/address.ts'
import type { Envelope, Mailbox, NotifyWhen } from '../../mail/envelope.ts'
import { EMPTY_ID } from '../../mail/message-id.ts'
import { MAX_DELAY_NOTICES, type StoredMessage } from '../../spool/spool.ts'

/** What a notice is about. */
export type NoticeKind = 'failed' | 'delayed' | 'delivered' | 'relayed'

/** keys of the message context in which a notice says which message it is about */
export const noticeKeys = {
  endOf: 'bounce_of',
  delayOf: 'delay_notice_of',
  delayNumber: 'delay_notice',
} as const

type EndOptions = Pick<OutboundValues, 'generate_bounces' | 'mdn_failures_notify'>
type DelayOptions = Pick<
  OutboundValues,
  'generate_bounces' | 'generate_delay_dsn' | 'delay_dsn_retry_interval' | 'delay_dsn_max_retry_interval'
>

/** Who is told of the end of a message; undefined: nobody. */
export function toldOfEnd({ envelope, state }: StoredMessage, options: EndOptions): Mailbox | undefined {
  const { sender } = envelope
  if (!options.generate_bounces || !asked(envelope, state.success === undefined ? 'FAILURE' : 'SUCCESS')) {
    return undefined
  }
  if (sender !== undefined || state.success !== undefined) return sender
  const keeper = options.mdn_failures_notify
  if (keeper === undefined || isOfNull(envelope)) return undefined
  return parseMailbox(keeper)
}

/**
 * The number of the delay notice that is due for a message which is not delivered yet; undefined: none is. The
 * first is due after Delay_DSN_Retry_Interval, each further one after twice the time, at most
 * Delay_DSN_Max_Retry_Interval (0 = no bound).
 * @param now milliseconds since the epoch
 */
export function dueDelayNotice(
  { envelope, state }: StoredMessage,
  options: DelayOptions,
  now: number,
): number | undefined {
  const told = state.delayNotices ?? 0
  if (!hearsOfDelay(envelope, options)) return undefined
  // of those that were missed the last one is told
  const due = noticeTimes(envelope, options).filter((at) => at <= now).length
  return due > told ? due : undefined
}

/** When the next one is due, in milliseconds since the epoch; undefined: none ever is. */
export function nextDelayNotice(
  { envelope, state }: StoredMessage,
  options: DelayOptions,
): number | undefined {
  return hearsOfDelay(envelope, options) ? noticeTimes(envelope, options)[state.delayNotices ?? 0] : undefined
}

function hearsOfDelay(envelope: Envelope, options: DelayOptions): boolean {
  if (!options.generate_delay_dsn || !options.generate_bounces) return false
  return envelope.sender !== undefined && asked(envelope, 'DELAY')
}

function noticeTimes(envelope: Envelope, options: DelayOptions): readonly number[] {
  const { delay_dsn_retry_interval: first, delay_dsn_max_retry_interval: most } = options
  let interval = first * 1000
  let at = envelope.receivedAt + interval
  return Array.from({ length: MAX_DELAY_NOTICES }, () => {
    const time = at
    interval = most === 0 ? interval * 2 : Math.min(interval * 2, Math.max(most, 1) * 1000)
    at += Math.max(interval, 1000)
    return time
  })
}

/** Whether success is to be told when a message has left; the next hop tells it where it can. */
export function wantsSuccess({ sender, dsn }: Envelope): boolean {
  return sender !== undefined && Array.isArray(dsn?.notify) && dsn.notify.includes('SUCCESS')
}

/** The id of the message whose end a notice of ours tells; undefined for every other message. */
export function bouncedId(envelope: Envelope): string | undefined {
  return isNotice(envelope) ? envelope.messageContext[noticeKeys.endOf] : undefined
}

/** The message of which a notice of ours tells that it is late, and which one it is. */
export function delayNoticeOf(
  envelope: Envelope,
): { readonly id: string; readonly number: number } | undefined {
  const id = isNotice(envelope) ? envelope.messageContext[noticeKeys.delayOf] : undefined
  return id === undefined
    ? undefined
    : { id, number: Number(envelope.messageContext[noticeKeys.delayNumber]) }
}

/** Nothing that came in passes for a notice of ours: each has a connection. */
function isNotice({ sender, connectionId }: Envelope): boolean {
  return sender === undefined && connectionId === EMPTY_ID
}

/** RFC 3461 §4.1: unless something was said, failures and delays may be told. */
function asked({ dsn }: Envelope, what: NotifyWhen): boolean {
  const notify = dsn?.notify
  if (notify === undefined) return what !== 'SUCCESS'
  return notify !== 'NEVER' && notify.includes(what)
}

/** A failure that was told to the keeper already. */
function isOfNull(envelope: Envelope): boolean {
  return isNotice(envelope) && envelope.messageContext[OF_NULL] === 'true'
}

/** key of the message context of a notice about mail from the null sender */
export const OF_NULL = 'bounce_of_null_sender'
