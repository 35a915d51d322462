/**
 * DANE for one host (RFC 7672 §2, RFC 7671; Momentum: modules/dane): whether the DNS says, signed, how its certificate is
 * known.
 *
 * The host of an MX record counts only if that record is authentic; one that the operator names needs nobody's word. Then
 * its own name has to be signed: TLSA records are looked for where the DNS says so of its address, and of an alias at
 * least that it is one. Where all of an alias is signed they are looked for at the name that it stands for first, and at
 * the alias otherwise (§2.2.2). An answer that could not be had, a forged one included, is not "there are none".
 */

import { isIP, isIPv6 } from 'node:net'
import type { OutboundValues } from '../../config/settings.ts'
import { DnsError, type DnsResolver } from '../../dns/stub-resolver.ts'
import type { Host } from '../mx.ts'
import { type TlsaRecord, usableTlsa } from './tlsa.ts'

export type DaneFinding =
  /** nothing that is signed is said about this host */
  | { readonly kind: 'none' }
  | {
      readonly kind: 'usable'
      readonly records: readonly TlsaRecord[]
      /** the name that the records stand at: what SNI says, and the first of `names` (RFC 7672 §8.1) */
      readonly base: string
      readonly names: readonly string[]
    }
  /** there are records, and none can be used: TLS is a must, and nothing is known of the certificate (RFC 7672 §2.2) */
  | { readonly kind: 'unusable' }
  | { readonly kind: 'failed'; readonly reason: string }

export interface DaneQuestion {
  readonly host: Host
  /** seconds that an answer may be old */
  readonly maxAge: number
  readonly signal: AbortSignal
}

/** Whether TLSA records count in a scope. */
export function usesDane({
  use_dane: use,
  enable_dane: enable,
}: Pick<OutboundValues, 'use_dane' | 'enable_dane'>): boolean {
  return use && (enable ?? true)
}

/** @throws the signal's reason */
export async function findTlsa(dns: DnsResolver, question: DaneQuestion): Promise<DaneFinding> {
  const { name, mx } = question.host
  if (mx?.secure === false || !isInDns(name)) return NONE
  try {
    for (const base of await baseNames(dns, question)) {
      const finding = await findAt(dns, base, question)
      if (finding.kind !== 'none') return finding
    }
    return NONE
  } catch (error) {
    if (error instanceof DnsError) return { kind: 'failed', reason: error.message }
    throw error
  }
}

/** Not an address, not a UNIX socket, not this machine (RFC 6761 §6.3). */
function isInDns(name: string): boolean {
  return isIP(name) === 0 && !name.startsWith('/') && !/^(?:.*\.)?localhost\.?$/i.test(name)
}

/** Names whose TLSA records count, the first that has any alone. @throws DnsError, or the signal's reason */
async function baseNames(
  dns: DnsResolver,
  { host, maxAge, signal }: DaneQuestion,
): Promise<readonly string[]> {
  const name = host.name.toLowerCase().replace(/\.$/, '')
  const type = isIPv6(host.address) ? 'AAAA' : 'A'
  const { owner, authentic } = await dns.lookup(name, type, { signal, maxAge })
  if (authentic) return owner === name ? [name] : [owner, name]
  if (owner === name) return []
  // the name that it stands for is not signed; whether it does may be
  const alias = await dns.lookup(name, 'CNAME', { signal, maxAge })
  return alias.authentic && alias.kind === 'found' ? [name] : []
}

/** @throws DnsError, or the signal's reason */
async function findAt(
  dns: DnsResolver,
  base: string,
  { host, maxAge, signal }: DaneQuestion,
): Promise<DaneFinding> {
  const answer = await dns.lookup(`_${host.port}._tcp.${base}`, 'TLSA', { signal, maxAge })
  if (!answer.authentic || answer.kind !== 'found') return NONE
  const records = answer.records.map(usableTlsa).filter((record) => record !== undefined)
  if (records.length === 0) return { kind: 'unusable' }
  // RFC 7672 §3.2.2: the base domain, and the domain that the mail is for, by all of its names
  const { mx } = host
  const ofDomain = mx === undefined ? [] : [mx.domain, ...(mx.alias === undefined ? [] : [mx.alias])]
  return { kind: 'usable', records, base, names: [base, ...ofDomain] }
}

const NONE: DaneFinding = { kind: 'none' }
