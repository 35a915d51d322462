/**
 * Questions to the DNS in the shape that mailauth asks them, within bounds: so many for one check, so much time for all
 * of them, so many octets in a record.
 *
 * A record that is too large is no record anybody can use, and a check that asks too much is the sender's fault; both
 * are permanent. Silence and servers that fail are temporary. What went wrong is told by a code, in Node's words.
 */

import type { DNSResolver } from 'mailauth'
import type { DnsResolver } from '../dns/stub-resolver.ts'

export interface LookupBounds {
  readonly resolver: DnsResolver
  /** aborted when nobody waits for answers any more */
  readonly signal: AbortSignal
  /** milliseconds for all questions, from the first: a body may take its time before */
  readonly timeout: number
  /** how many questions may be put */
  readonly most: number
}

/** octets of a TXT record: a key of 16,384 bits, the largest that OpenSSL verifies with, has about 2800 */
const MAX_TEXT = 8192
/** records of one answer that are looked at */
const MAX_RECORDS = 100

/** `spfResult` is what SPF is to make of it (RFC 7208 §2.6). */
class LookupFailure extends Error {
  readonly code: string
  readonly spfResult?: { readonly error: 'permerror'; readonly text: string }

  constructor(code: string, message: string, permanent = false) {
    super(message)
    this.name = 'LookupFailure'
    this.code = code
    if (permanent) this.spfResult = { error: 'permerror', text: message }
  }
}

/** What mailauth calls: `(name, 'TXT')` and so on, with the answers of `dns.resolve`, of which its type knows a part. */
export function boundedLookup({ resolver, signal: gone, timeout, most }: LookupBounds): DNSResolver {
  let left = most
  let ended: AbortSignal | undefined
  const lookup = async (name: string, type: string): Promise<unknown[]> => {
    left--
    ended ??= AbortSignal.any([gone, AbortSignal.timeout(timeout)])
    const signal = ended
    if (left < 0) throw new LookupFailure('EINVALIDVAL', 'too many DNS queries', true)
    if (signal.aborted) throw new LookupFailure('ETIMEOUT', 'no time is left for DNS')
    if (!isAsked(type)) throw new LookupFailure('ENODATA', 'no records')
    try {
      return (await find(resolver, name, { type, signal })).slice(0, MAX_RECORDS)
    } catch (error) {
      if (error instanceof LookupFailure) throw error
      throw new LookupFailure(signal.aborted ? 'ETIMEOUT' : 'ESERVFAIL', 'DNS did not answer')
    }
  }
  return lookup as DNSResolver
}

const ASKED = ['A', 'AAAA', 'MX', 'PTR', 'TXT'] as const
type Asked = (typeof ASKED)[number]

function isAsked(type: string): type is Asked {
  return ASKED.some((each) => each === type)
}

async function find(
  resolver: DnsResolver,
  name: string,
  { type, signal }: { readonly type: Asked; readonly signal: AbortSignal },
): Promise<unknown[]> {
  if (type === 'MX') {
    const { kind, records } = await resolver.lookup(name, type, { signal })
    if (kind !== 'found') throw absent(kind)
    return records.map(({ exchange, preference }) => ({ exchange, priority: preference }))
  }
  const { kind, records } = await resolver.lookup(name, type, { signal })
  if (kind !== 'found') throw absent(kind)
  if (type !== 'TXT') return [...records]
  if (records.some((text) => text.length > MAX_TEXT)) {
    throw new LookupFailure('EINVALIDVAL', 'a TXT record is too large', true)
  }
  return records.map((text) => [text])
}

function absent(kind: 'no-data' | 'no-name'): LookupFailure {
  return kind === 'no-name'
    ? new LookupFailure('ENOTFOUND', 'no such name')
    : new LookupFailure('ENODATA', 'no such record')
}
