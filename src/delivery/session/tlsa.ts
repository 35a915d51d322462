/**
 * TLSA records and the certificates that they match (RFC 6698 §2, RFC 7671, RFC 7672 §3.1).
 *
 * For SMTP only DANE-TA(2) and DANE-EE(3) can be used; the PKIX usages 0 and 1, unknown selectors and matching types, and
 * digests of a wrong length are not. DANE-EE looks at the host's own certificate alone, whatever its names and dates.
 * DANE-TA needs a chain from it to the record's certificate, which the host sent or the record holds whole, that OpenSSL
 * accepts as of a TLS server, and one of the names. A record of a bare key (2 1 0) counts where the host sent that CA.
 */

import { createHash, type X509Certificate } from 'node:crypto'
import type { TlsaData } from '../../dns/message.ts'
import { readSpki } from '../../tls/certificate.ts'
import { MalformedCertificate } from '../../tls/der.ts'
import type { CertificateFacts } from '../../tls/peer.ts'
import { causeOf, type VerifyCause } from '../../tls/peer.ts'
import { ChainVerifier } from '../../tls/verify-without-key.ts'
import { certificateOf } from '../../tls/x509.ts'
import { certificateNames } from './host-names.ts'

/** One that can be used. */
export interface TlsaRecord {
  readonly usage: 'DANE-TA' | 'DANE-EE'
  readonly selector: 'certificate' | 'key'
  readonly matching: 'whole' | 'sha256' | 'sha512'
  readonly data: Buffer
}

const USAGES = new Map<number, TlsaRecord['usage']>([
  [2, 'DANE-TA'],
  [3, 'DANE-EE'],
])
const SELECTORS: readonly TlsaRecord['selector'][] = ['certificate', 'key']
const MATCHINGS: readonly TlsaRecord['matching'][] = ['whole', 'sha256', 'sha512']
const LENGTHS = { sha256: 32, sha512: 64 } as const
/** CAs of one chain against which it is verified; records of one host, and certificates that it sent, that are looked at */
const MAX_ANCHORS = 4
const MAX_RECORDS = 20
const MAX_SENT = 20

/** undefined for one that cannot be used */
export function usableTlsa(record: TlsaData): TlsaRecord | undefined {
  const usage = USAGES.get(record.usage)
  const selector = SELECTORS[record.selector]
  const matching = MATCHINGS[record.matchingType]
  if (usage === undefined || selector === undefined || matching === undefined) return undefined
  const data = Buffer.from(record.data)
  const good = matching === 'whole' ? data.length > 0 : data.length === LENGTHS[matching]
  return good ? { usage, selector, matching, data } : undefined
}

/** `3 1 1 0123…`, as in a zone file and in reports. */
export function tlsaText({ usage, selector, matching, data }: TlsaRecord): string {
  const numbers = [usage === 'DANE-TA' ? 2 : 3, SELECTORS.indexOf(selector), MATCHINGS.indexOf(matching)]
  return `${numbers.join(' ')} ${data.toString('hex')}`
}

interface Shown {
  readonly leaf: X509Certificate
  readonly sent: readonly X509Certificate[]
  readonly facts: CertificateFacts
}

/** Why it does not match: nothing fits, or the CA fits and the chain or the name does not. */
type Mismatch = 'tlsa-mismatch' | 'wrong-name' | VerifyCause

export async function matchTlsa(
  { leaf, sent, facts }: Shown,
  asked: { readonly records: readonly TlsaRecord[]; readonly names: readonly string[] },
): Promise<'match' | Mismatch> {
  const records = asked.records.slice(0, MAX_RECORDS)
  const ofHost = records.filter(({ usage }) => usage === 'DANE-EE')
  if (ofHost.some((record) => fits(record, leaf.raw))) return 'match'
  const anchors = anchorsOf(
    records.filter(({ usage }) => usage === 'DANE-TA'),
    sent.slice(0, MAX_SENT),
  )
  let mismatch: Mismatch = 'tlsa-mismatch'
  for (const anchor of anchors.slice(0, MAX_ANCHORS)) {
    const verifier = new ChainVerifier({ ca: [anchor.toString()], partialChain: true })
    const failure = await verifier.verify(
      [leaf, ...sent].map(({ raw }) => raw),
      'serverAuth',
    )
    if (failure !== undefined) mismatch = causeOf(failure).cause
    else if (!certificateNames(facts, asked.names, true)) mismatch = 'wrong-name'
    else return 'match'
  }
  return mismatch
}

function anchorsOf(records: readonly TlsaRecord[], sent: readonly X509Certificate[]): X509Certificate[] {
  const among = sent.filter(({ raw }) => records.some((record) => fits(record, raw)))
  const held = records.flatMap(({ selector, matching, data }) => {
    if (selector !== 'certificate' || matching !== 'whole' || among.some(({ raw }) => raw.equals(data)))
      return []
    try {
      return [certificateOf(data)]
    } catch {
      // whoever publishes it can only shut himself out
      return []
    }
  })
  return [...among, ...held]
}

function fits({ selector, matching, data }: TlsaRecord, der: Buffer): boolean {
  const part = selector === 'certificate' ? der : keyOf(der)
  if (part === undefined) return false
  return (matching === 'whole' ? part : createHash(matching).update(part).digest()).equals(data)
}

function keyOf(der: Buffer): Buffer | undefined {
  try {
    return readSpki(der)
  } catch (error) {
    if (error instanceof MalformedCertificate) return undefined
    throw error
  }
}
