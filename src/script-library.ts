/** What the library of the policy scripts gets from the rest of the server. */

import { askConfiguration } from './config/ask.ts'
import type { Settings } from './config/settings.ts'
import { fixedServers, parseServer } from './dns/name-servers.ts'
import { DnsRecords } from './dns/records.ts'
import { StubResolver } from './dns/stub-resolver.ts'
import type { EventBus } from './events/events.ts'
import type { LibraryServices } from './policy/lua/lib/services.ts'
import { SharedStores } from './policy/lua/lib/stores.ts'

/** questions of scripts that are put at once */
const concurrency = 1000

/** What scripts count, for all generations of the configuration; it hears what the audit monitors count. */
export function scriptStores(events: EventBus): SharedStores {
  const stores = new SharedStores()
  events.subscribe((event) => {
    if (event.kind === 'connected') stores.monitors.record('connections', event.remote.address, event.at)
    else if (event.kind === 'rejection') stores.monitors.record('rejections', event.remote.address, event.at)
    else if (event.kind === 'reception')
      stores.monitors.record('receptions', event.envelope.client.address, event.at)
  })
  return stores
}

/** Asks the servers that the configuration names, or those of the system. */
export function stubResolver({ global }: Settings): StubResolver {
  const servers = global.dns_servers.map(parseServer).filter((server) => server !== undefined)
  return new StubResolver({
    concurrency,
    ...(servers.length === 0 ? {} : { servers: fixedServers(servers) }),
  })
}

/** @param dns the resolver of reception */
export function scriptLibrary(
  settings: Settings,
  stores: SharedStores,
  dns: StubResolver,
): Partial<LibraryServices> {
  return {
    stores,
    records: new DnsRecords(dns),
    config: (words) => askConfiguration(settings, words),
  }
}
