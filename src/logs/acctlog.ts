/**
 * acctlog: one line per authentication that log_authentication asks for (Momentum, 4-log-formats):
 * `time@N@listener@peer ip:port@user@0|1`, with `T` for `N` when the client fell silent. Escaped like mainlog.
 */

import type { AuthenticationFact } from '../events/events.ts'
import { escapeText } from './escape.ts'
import { epochSeconds } from './mainlog.ts'
import { formatEndpoint } from './rejectlog.ts'

/** The line of an event, without its line ending. */
export function formatAcctlog({ at, status, listener, remote, user }: AuthenticationFact): string {
  const kind = status === 'timeout' ? 'T' : 'N'
  const fields = [
    epochSeconds(at),
    kind,
    listener,
    formatEndpoint(remote),
    user,
    status === 'pass' ? '1' : '0',
  ]
  return fields.map((field) => escapeText(field, '@')).join('@')
}
