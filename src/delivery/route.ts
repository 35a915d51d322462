/**
 * Recipient → the way out: a maildir, a program, a receiver of HTTP POST, or the hosts to try in order, or none (Momentum:
 * config/ref-gateway, config/ref-routes).
 *
 * A domain of a maildir, a pipe_transport or a webhook goes there, whatever else is said about it. Then `Gateway` counts,
 * then `Routes`, then the MX records of the domain; an address literal is its own host. Unlike in Momentum, the Domain
 * stanza that names the Gateway keeps supplying every other option. Nothing is looked up here.
 */

import { isIP, isIPv6 } from 'node:net'
import type { OutboundScope, OutboundValues, Settings } from '../config/settings.ts'
import { defaultEgress, type Egress, type HostScope } from '../config/settings-queue.ts'
import type { Mailbox } from '../mail/envelope.ts'
import { DomainTargets, type EndSettings, type PipeRoute, type WebhookRoute } from './domain-targets.ts'
import { LocalDomains, type MailboxPlace } from './maildir.ts'

export interface NextHop {
  /** a host name, an address without brackets, or the path of a UNIX socket, which begins with `/` */
  readonly host: string
  /** 0 for a UNIX socket */
  readonly port: number
  /** the name is a domain whose MX records say which hosts; otherwise it is the host */
  readonly mx?: true
  /** seconds that what is known about its MX records may be old */
  readonly maxAge?: number
  /** it is a domain whose mail is taken here to be relayed: the global Relay_Domains or Bounce_Domains have it */
  readonly relayed?: true
}

export interface MaildirRoute {
  readonly kind: 'maildir'
  readonly place: MailboxPlace
  readonly problem?: undefined
}

export interface SmtpRoute {
  readonly kind: 'smtp'
  /** in the order in which they are tried; at least one */
  readonly hosts: readonly NextHop[]
  /** what is wrong with a part of the configuration that was passed over */
  readonly problem?: string
}

/** There is no way out, for now. */
export interface NoRoute {
  readonly kind: 'none'
  /** what an operator can do about it */
  readonly problem: string
}

/** A route that a transport can take. */
export type DeliverableRoute = MaildirRoute | PipeRoute | WebhookRoute | SmtpRoute
export type Route = DeliverableRoute | NoRoute

/** without `isRelayDomain` there are no such domains */
export type RouteSettings = Pick<Settings, 'resolveOutbound' | 'resolveHost'> &
  Partial<Pick<Settings, 'isRelayDomain'>>

export class Router {
  readonly #settings: RouteSettings
  readonly #local: LocalDomains
  readonly #targets: DomainTargets
  readonly #random: () => number

  /** @param random in [0, 1), for hosts of equal preference */
  constructor(settings: EndSettings & RouteSettings, random: () => number = Math.random) {
    this.#settings = settings
    this.#local = new LocalDomains(settings.maildirs)
    this.#targets = new DomainTargets(settings)
    this.#random = random
  }

  /** A program or a receiver takes one message at a time, and so many at once. */
  scope(domain: string, egress: Egress): OutboundScope {
    const scope = this.#settings.resolveOutbound(domain, egress)
    const target = this.#targets.of(domain)
    if (target === undefined) return scope
    const { max_concurrent } = target.kind === 'pipe' ? target.pipe : target.webhook
    const max_outbound_connections = Math.min(scope.options.max_outbound_connections, max_concurrent)
    return { ...scope, options: { ...scope.options, max_recipients_per_batch: 1, max_outbound_connections } }
  }

  host(names: readonly string[], egress: Egress): HostScope | undefined {
    return this.#settings.resolveHost(names, egress)
  }

  /** @param options what holds for the recipient's domain in the binding of the message; by default in that of none */
  route(
    recipient: Mailbox,
    options: Pick<OutboundValues, 'gateway' | 'routes' | PortOption> = this.scope(
      recipient.domain,
      defaultEgress,
    ).options,
  ): Route {
    const place = this.#local.place(recipient)
    if (place !== undefined) return { kind: 'maildir', place }
    const target = this.#targets.of(recipient.domain)
    if (target !== undefined) return target
    const port = options.delivery_method === 'LMTP' ? options.lmtp_port : options.remote_smtp_port
    if (options.gateway !== undefined) return this.#gateway(options.gateway, port)
    const mx = this.#mailHop(recipient.domain, port)
    if (options.routes.length > 0) return this.#routes(options.routes, port, mx)
    return mx === undefined ? { kind: 'none', problem: NO_DOMAIN } : { kind: 'smtp', hosts: [mx] }
  }

