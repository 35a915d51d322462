/** Every scope in which a handshake may take place: those of mail, and the Listens of HTTP with Use_SSL. */

import type { InboundScope, ListenSettings, Settings } from '../config/settings.ts'

export function* tlsScopes(
  settings: Pick<Settings, 'inboundScopes' | 'httpListens'>,
): Iterable<{ readonly listen: ListenSettings; readonly scope: InboundScope }> {
  yield* settings.inboundScopes()
  for (const listen of settings.httpListens)
    if (listen.scope.options.use_ssl) yield { listen, scope: listen.scope }
}
