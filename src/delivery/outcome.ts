/**
 * What becomes of a message after an attempt, or instead of one (Momentum: config/ref-retry-interval,
 * ref-max-retry-interval, ref-max-retries, ref-never-retry, ref-message-expiration, ref-blackhole).
 *
 * The n-th failure is followed by a wait of Retry_Interval · 2^(n-1), at most Max_Retry_Interval. The last attempt is
 * made when Message_Expiration is up, or is the one that Max_Retries allows. A message that was refused for good, or has
 * expired, is kept as failed until its bounce is; so is one that was delivered and whose sender asked to be told.
 */

import type { OutboundValues } from '../config/settings.ts'
import type { DeliveryOutcome } from '../events/events.ts'
import type { DeliveryState, StoredMessage } from '../spool/spool.ts'
import { LAST_ANSWER } from './notices/report.ts'
import { type AttemptResult, stages } from './transport.ts'

export const EXPIRED = '554 5.4.7 [internal] exceeded max time without delivery'
const EXHAUSTED = '554 5.4.7 [internal] exceeded max retries without delivery'
const NOT_ATTEMPTED = '554 5.4.5 [internal] Delivery not attempted (message expired)'
const BLACKHOLED = '554 5.7.0 [internal] Blackholed'
const DROPPED = '250 2.0.0 [internal] Blackholed'

/** Keeps a next hop from being tried without a pause, whatever Retry_Interval says. */
const MIN_WAIT_MS = 1000
const MAX_DOUBLINGS = 64

type RetryOptions = Pick<
  OutboundValues,
  'retry_interval' | 'max_retry_interval' | 'message_expiration' | 'max_retries' | 'never_retry'
>
type ForegoneOptions = Pick<
  OutboundValues,
  'message_expiration' | 'never_attempt_expired_messages' | 'blackhole'
>

export interface Outcome {
  /** undefined: the spool forgets the message */
  readonly state: DeliveryState | undefined
  /** what is told once that is durable, in this order: an expired message has both its last attempt and its end */
  readonly told: readonly { readonly kind: DeliveryOutcome['kind']; readonly text: string }[]
}

/**
 * What is said of a message that is not tried at all.
 * @param now milliseconds since the epoch, here and below
 * @returns undefined: it is tried
 */
export function foregone(
  message: StoredMessage,
  options: ForegoneOptions,
  now: number,
): AttemptResult | undefined {
  const result = { stage: stages.notConnected, bytes: 0, remote: '' }
  if (options.blackhole === 'internal') return { ...result, kind: 'delivered', text: DROPPED }
  if (options.blackhole !== 'false') return { ...result, kind: 'permanent', text: BLACKHOLED }
  const isLate = options.never_attempt_expired_messages && now >= expiry(message, options)
  return isLate ? { ...result, kind: 'permanent', text: NOT_ATTEMPTED } : undefined
}

export function judge(
  message: StoredMessage,
  result: AttemptResult,
  options: RetryOptions,
  now: number,
): Outcome {
  const { text } = result
  const attempts = message.state.attempts + 1
  const failed = { attempts, nextAttempt: 0, failed: true }
  if (result.kind === 'delivered') {
    const success = result.notice
    const state = success === undefined ? undefined : { ...failed, lastText: text, success }
    return { state, told: [{ kind: 'delivery', text }] }
  }
  if (result.kind === 'permanent') {
    return { state: { ...failed, lastText: text }, told: [{ kind: 'permanent-failure', text }] }
  }
  const told = [{ kind: 'transient-failure', text } as const]
  const end = lastOfAll(message, options, now)
  if (end !== undefined) {
    return {
      state: { ...failed, lastText: `${end}${LAST_ANSWER}${text}` },
      told: [...told, { kind: 'permanent-failure', text: end }],
    }
  }
  const expires = expiry(message, options)
  const nextAttempt = Math.min(result.retryAt ?? now + retryWait(attempts, options), expires)
  const { delayNotices } = message.state
  const late = delayNotices === undefined ? {} : { delayNotices }
  return { state: { attempts, nextAttempt, failed: false, lastText: text, ...late }, told }
}

/** Why there is no further attempt after one that failed; undefined: there is one. */
function lastOfAll(message: StoredMessage, options: RetryOptions, now: number): string | undefined {
  if (now >= expiry(message, options)) return EXPIRED
  const { never_retry, max_retries } = options
  const exhausted = typeof max_retries === 'number' && message.state.attempts >= max_retries
  return never_retry || exhausted ? EXHAUSTED : undefined
}

/** Milliseconds to wait after the n-th failure. Max_Retry_Interval 0 is no cap. */
export function retryWait(
  failures: number,
  options: Pick<RetryOptions, 'retry_interval' | 'max_retry_interval'>,
): number {
  const cap = options.max_retry_interval === 0 ? Number.MAX_SAFE_INTEGER : options.max_retry_interval * 1000
  // beyond every cap long before, and 0 times an infinite number of doublings would be no number
  const doublings = Math.min(failures - 1, MAX_DOUBLINGS)
  return Math.max(MIN_WAIT_MS, Math.min(options.retry_interval * 1000 * 2 ** doublings, cap))
}

/** When a message has expired, milliseconds since the epoch. Message_Expiration 0 is never. */
export function expiry(message: StoredMessage, options: Pick<RetryOptions, 'message_expiration'>): number {
  if (options.message_expiration === 0) return Number.POSITIVE_INFINITY
  return message.envelope.receivedAt + options.message_expiration * 1000
}
