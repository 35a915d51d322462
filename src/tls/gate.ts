/** TLS as the rest of the server sees it: who offers it, and one call that turns a socket into a known peer. */

import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import type { InboundScope } from '../config/settings.ts'
import type { CertificateFacts, TlsFacts } from './peer.ts'
import type { TrustSources } from './trust-sources.ts'

export interface SecureConnection {
  readonly socket: Socket
  readonly facts: TlsFacts
  /** The certificate that came and those above it, at most ten; empty without one, or where none was asked for. */
  chain(): readonly CertificateFacts[]
  /** the client's own certificate: what `facts` say of it was read from this one */
  readonly leaf?: X509Certificate | undefined
  /** what the verdict rests on */
  readonly sources?: TrustSources
}

/**
 * What policy sets for one handshake (Momentum: structs-ec-ssl-ctx-params); it stands above all scopes. Undefined: the
 * scope's own. Paths are relative to the configuration file.
 */
export interface HandshakeParameters {
  /** false: TLS is not to be had */
  use: boolean
  mode: TlsFacts['mode'] | undefined
  certificate: string | undefined
  key: string | undefined
  ca: string | undefined
  /** suites up to TLS 1.2, in OpenSSL's words */
  ciphers: string | undefined
}

/** How a handshake differs from what its scope says. */
export interface HandshakeAdjustments {
  /** the verdict needs more than a ticket carries: none is given, and none from before is taken */
  readonly withoutTickets?: boolean
  readonly parameters?: Readonly<HandshakeParameters>
}

/** The handshake did not come about. `reason` is for the log: OpenSSL's words, or `handshake timeout`. */
export class TlsHandshakeError extends Error {
  readonly reason: string
  /** what it would have been judged by; absent when it did not get that far */
  sources: TrustSources | undefined

  constructor(reason: string, options?: ErrorOptions & { readonly sources?: TrustSources }) {
    super(`TLS handshake failed: ${reason}`, options)
    this.name = 'TlsHandshakeError'
    this.reason = reason
    this.sources = options?.sources
  }
}

export interface TlsGate {
  /** whether TLS can be offered in this scope: it has a certificate that loads */
  offers(scope: InboundScope): boolean
  /**
   * Gets ready what policy set for a handshake, so that the client can still hear when it cannot be used.
   * @throws TlsHandshakeError
   */
  prepare?(scope: InboundScope, adjustments: HandshakeAdjustments): Promise<void>
  /**
   * Runs the server's side of a handshake on a socket from which nothing of the handshake has been read yet.
   * Has its own deadline (`TLS_Handshake_Timeout`). On failure the socket is destroyed after the alert went out.
   * @param clientAddress normalised; counted against `TLS_Max_Handshakes_Per_Address`
   * @throws TlsHandshakeError
   */
  accept(
    socket: Socket,
    scope: InboundScope,
    clientAddress: string,
    adjustments?: HandshakeAdjustments,
  ): Promise<SecureConnection>
}
