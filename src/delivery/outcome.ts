/**
 * What becomes of a message after an attempt (Momentum: config/ref-retry-interval, ref-max-retry-interval,
 * ref-message-expiration).
 *
 * The n-th failure is followed by a wait of Retry_Interval · 2^(n-1), at most Max_Retry_Interval. The last attempt is
 * made when Message_Expiration is up. A message that was refused for good, or has expired, is kept as failed until its
 * bounce is.
 */

import type { OutboundValues } from '../config/settings.ts'
import type { DeliveryOutcome } from '../events/events.ts'
import type { DeliveryState, StoredMessage } from '../spool/spool.ts'
import { LAST_ANSWER } from './bounce.ts'
import type { AttemptResult } from './transport.ts'

export const EXPIRED = '554 5.4.7 [internal] exceeded max time without delivery'

/** Keeps a next hop from being tried without a pause, whatever Retry_Interval says. */
const MIN_WAIT_MS = 1000
const MAX_DOUBLINGS = 64

type RetryOptions = Pick<OutboundValues, 'retry_interval' | 'max_retry_interval' | 'message_expiration'>

export interface Outcome {
  /** undefined: the spool forgets the message */
  readonly state: DeliveryState | undefined
  /** what is told once that is durable, in this order: an expired message has both its last attempt and its end */
  readonly told: readonly { readonly kind: DeliveryOutcome['kind']; readonly text: string }[]
}

/** @param now milliseconds since the epoch */
export function judge(
  message: StoredMessage,
  result: AttemptResult,
  options: RetryOptions,
  now: number,
): Outcome {
  const { text } = result
  if (result.kind === 'delivered') return { state: undefined, told: [{ kind: 'delivery', text }] }
  const attempts = message.state.attempts + 1
  const failed = { attempts, nextAttempt: 0, failed: true }
  if (result.kind === 'permanent') {
    return { state: { ...failed, lastText: text }, told: [{ kind: 'permanent-failure', text }] }
  }
  const told = [{ kind: 'transient-failure', text } as const]
  const expires = expiry(message, options)
  if (now >= expires) {
    return {
      state: { ...failed, lastText: `${EXPIRED}${LAST_ANSWER}${text}` },
      told: [...told, { kind: 'permanent-failure', text: EXPIRED }],
    }
  }
  const nextAttempt = Math.min(now + retryWait(attempts, options), expires)
  return { state: { attempts, nextAttempt, failed: false, lastText: text }, told }
}

/** Milliseconds to wait after the n-th failure. Max_Retry_Interval 0 is no cap. */
export function retryWait(failures: number, options: RetryOptions): number {
  const cap = options.max_retry_interval === 0 ? Number.MAX_SAFE_INTEGER : options.max_retry_interval * 1000
  // beyond every cap long before, and 0 times an infinite number of doublings would be no number
  const doublings = Math.min(failures - 1, MAX_DOUBLINGS)
  return Math.max(MIN_WAIT_MS, Math.min(options.retry_interval * 1000 * 2 ** doublings, cap))
}

/** Message_Expiration 0 is never. */
function expiry(message: StoredMessage, options: RetryOptions): number {
  if (options.message_expiration === 0) return Number.POSITIVE_INFINITY
  return message.envelope.receivedAt + options.message_expiration * 1000
}
