/** The ways out, as a configuration asks for them. */

import type { Settings } from './config/settings.ts'
import { SmtpTransport } from './delivery/attempt.ts'
import { MaildirTransport } from './delivery/maildir-transport.ts'
import { MxHosts } from './delivery/mx.ts'
import { OwnHosts } from './delivery/own-hosts.ts'
import type { Transports } from './delivery/transport.ts'
import { DnsHosts } from './dns/dns-hosts.ts'
import { fixedServers, parseServer } from './dns/name-servers.ts'
import { SystemResolver } from './dns/resolver.ts'
import { StubResolver } from './dns/stub-resolver.ts'
import { hostnameOf } from './hostname.ts'

export function transportsOf(settings: Settings): Transports {
  const hostname = hostnameOf(settings)
  const servers = settings.global.dns_servers.map(parseServer).filter((server) => server !== undefined)
  const dns = new StubResolver(servers.length === 0 ? {} : { servers: fixedServers(servers) })
  const listens = settings.listens.map(({ address }) => address)
  return {
    maildir: new MaildirTransport({ hostname }),
    smtp: new SmtpTransport({
      // the system knows more than the DNS does, /etc/hosts for one
      resolver: servers.length === 0 ? new SystemResolver() : new DnsHosts(dns),
      mx: new MxHosts({ dns, own: new OwnHosts({ names: [hostname], listens }) }),
      hostname,
    }),
  }
}
