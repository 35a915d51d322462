/** A session as an operator sees it. */

import type { LiveSession } from '../events/live.ts'
import { receptionState } from './reception-states.ts'
import type { Session } from './session-state.ts'

/** @param since when the session began, milliseconds since the epoch */
export function viewOf(session: Session, since: number): LiveSession {
  const { connection, peer, hello, authenticated, kept } = session
  return {
    connectionId: connection.id,
    remote: connection.remote,
    listen: connection.listen.instance,
    since,
    state: receptionState(session),
    hello: hello?.domain ?? '',
    tls: peer.kind === 'plaintext' ? 'none' : peer.kind,
    subject: peer.kind === 'verified' || peer.kind === 'unverified' ? peer.certificate.subject : '',
    user: authenticated?.user ?? '',
    receptions: kept,
  }
}
