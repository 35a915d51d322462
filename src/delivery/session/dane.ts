/**
 * DANE for one host (RFC 7672 §2, RFC 7671; Momentum: modules/dane): whether the DNS says, signed, how its certificate is
 * known.
 *
 * Only where the host was found through answers that are authentic all along (MX and address) is anything asked, and only
 * an authentic answer counts. TLSA records are looked for at the name of the MX host; where that is an alias, names that
 * it stands for are not looked at. An answer that could not be had, a forged one included, is not "there are none".
 */

import { DnsError, type DnsResolver } from '../../dns/stub-resolver.ts'
import type { Host } from '../mx.ts'
import { type TlsaRecord, usableTlsa } from './tlsa.ts'

export type DaneFinding =
  /** nothing that is signed is said about this host */
  | { readonly kind: 'none' }
  | { readonly kind: 'usable'; readonly records: readonly TlsaRecord[]; readonly names: readonly string[] }
  /** there are records, and none can be used: TLS is a must, and nothing is known of the certificate (RFC 7672 §2.2) */
  | { readonly kind: 'unusable' }
  | { readonly kind: 'failed'; readonly reason: string }

export interface DaneQuestion {
  readonly host: Host
  /** seconds that an answer may be old */
  readonly maxAge: number
  readonly signal: AbortSignal
}

/** @throws the signal's reason */
export async function findTlsa(
  dns: DnsResolver,
  { host, maxAge, signal }: DaneQuestion,
): Promise<DaneFinding> {
  const { mx } = host
  if (mx === undefined || !mx.secure) return NONE
  try {
    const answer = await dns.lookup(`_${host.port}._tcp.${host.name}`, 'TLSA', { signal, maxAge })
    if (!answer.authentic || answer.kind !== 'found') return NONE
    const records = answer.records.map(usableTlsa).filter((record) => record !== undefined)
    // RFC 7672 §3.2.2: the base domain, and the domain that the mail is for
    return records.length === 0
      ? { kind: 'unusable' }
      : { kind: 'usable', records, names: [host.name, mx.domain] }
  } catch (error) {
    if (error instanceof DnsError) return { kind: 'failed', reason: error.message }
    throw error
  }
}

const NONE: DaneFinding = { kind: 'none' }
