/** What the listener hands over: a socket that was admitted, and who seems to be on it. */

import type { Socket } from 'node:net'
import type { InboundScope, ListenSettings } from '../config/settings.ts'
import type { ConnectionFact } from '../events/events.ts'

export interface Connection {
  /** Momentum's id form; appears in every log line of this connection */
  readonly id: string
  readonly socket: Socket
  readonly listen: ListenSettings
  /** normalised: an IPv4 address mapped into IPv6 is that IPv4 address, no zone id; '' for a UNIX client */
  readonly remote: ConnectionFact['remote']
  readonly local: ConnectionFact['local']
  /** resolved for `remote` at accept */
  readonly scope: InboundScope
  /** gives the admission slot back; called once, when the socket is closed */
  release(): void
}
