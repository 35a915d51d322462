/** For the decision record: the session has become another client's, or its scope another one. */

import { describeOrigin } from '../config/diagnostic.ts'
import type { DecisionChange } from '../events/decision.ts'
import type { Endpoint } from '../mail/envelope.ts'
import type { Session } from './session-state.ts'

/** @param was the client before */
export function noteChange(session: Session, by: DecisionChange['by'], was: Endpoint): void {
  const { scope, peer, connection, lacksCertificate, decision } = session
  decision.changed({
    by,
    remote: connection.remote,
    was,
    scope: scope.id,
    mode: scope.options.tls_verify_mode ?? 'unset',
    modeFrom: describeOrigin(scope.origin('tls_verify_mode')),
    peer: peer.kind,
    lacksCertificate,
  })
}
