/**
 * What Authentication-Results says of the client's certificate (RFC 8601 §2.2): one result, of a method that is not
 * registered and so begins with `x-`.
 *
 * No octet of the certificate is repeated: only its digest, the cause in our own words, and the partner's name from the
 * configuration. `pass`: it verifies; `fail`: one was shown that does not; `none`: none was shown, or it is not known to
 * be this client's.
 */

import type { KnownPartner } from './partners/partners.ts'
import type { Peer } from './peer.ts'

/** @returns undefined where there is no TLS */
export function certificateResult(peer: Peer, partner: KnownPartner | undefined): string | undefined {
  if (peer.kind === 'plaintext') return undefined
  if (peer.kind === 'anonymous') return `${METHOD}=none`
  const digest = `smtp.cert-sha256=${peer.certificate.fingerprint}`
  if (peer.kind === 'unverified') return `${METHOD}=fail reason=${peer.cause} ${digest}`
  return `${METHOD}=pass ${digest}${partner === undefined ? '' : ` policy.partner=${partner.name}`}`
}

const METHOD = 'x-tls-client-cert'
