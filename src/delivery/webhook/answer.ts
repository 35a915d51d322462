/** What the answer to a POST means for a message (RFC 9110 §15, RFC 6585 §4, RFC 8470 §5.2). */

import type { OutboundValues } from '../../config/settings.ts'
import { firstLine } from '../said.ts'
import { type AttemptResult, stages } from '../transport.ts'
import type { Posted } from './post.ts'

type Answer = Pick<AttemptResult, 'kind' | 'stage' | 'text' | 'retryAt'>

/** of those from 400 to 499, the ones that may be another the next time */
const passing: readonly number[] = [408, 425, 429]

/** the shortest wait that a receiver may ask for, and the longest where Max_Retry_Interval is no bound */
const MIN_WAIT_S = 10
const MAX_WAIT_S = 86_400

export function answerOf(
  name: string,
  posted: Posted,
  options: Pick<OutboundValues, 'max_retry_interval'>,
  now: number,
): Answer {
  const who = `webhook "${name}"`
  if (posted.kind === 'failed') {
    const stage = posted.connected ? stages.confirmation : stages.notConnected
    const code = posted.connected ? '451 4.4.2' : '451 4.4.1'
    return { kind: 'transient', stage, text: `${code} [internal] ${who}: ${firstLine(posted.reason)}` }
  }
  const { status, whole } = posted
  const stage = stages.confirmation
  const said = firstLine(posted.text)
  const what = `[internal] ${who} answered ${status}${said === '' ? '' : `: ${said}`}`
  if (status >= 200 && status < 300) {
    if (whole) return { kind: 'delivered', stage, text: `250 2.0.0 ${what}` }
    return { kind: 'transient', stage, text: `451 4.5.0 ${what} (before it had the message)` }
  }
  if (status >= 400 && status < 500 && !passing.includes(status))
    return { kind: 'permanent', stage, text: `554 5.3.0 ${what}` }
  const seconds = waitOf(posted.retryAfter, now)
  const retryAt =
    seconds === undefined ? undefined : now + 1000 * bounded(seconds, options.max_retry_interval)
  return {
    kind: 'transient',
    stage,
    text: `451 4.3.0 ${what}`,
    ...(retryAt === undefined ? {} : { retryAt }),
  }
}

/** RFC 9110 §10.2.3: seconds, or a date. */
function waitOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text)
  const date = text.endsWith('GMT') ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : (date - now) / 1000
}

function bounded(seconds: number, most: number): number {
  return Math.max(MIN_WAIT_S, Math.min(seconds, most === 0 ? MAX_WAIT_S : most))
}
