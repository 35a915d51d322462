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

/** To be called once: Node gives the chain of a session away only once. */
export function readPresented(socket: TLSSocket, mode: TlsFacts['mode']): Presented {
  const leaf = mode === 'none' ? undefined : socket.getPeerX509Certificate()
  const sent: X509Certificate[] = []
  for (let next = leaf?.issuerCertificate; next !== undefined; next = next.issuerCertificate) sent.push(next)
  return { leaf, sent, resumed: socket.isSessionReused(), failure: openSslVerdict(socket) }
}
