/** Sessions under way, as plain data: for whoever asks at this moment. */

import type { Endpoint } from '../mail/envelope.ts'

/** One inbound session as it stands. Strings of the client are byte strings. */
export interface LiveSession {
  readonly connectionId: string
  readonly remote: Endpoint
  /** the Listen's instance; Unicode text */
  readonly listen: string
  /** milliseconds since the epoch */
  readonly since: number
  /** Momentum's reception state */
  readonly state: string
  /** what the client called itself, '' before EHLO */
  readonly hello: string
  readonly tls: 'none' | 'anonymous' | 'unverified' | 'verified'
  /** RFC 4514, escaped; '' without a certificate. Only where `tls` is `verified` is it more than a claim */
  readonly subject: string
  /** the authenticated user, or '' */
  readonly user: string
  /** messages taken */
  readonly receptions: number
}

/** Who wants to know of the sessions under way. Must not throw. */
export interface LiveSessions {
  /** @returns what is called when the session has ended */
  add(look: () => LiveSession): () => void
}
