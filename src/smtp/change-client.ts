/**
 * A trusted proxy says who its client is: what XCLIENT and XREMOTEIP have in common, and who may use them.
 *
 * The session goes on as that of the client that was named: the scope is resolved for its address, policy is asked about
 * the connection again, and nothing that was granted to anybody before holds any more.
 */

import type { DecisionChange } from '../events/decision.ts'
import type { Endpoint } from '../mail/envelope.ts'
import type { Reply } from '../mail/status.ts'
import { mayUse, type TrustedExtension } from './capabilities.ts'
import { askAboutClient } from './greeting.ts'
import { noteChange } from './note-change.ts'
import { Refusal, refuse } from './reject.ts'
import type { NewClient, Session } from './session-state.ts'

/** Nobody learns of an extension that is not for him. */
export function checkTrust(session: Session, extension: TrustedExtension): void {
  if (!mayUse(session, extension)) throw refuse(500, '5.5.2 unrecognized command')
}

/**
 * Goes on as another client.
 * @param by the extension that names it
 * @returns what policy wants to be said in the place of the banner
 * @throws Refusal 421 when there is no room for that client, or whatever policy refuses it with: the session ends
 */
export async function changeClient(
  session: Session,
  by: TrustedExtension & DecisionChange['by'],
  client: Omit<NewClient, 'scope'>,
): Promise<Reply | undefined> {
  const { connection, services } = session
  const scope = services.resolveScope(connection.listen, client.remote.address)
  if (scope === undefined) throw refuse(421, '4.3.0 transaction failed', { fault: 'us', close: true })
  session.becomeClient({ ...client, scope })
  noteChange(session, by, connection.remote)
  if (connection.recount?.(client.remote.address) === false) {
    throw refuse(421, '4.4.5 Service unavailable, concurrency limit reached.', { close: true })
  }
  const asked = await askAboutClient(session)
  session.markConnected()
  if (asked instanceof Refusal) throw asked
  return asked
}

/** The other end as far as a proxy can tell: an address that belongs to nobody where it cannot. */
export const UNKNOWN_CLIENT: Endpoint = { address: '0.0.0.0', port: 0 }
