/** The fact of a handshake, for tests of what is made of it. */

import type { TlsFact } from '../../src/events/events.ts'

/** A client that was verified in TLS 1.3, with what is given instead. */
export function tlsFact(given: Partial<TlsFact> = {}): TlsFact {
  return {
    kind: 'tls',
    at: 0,
    connectionId: 'x',
    remote: { address: '192.0.2.1', port: 1 },
    listen: ':25',
    milliseconds: 1,
    mode: 'unset',
    modeFrom: 'default',
    outcome: 'verified',
    cause: '',
    protocol: 'TLSv1.3',
    resumed: false,
    issuer: 'CN=CA',
    ...given,
  }
}
