/** Who asks over HTTP. Only a certificate that verifies makes somebody out of anybody. */

import type { VerifiedPeer } from '../tls/peer.ts'

export type Visitor =
  | { readonly kind: 'anybody' }
  | { readonly kind: 'certified'; readonly peer: VerifiedPeer }

/** Whether this visitor is answered. @param byCertificate TLS_Verified_Peer_Is_Authorized */
export function isAuthorized(visitor: Visitor, byCertificate: boolean): boolean {
  return !byCertificate || visitor.kind === 'certified'
}
