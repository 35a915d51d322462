/**
 * What a client showed of itself in a handshake.
 *
 * It is read from `getPeerCertificate`: Node's `getPeerX509Certificate` never lets go of the certificates that came after
 * the leaf (24.21: 9 KB for each, outside of the heap), so that clients with long chains would fill the memory.
 */

import type { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import { openSslVerdict } from './openssl-verdict.ts'
import type { TlsFacts, VerifyFailure } from './peer.ts'
import { certificateOf } from './x509.ts'

/** What the client presented and what OpenSSL said of it. */
export interface Presented {
  readonly leaf: X509Certificate | undefined
  /**
   * what leads on from the leaf, one issuer after the other: from what the client sent, and where that ends from our CAs;
   * nothing of it is known on a resumed session
   */
  readonly sent: readonly X509Certificate[]
  readonly resumed: boolean
  /** undefined: no error */
  readonly failure: VerifyFailure | undefined
}

/** Of a session that is established. */
export function readPresented(socket: TLSSocket, mode: TlsFacts['mode']): Presented {
  const resumed = socket.isSessionReused()
  const [leaf, ...others] = mode === 'none' ? [] : shownBy(socket)
  return { leaf, sent: resumed ? [] : others, resumed, failure: openSslVerdict(socket) }
}

/** The same in mid-handshake; undefined until a certificate has come. Node must not be asked for a verdict before. */
export function presentedSoFar(socket: TLSSocket): Presented | undefined {
  const [leaf, ...sent] = shownBy(socket)
  return leaf && { leaf, sent, resumed: false, failure: openSslVerdict(socket) }
}

/** The chain as Node puts it together; empty without a certificate. */
function shownBy(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  // null when the connection is closed, empty when there is no certificate; both against Node's types
  let next = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | null | undefined
  const seen = new Set<unknown>()
  while (next?.raw !== undefined && !seen.has(next)) {
    seen.add(next)
    chain.push(certificateOf(next.raw))
    // a root is its own issuer
    next = next.issuerCertificate
  }
  return chain
}
