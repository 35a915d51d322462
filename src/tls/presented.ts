/**
 * What a client showed of itself in a handshake.
 *
 * A whole chain is read from `getPeerCertificate`: Node's `getPeerX509Certificate` never lets go of the certificates that came after
 * the leaf (24.21: 9 KB for each, outside of the heap), so that clients with long chains would fill the memory.
 */

import type { X509Certificate } from 'node:crypto'
import type { DetailedPeerCertificate, TLSSocket } from 'node:tls'
import type { CertificateMemory } from './certificate-memory.ts'
import { openSslVerdict } from './openssl-verdict.ts'
import type { TlsFacts, VerifyFailure } from './peer.ts'
import { sessionLeaf } from './session-leaf.ts'
import { certificateOf } from './x509.ts'

/** What the client presented and what OpenSSL said of it. */
export interface Presented {
  readonly leaf: X509Certificate | undefined
  /**
   * what leads on from the leaf, one issuer after the other: from what the client sent, and where that ends from our CAs;
   * nothing of it is known on a resumed session, nor where the leaf alone was looked at
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

export interface ReadingOptions {
  readonly mode: TlsFacts['mode']
  /** somebody may ask for more than the leaf even where OpenSSL found nothing wrong */
  readonly wholeChain: boolean
  readonly memory: CertificateMemory
}

/** The same of a client, whose leaf is mostly all that matters, and mostly known. */
export function readClient(socket: TLSSocket, { mode, wholeChain, memory }: ReadingOptions): Presented {
  const resumed = socket.isSessionReused()
  const failure = openSslVerdict(socket)
  if (mode === 'none') return { leaf: undefined, sent: [], resumed, failure }
  const der = wholeChain || failure !== undefined ? undefined : sessionLeaf(socket)
  if (der !== undefined) return { leaf: memory.certificateOf(der), sent: [], resumed, failure }
  const [leaf, ...others] = shownBy(socket, (raw) => memory.certificateOf(raw))
  return { leaf, sent: resumed ? [] : others, resumed, failure }
}

/** The same in mid-handshake; undefined until a certificate has come. Node must not be asked for a verdict before. */
export function presentedSoFar(socket: TLSSocket): Presented | undefined {
  const [leaf, ...sent] = shownBy(socket)
  return leaf && { leaf, sent, resumed: false, failure: openSslVerdict(socket) }
}

/** The chain as Node puts it together; empty without a certificate. */
function shownBy(socket: TLSSocket, read = certificateOf): X509Certificate[] {
  const chain: X509Certificate[] = []
  // null when the connection is closed, empty when there is no certificate; both against Node's types
  let next = socket.getPeerCertificate(true) as Partial<DetailedPeerCertificate> | null | undefined
  const seen = new Set<unknown>()
  while (next?.raw !== undefined && !seen.has(next)) {
    seen.add(next)
    chain.push(read(next.raw))
    // a root is its own issuer
    next = next.issuerCertificate
  }
  return chain
}
