/** Who is not heard any more. */

import type { Session } from '../session-state.ts'

/** Whether this client's address has failed as often as its scope allows. */
export function isTurnedAway({ scope, services, connection }: Session): boolean {
  const limit = scope.options.auth_failure_limit
  return limit > 0 && services.auth.failures.count(connection.remote.address) >= limit
}
