/** What the listener hands over: a socket that was admitted, and who seems to be on it. */

import type { Socket } from 'node:net'
import type { InboundScope, ListenSettings } from '../config/settings.ts'
import type { ConnectionFact } from '../events/events.ts'

export interface Connection {
  /** Momentum's id form; appears in every log line of this connection */
  readonly id: string
  readonly socket: Socket
  readonly listen: ListenSettings
  /** of the client, as a PROXY header told it; normalised: an IPv4 address mapped into IPv6 is that IPv4 address, no zone id; '' for a UNIX client */
  readonly remote: ConnectionFact['remote']
  readonly local: ConnectionFact['local']
  /** resolved for `remote`: when the connection was accepted, or when its PROXY header was read */
  readonly scope: InboundScope
  /** what a trusted proxy says of its client's TLS, for the context; not known to be true */
  readonly asserted?: ReadonlyMap<string, string> | undefined
  /**
   * Counts this session by another address from now on (normalised, or '' for a UNIX client). False when there is no
   * room for one more of that address; the session must then end.
   */
  recount?(address: string): boolean
  /** gives the admission slot back; called once, when the socket is closed */
  release(): void
}
