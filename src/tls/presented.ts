/** What a client showed of itself in a handshake. */

import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { openSslVerdict } from './openssl-verdict.ts'
import type { TlsFacts, VerifyFailure } from './peer.ts'

/** What the client presented and what OpenSSL said of it. */
export interface Presented {
  readonly leaf: X509Certificate | undefined
  /** what the client sent after its own certificate, in its order; nothing of it is known on a resumed session */
  readonly sent: readonly X509Certificate[]
  readonly resumed: boolean
  /** undefined: no error */
  readonly failure: VerifyFailure | undefined
}

/** To be called once, on a session that is established: Node gives its chain away only once. */
export function readPresented(socket: TLSSocket, mode: TlsFacts['mode']): Presented {
  const leaf = mode === 'none' ? undefined : socket.getPeerX509Certificate()
  return { ...chainOf(leaf), resumed: socket.isSessionReused(), failure: openSslVerdict(socket) }
}

/** The same in mid-handshake; undefined until a certificate has come. Node must not be asked for a verdict before. */
export function presentedSoFar(socket: TLSSocket): Presented | undefined {
  const leaf = socket.getPeerX509Certificate()
  return leaf && { ...chainOf(leaf), resumed: false, failure: openSslVerdict(socket) }
}

function chainOf(leaf: X509Certificate | undefined): Pick<Presented, 'leaf' | 'sent'> {
  const sent: X509Certificate[] = []
  for (let next = leaf?.issuerCertificate; next !== undefined; next = next.issuerCertificate) sent.push(next)
  return { leaf, sent }
}
