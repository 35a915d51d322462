/** The ways out, as a configuration asks for them. */

import path from 'node:path'
import { cidrContains } from './config/address.ts'
import { SmtpTransport } from './delivery/attempt.ts'
import { MaildirTransport } from './delivery/maildir-transport.ts'
import { MxHosts } from './delivery/mx.ts'
import { OwnHosts } from './delivery/own-hosts.ts'
import { PipeTransport } from './delivery/pipe/pipe-transport.ts'
import { HostWord } from './delivery/session/host-word.ts'
import { TlsPlanner } from './delivery/session/planner.ts'
import { StsPolicies } from './delivery/session/sts-policies.ts'
import { StsStore } from './delivery/session/sts-store.ts'
import type { Transports } from './delivery/transport.ts'
import { WebhookTransport } from './delivery/webhook/webhook-transport.ts'
import { DnsHosts } from './dns/dns-hosts.ts'
import { fixedServers, parseServer } from './dns/name-servers.ts'
import { SystemResolver } from './dns/resolver.ts'
import { type DnsResolver, StubResolver } from './dns/stub-resolver.ts'
import type { EventSink } from './events/events.ts'
import type { Transcripts } from './events/transcripts.ts'
import type { Generation } from './generation.ts'
import { hostnameOf } from './hostname.ts'

/** What the ways out need beside the settings. */
export interface Surroundings {
  readonly events: EventSink
  /** told what is said to next hops, where an operator asks for it */
  readonly transcripts: Transcripts
  /** told what deliveries look up with from now on */
  readonly lookups: LookupsInForce
}

/** What deliveries look up with: for the console. */
export interface LookupsInForce {
  dns?: StubResolver
  policies?: StsPolicies
}

/** What belongs to the configuration. */
type Ways = Pick<Generation, 'settings' | 'sessionMaterial' | 'webhookMaterial' | 'policy'>

export function transportsOf(ways: Ways, surroundings: Surroundings): Transports {
  const { settings, webhookMaterial: webhooks } = ways
  const hostname = hostnameOf(settings)
  const servers = settings.global.dns_servers.map(parseServer).filter((server) => server !== undefined)
  // a server that the configuration names is believed what it says of signatures
  const own = { servers: fixedServers(servers), trusts: () => true }
  const dns = new StubResolver(servers.length === 0 ? {} : own)
  surroundings.lookups.dns = dns
  const listens = settings.listens.map(({ address }) => address)
  return {
    maildir: new MaildirTransport({ hostname }),
    webhook: new WebhookTransport({ material: webhooks }),
    pipe: new PipeTransport({
      folder: path.join(settings.global.spoolbase.path, 'pipe'),
      reserve: settings.global.spool_min_free,
    }),
    smtp: new SmtpTransport({
      // the system knows more than the DNS does, /etc/hosts for one
      resolver: servers.length === 0 ? new SystemResolver() : new DnsHosts(dns),
      mx: new MxHosts({ dns, own: new OwnHosts({ names: [hostname], listens }) }),
      hostname,
      tls: plannerOf(ways, dns, surroundings),
      transcripts: surroundings.transcripts,
    }),
  }
}

function plannerOf(
  { settings, sessionMaterial: material, policy }: Ways,
  dns: DnsResolver,
  { events, lookups }: Surroundings,
): TlsPlanner {
  const { spoolbase, mta_sts_policy_store: store, tlsa_expire_interval: tlsaMaxAge } = settings.global
  const prohibited = [...settings.outboundScopes()].flatMap(({ options }) => options.prohibited_hosts)
  const policies = new StsPolicies({
    dns,
    store: new StsStore({
      folder: store?.path ?? path.join(spoolbase.path, 'mtasts'),
      clock: Date.now,
      onProblem: (text) =>
        events.emit({ kind: 'panic', at: Date.now(), level: 'warning', module: 'delivery', text }),
    }),
    fetcher: {
      dns,
      roots: async () => await material.webRoots(),
      allows: (address) => !prohibited.some((network) => cidrContains(network, address)),
    },
    maxAliases: (domain) => settings.resolveOutbound(domain).options.mta_sts_dns_cname_max_depth,
    clock: Date.now,
    onFailure: (domain, { type: failure, message: reason }) =>
      events.emit({
        kind: 'tls-session',
        at: Date.now(),
        policy: { type: 'sts', domain, strings: [], mxHosts: [] },
        failure,
        reason,
        sendingIp: '',
        receivingHost: '',
        receivingIp: '',
      }),
  })
  lookups.policies = policies
  return new TlsPlanner({
    word: new HostWord(policy),
    dns,
    material,
    policies,
    events,
    clock: Date.now,
    tlsaMaxAge,
  })
}
