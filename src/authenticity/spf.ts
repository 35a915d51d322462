/**
 * SPF (RFC 7208) for both identities, by mailauth in its strict mode: ten terms that ask the DNS, two answers without
 * records. All questions together are bounded beyond that, and so is their time. Never throws: what goes wrong is a
 * `temperror`.
 */

import { createRequire } from 'node:module'
import type * as Spf from 'mailauth/lib/spf/index.js'
import type { DnsResolver } from '../dns/stub-resolver.ts'
import { boundedLookup } from './lookups.ts'
import { type SpfOutcome, type SpfResult, tellable } from './outcome.ts'

const require = createRequire(import.meta.url)

/** Read when it is needed, with some two hundred modules under it: most processes ask for no SPF. */
const library = (): typeof Spf => require('mailauth/lib/spf/index.js') as typeof Spf

/** Reads the library now, so that no client waits for it. */
export function prepareSpf(): void {
  library()
}

export interface SpfQuestion {
  /** of the client */
  readonly address: string
  /** as in HELO or EHLO; undefined: the client has not said it */
  readonly helo: string | undefined
  /** undefined is `<>` */
  readonly sender: { readonly local: string; readonly domain: string } | undefined
  /** this host's name */
  readonly hostname: string
}

export interface CheckBounds {
  readonly resolver: DnsResolver
  /** aborted when nobody waits for the answer any more */
  readonly signal: AbortSignal
  /** milliseconds for all questions */
  readonly timeout: number
}

/** ten MX terms of ten hosts each, as RFC 7208 §4.6.4 allows them */
const MOST_QUESTIONS = 120
/** of a local part that stands in macros */
const MAX_LOCAL = 64

export async function checkSpf(question: SpfQuestion, bounds: CheckBounds): Promise<SpfOutcome> {
  const { sender, helo } = question
  const [ofSender, ofHelo] = await Promise.all([
    sender === undefined ? undefined : evaluate(question, sender, bounds),
    helo === undefined ? NONE : evaluate(question, undefined, bounds),
  ])
  const heloOutcome = { result: ofHelo, domain: tellable(helo) }
  if (sender === undefined || ofSender === undefined) {
    return { ...heloOutcome, identity: 'helo', helo: heloOutcome }
  }
  return { result: ofSender, identity: 'mailfrom', domain: tellable(sender.domain), helo: heloOutcome }
}

// oxlint-disable-next-line max-params -- what, of whom, within what
async function evaluate(
  { address, helo, hostname }: SpfQuestion,
  sender: SpfQuestion['sender'],
  bounds: CheckBounds,
): Promise<SpfResult> {
  // what is no domain name has no policy (RFC 7208 §4.3)
  if (sender !== undefined && tellable(sender.domain) === undefined) return 'none'
  if (sender === undefined && !(tellable(helo)?.includes('.') ?? false)) return 'none'
  try {
    const { status } = await library().spf({
      ip: address,
      helo: tellable(helo) ?? 'unknown',
      sender: sender === undefined ? '' : `${sender.local.slice(0, MAX_LOCAL)}@${sender.domain}`,
      mta: hostname,
      strict: true,
      maxElapsedTime: bounds.timeout,
      resolver: boundedLookup({ ...bounds, most: MOST_QUESTIONS }),
    })
    return RESULTS.find((each) => each === status.result) ?? 'temperror'
  } catch {
    return 'temperror'
  }
}

const NONE: SpfResult = 'none'
const RESULTS: readonly SpfResult[] = [
  'pass',
  'fail',
  'softfail',
  'neutral',
  'none',
  'temperror',
  'permerror',
]
