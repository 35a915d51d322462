/**
 * The TLS gate of an explanation: a handshake is made in memory, with a client of Node's that shows no certificate, and
 * the certificate in question is judged by the code that judges it in a live handshake (`TlsContexts.examine`).
 *
 * A handshake that fails in memory fails here as it would there, and the alert that its client sees is noted.
 */

import type { Socket } from 'node:net'
import { type Duplex, duplexPair } from 'node:stream'
import { connect, type SecureVersion, type TLSSocket } from 'node:tls'
import type { InboundScope } from '../../config/settings.ts'
import { openSslCode } from '../../smtp/session-decision.ts'
import type { TlsContexts } from '../../tls/contexts.ts'
import { type HandshakeAdjustments, type TlsGate, TlsHandshakeError } from '../../tls/gate.ts'
import type { JudgedSession } from '../../tls/session-judge.ts'

export interface GateClient {
  /** DER, the client's own certificate first; empty: it has none */
  readonly chain: readonly Buffer[]
  /** the name that it asks for */
  readonly sni: string | undefined
}

export type Handshake =
  | { readonly kind: 'made'; readonly scope: InboundScope; readonly session: JudgedSession }
  | {
      readonly kind: 'failed'
      readonly scope: InboundScope
      readonly adjustments: HandshakeAdjustments
      readonly reason: string
      /** OpenSSL's, without its prefix; '' where it has none */
      readonly code: string
      /** what the client sees, by TLS version */
      readonly alerts: ReadonlyMap<string, string>
    }

export class ExplainingGate implements TlsGate {
  readonly #contexts: TlsContexts
  readonly #client: GateClient
  readonly #onHandshake: () => void
  /** what came of the last handshake */
  last: Handshake | undefined

  /** @param onHandshake called when one is about to begin */
  constructor(contexts: TlsContexts, client: GateClient, onHandshake: () => void) {
    this.#contexts = contexts
    this.#client = client
    this.#onHandshake = onHandshake
  }

  offers(scope: InboundScope): boolean {
    return this.#contexts.offers(scope)
  }

  prepare(scope: InboundScope, adjustments: HandshakeAdjustments): Promise<void> {
    return this.#contexts.prepare(scope, adjustments)
  }

  /** The session goes on over the socket that it had: what it says need not be encrypted to be explained. */
  async accept(
    socket: Socket,
    scope: InboundScope,
    _clientAddress: string,
    adjustments: HandshakeAdjustments = {},
  ): ReturnType<TlsGate['accept']> {
    this.#onHandshake()
    try {
      const { session } = await this.#shake(scope, adjustments)
      this.last = { kind: 'made', scope, session }
      return { socket, facts: session.facts, chain: session.chain, leaf: session.leaf }
    } catch (error) {
      if (error instanceof TlsHandshakeError) {
        const alerts = await this.#alerts(scope, adjustments)
        this.last = {
          kind: 'failed',
          scope,
          adjustments,
          reason: error.reason,
          code: openSslCode(error),
          alerts,
        }
      }
      socket.destroy()
      throw error
    }
  }

  async #shake(
    scope: InboundScope,
    adjustments: HandshakeAdjustments,
    version?: SecureVersion,
  ): Promise<{ readonly session: JudgedSession }> {
    const [near, far] = memoryPair()
    const { client, alert } = this.#connect(far, version)
    try {
      // the duplex does all that a handshake asks of a socket
      const { socket, ...session } = await this.#contexts.examine(
        near as Socket,
        scope,
        this.#client.chain,
        adjustments,
      )
      socket.destroy()
      return { session }
    } catch (error) {
      if (!(error instanceof TlsHandshakeError)) throw error
      // nothing more comes from there
      near.destroy()
      const timer = setTimeout(() => client.destroy(), ALERT_MS)
      const seen = await alert
      clearTimeout(timer)
      throw new FailedHandshake(error, seen)
    } finally {
      client.destroy()
      near.destroy()
    }
  }

  #connect(
    duplex: Duplex,
    version: SecureVersion | undefined,
  ): { readonly client: TLSSocket; readonly alert: Promise<string | undefined> } {
    const { sni } = this.#client
    const client = connect({
      socket: duplex,
      rejectUnauthorized: false,
      ...(sni === undefined ? {} : { servername: sni }),
      ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
    })
    const { promise, resolve } = Promise.withResolvers<string | undefined>()
    client.on('error', (error: Error) => {
      resolve(alertIn(error))
      // the server waits for a client that has its alert to hang up
      duplex.end()
    })
    client.once('close', () => resolve(undefined))
    client.resume()
    return { client, alert: promise }
  }

  /** One handshake for each version: what is said when it fails depends on that. */
  async #alerts(
    scope: InboundScope,
    adjustments: HandshakeAdjustments,
  ): Promise<ReadonlyMap<string, string>> {
    const alerts = new Map<string, string>()
    for (const version of ['TLSv1.3', 'TLSv1.2'] as const) {
      try {
        await this.#shake(scope, adjustments, version)
      } catch (error) {
        if (!(error instanceof FailedHandshake)) throw error
        // a version that the scope does not speak is no news
        if (error.alert !== undefined && error.alert !== 'protocol_version') alerts.set(version, error.alert)
      }
    }
    return alerts
  }
}

/** A kernel takes what TLS writes at once; in memory an alert is still on its way when the end is asked for. */
function memoryPair(): [Duplex, Duplex] {
  const [near, far] = duplexPair()
  const end = near.end.bind(near)
  near.end = () => {
    setTimeout(end, ALERT_WAY_MS)
    return near
  }
  return [near, far]
}

const ALERT_WAY_MS = 5
/** how long one may take that was sent */
const ALERT_MS = 200

class FailedHandshake extends TlsHandshakeError {
  readonly alert: string | undefined

  constructor({ reason, cause }: TlsHandshakeError, alert: string | undefined) {
    super(reason, { cause })
    this.alert = alert
  }
}

/** The alert that a client got, in the words of RFC 8446 §6. */
function alertIn(error: Error): string | undefined {
  const code = 'code' in error ? String(error.code) : ''
  return /^ERR_SSL_[A-Z0-9/]+_ALERT_(\w+)$/.exec(code)?.[1]?.toLowerCase()
}
