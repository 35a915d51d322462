/** TLS as the rest of the server sees it: who offers it, and one call that turns a socket into a known peer. */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { InboundScope } from '../config/settings.ts'
import type { TlsFacts } from './peer.ts'

export interface SecureConnection {
  readonly socket: TLSSocket
  readonly facts: TlsFacts
}

/** The handshake did not come about. `reason` is for the log: OpenSSL's words, or `handshake timeout`. */
export class TlsHandshakeError extends Error {
  readonly reason: string

  constructor(reason: string, options?: ErrorOptions) {
    super(`TLS handshake failed: ${reason}`, options)
    this.name = 'TlsHandshakeError'
    this.reason = reason
  }
}

export interface TlsGate {
  /** whether TLS can be offered in this scope: it has a certificate that loads */
  offers(scope: InboundScope): boolean
  /**
   * Runs the server's side of a handshake on a socket from which nothing of the handshake has been read yet.
   * Has its own deadline (`TLS_Handshake_Timeout`). On failure the socket is destroyed after the alert went out.
   * @param clientAddress normalised; counted against `TLS_Max_Handshakes_Per_Address`
   * @throws TlsHandshakeError
   */
  accept(socket: Socket, scope: InboundScope, clientAddress: string): Promise<SecureConnection>
}
