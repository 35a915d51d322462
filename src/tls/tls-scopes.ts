/** Every scope in which a handshake may take place: those of mail, and the Listens of HTTP and of the console with Use_SSL. */

import type { InboundScope, ListenSettings, Settings } from '../config/settings.ts'

export function* tlsScopes(
  settings: Pick<Settings, 'inboundScopes' | 'httpListens' | 'controlListens'>,
): Iterable<{ readonly listen: ListenSettings; readonly scope: InboundScope }> {
  yield* settings.inboundScopes()
  for (const listen of settings.httpListens)
    if (listen.scope.options.use_ssl) yield { listen, scope: listen.scope }
  for (const listen of settings.controlListens)
    if (listen.scope.options.use_ssl && listen.address.kind !== 'unix') yield { listen, scope: listen.scope }
}