  /** Where mail for a domain goes by itself: its MX hosts; an address literal is the host (RFC 5321 §4.1.3). */
  #mailHop(domain: string, port: number): NextHop | undefined {
    if (domain.startsWith('[')) return parseHop(domain, port)
    if (domain === '') return undefined
    const hop = { host: domain, port, mx: true } as const
    return this.#settings.isRelayDomain?.(domain) === true ? { ...hop, relayed: true } : hop
  }

  #gateway(text: string, port: number): Route {
    const hop = parseHop(text, port)
    if (hop === undefined)
      return { kind: 'none', problem: `Gateway = "${text}" is not a host, address, [v6]:port or unix:/path` }
    return { kind: 'smtp', hosts: [hop] }
  }

  #routes(texts: readonly string[], port: number, mx: NextHop | undefined): Route {
    const entries = texts.map((text, index) =>
      text.toLowerCase() === '__mx__' ? mxEntry(mx, index) : parseRoute(text, port, index),
    )
    const usable = entries.filter((entry) => typeof entry !== 'string')
    const faults = entries.filter((entry) => typeof entry === 'string')
    const problem = faults.length === 0 ? {} : { problem: `Routes: ${faults.join('; ')}` }
    if (usable.length === 0) return { kind: 'none', problem: '', ...problem }
    const hosts = usable
      .map((entry) => ({ ...entry, lot: this.#random() }))
      .toSorted((a, b) => a.preference - b.preference || a.lot - b.lot)
      .map(({ hop }) => hop)
    return { kind: 'smtp', hosts, ...problem }
  }
}

type PortOption = 'delivery_method' | 'lmtp_port' | 'remote_smtp_port'

/**
 * `host`, `host:port`, an address, `[v6]`, `[v6]:port` or `unix:/path`. A bare IPv6 address takes no port.
 * @returns undefined for anything else
 */
export function parseHop(text: string, defaultPort: number): NextHop | undefined {
  if (text.startsWith('unix:/')) return { host: text.slice('unix:'.length), port: 0 }
  if (isIP(text) !== 0) return { host: text, port: defaultPort }
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text)
  if (bracketed !== null) {
    const [, inner = '', port] = bracketed
    const host = inner.replace(/^ipv6:/i, '')
    return isIPv6(host) || isIP(host) === 4 ? withPort(host, port, defaultPort) : undefined
  }
  const [, host = '', port] = /^([^:]+)(?::(\d+))?$/.exec(text) ?? []
  const isName = /^[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?$/i.test(host)
  return isName || isIP(host) === 4 ? withPort(host, port, defaultPort) : undefined
}

function withPort(host: string, text: string | undefined, defaultPort: number): NextHop | undefined {
  const port = text === undefined ? defaultPort : Number(text)
  return Number.isInteger(port) && port >= 1 && port <= 65_535 ? { host, port } : undefined
}

const NO_DOMAIN = 'a recipient without a domain has no next hop: name a maildir for it'

interface RouteEntry {
  readonly hop: NextHop
  readonly preference: number
}

function mxEntry(mx: NextHop | undefined, index: number): RouteEntry | string {
  return mx === undefined ? NO_DOMAIN : { hop: mx, preference: index }
}

/**
 * An element of `Routes`; without `pref=` its place in the list is its preference. `ttl=` bounds how old answers about
 * MX records may be; addresses of hosts are looked up each time, and every change of the list acts at once.
 * @returns what is wrong with it as text
 */
function parseRoute(text: string, defaultPort: number, index: number): RouteEntry | string {
  const url = /^smtp:\/\/([^/?]+)\/?(?:\?(.*))?$/i.exec(text)
  const host = url === null ? text : (url[1] ?? '')
  const parameters = new URLSearchParams(url?.[2] ?? '')
  const port = Number(parameters.get('port') ?? defaultPort)
  const preference = Number(parameters.get('pref') ?? index)
  const ttl = parameters.get('ttl')
  if (host.startsWith('unix:/')) return { hop: { host: host.slice('unix:'.length), port: 0 }, preference }
  const hop = Number.isInteger(port) && port >= 1 && port <= 65_535 ? parseHop(host, port) : undefined
  if (hop === undefined || !Number.isFinite(preference))
    return `"${text}" is not a host, address or smtp:// URL`
  const isMx = parameters.get('type')?.toLowerCase() === 'mx' && isIP(hop.host) === 0
  if (!isMx) return { hop, preference }
  return { hop: { ...hop, mx: true, ...(ttl === null ? {} : { maxAge: Number(ttl) }) }, preference }
}
