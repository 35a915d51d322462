/**
 * One sentence about TLS and the client's certificate, for the Received field: an RFC 5322 comment, parentheses included.
 *
 * Printable ASCII, at most 400 octets, no quoting needed: what could end the comment or is not plain text becomes `?`.
 */

import type { KnownPartner } from './partners/partners.ts'
import type { TlsFacts } from './peer.ts'

const MAX_NAME = 100

/** `(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits), client certificate 'gate' from 'Our CA' verified)` */
export function tlsStatement(facts: TlsFacts, partner?: KnownPartner): string {
  // a name that the configuration has given
  const known = partner === undefined ? '' : `, partner ${partner.name}`
  const bits = `${facts.cipherUsedBits}/${facts.cipherAlgorithmBits}`
  return `(using ${safe(facts.protocol)} with cipher ${safe(facts.cipher)} (${bits} bits), ${certificateStatement(facts)}${known})`
}

function certificateStatement({ mode, peer }: TlsFacts): string {
  if (peer.kind === 'anonymous') return `no client certificate ${mode === 'none' ? 'requested' : 'presented'}`
  const { subjectCn, issuerCn } = peer.certificate
  if (peer.kind === 'unverified') {
    const { depth, subject } = peer.failing ?? { depth: 0, subject: '' }
    // depth 0 is the certificate just named; of a chain that leads nowhere the depth says nothing
    const place = depth > 0 && peer.cause !== 'untrusted' ? ` at depth ${depth} ${named(subject)}` : ''
    return `client certificate ${named(subjectCn)} NOT verified: ${peer.cause}${place}`
  }
  return `client certificate ${named(subjectCn)} from ${named(issuerCn)} verified`
}

function named(name: string): string {
  return name === '' ? 'without a name' : `'${safe(name)}'`
}

function safe(text: string): string {
  const plain = text.replace(/[^\x20-\x7e]|[()\\'"]/g, '?')
  return plain.length > MAX_NAME ? `${plain.slice(0, MAX_NAME - 3)}...` : plain
}
