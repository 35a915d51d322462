/**
 * Delivery by SMTP: the hosts of a route in order, and the addresses of each, until one takes or refuses the message.
 *
 * A host that cannot be reached, or that ends things before MAIL FROM, is passed over for the next one; the last such
 * answer stands when there is none left. From MAIL FROM on, what the host says is the outcome. A host that could not be
 * connected to is left alone for a while (Host_Failure_Retry), but never so long that a retry that is due is not made.
 * A connection that is still good is kept for the next message to the same host (Idle_Timeout).
 * Momentum: config/ref-prohibited-hosts, ref-skip-hosts, ref-host-failure-retry.
 */

import { isIP } from 'node:net'
import { cidrContains } from '../config/address.ts'
import type { Cidr, OutboundValues } from '../config/settings.ts'
import type { Resolver } from '../dns/resolver.ts'
import { LookupError } from '../dns/resolver.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { ConnectionPool } from './connection-pool.ts'
import { HostFailures } from './host-failures.ts'
import { type Found, type Host, LOOKUP_FAILED, type MxHosts, NO_HOSTS } from './mx.ts'
import type { NextHop, SmtpRoute } from './route.ts'
import { AttemptEnd, type ClientOptions, type Extensions, SmtpClient } from './smtp-client.ts'
import { SmtpConnection } from './smtp-connection.ts'
import { type AttemptContext, type AttemptResult, stages, type Transport } from './transport.ts'

export interface SmtpTransportOptions {
  /** addresses of hosts that the configuration names */
  readonly resolver: Resolver
  /** hosts of domains that are reached by their MX records */
  readonly mx: Pick<MxHosts, 'find'>
  /** what EHLO says where Ehlo_Hostname is not set */
  readonly hostname: string
  /** milliseconds since the epoch */
  readonly clock?: () => number
}

/** A connection and what is known about it. */
interface Session {
  readonly connection: SmtpConnection
  /** undefined until the other side has been greeted */
  extensions: Extensions | undefined
  /** messages that went over it, or were refused on it */
  readonly used: number
  /** octets that had been sent before this message */
  readonly bytesBefore: number
}

function newSession(host: Host, signal: AbortSignal): Session {
  return { connection: new SmtpConnection(host, signal), extensions: undefined, used: 0, bytesBefore: 0 }
}

/** One host under one name that we give ourselves. */
function poolKey({ address, port }: Host, ehloHostname: string): string {
  return `${address} ${port} ${ehloHostname}`
}

/** connections that one attempt makes at most */
const MAX_TRIES = 30

export class SmtpTransport implements Transport<SmtpRoute> {
  readonly #resolver: Resolver
  readonly #mx: Pick<MxHosts, 'find'>
  readonly #hostname: string
  readonly #failures: HostFailures
  readonly #idle = new ConnectionPool<Session>()

  constructor(options: SmtpTransportOptions) {
    this.#resolver = options.resolver
    this.#mx = options.mx
    this.#hostname = options.hostname
    this.#failures = new HostFailures(options.clock ?? Date.now)
  }

  async deliver(
    message: StoredMessage,
    content: StoredContent,
    context: AttemptContext<SmtpRoute>,
  ): Promise<AttemptResult> {
    let last = localResult('transient', NO_HOSTS)
    let left = MAX_TRIES
    for (const hop of context.route.hosts) {
      const found = this.#allowed(await this.#find(hop, context), context.options)
      if (found.kind === 'permanent') return localResult('permanent', found.text)
      if (found.kind === 'transient') {
        if (last.stage === stages.notConnected) last = { ...last, text: found.text }
        continue
      }
      for (const host of found.hosts.slice(0, left)) {
        const { result, final } = await this.#try(host, message, content, context)
        if (final) return result
        last = result
      }
      left -= found.hosts.length
      if (left <= 0) break
    }
    return last
  }

  close(): void {
    this.#idle.close()
  }

  /** @throws the signal's reason */
  async #find(hop: NextHop, context: AttemptContext<SmtpRoute>): Promise<Found> {
    const { host: name, port, maxAge } = hop
    const { options, signal } = context
    if (hop.mx !== true) {
      const addresses = await this.#resolve(hop, context)
      if (typeof addresses === 'string') return { kind: 'transient', text: addresses }
      return { kind: 'hosts', hosts: addresses.map((address) => ({ name, address, port })) }
    }
    return await this.#mx.find({
      domain: name,
      port,
      useIpv6: options.use_ipv6,
      preferIpv6: options.prefer_ipv6_mxs,
      failuresToA: options.mx_failures_fallback_to_a,
      signal,
      ...(maxAge === undefined ? {} : { maxAge }),
    })
  }

  /** What is left of the hosts that were found when the operator's lists and the hosts that are down are taken off. */
  #allowed(found: Found, options: OutboundValues): Found {
    if (found.kind !== 'hosts') return found
    const considered = found.hosts.filter(({ address }) => !isIn(address, options.skip_hosts))
    if (considered.length === 0) return { kind: 'transient', text: NO_HOSTS }
    if (considered.some(({ address }) => isIn(address, options.prohibited_hosts))) {
      return { kind: 'permanent', text: PROHIBITED }
    }
    const patience = Math.min(options.host_failure_retry, options.retry_interval)
    const up = considered.filter((host) => !this.#failures.isDown(host, patience))
    return up.length === 0 ? { kind: 'transient', text: ALL_DOWN } : { kind: 'hosts', hosts: up }
  }

  /** Addresses of a host; our text when it has none. */
  async #resolve(hop: NextHop, context: AttemptContext<SmtpRoute>): Promise<readonly string[] | string> {
    if (isIP(hop.host) !== 0) return [hop.host]
    const { connect_timeout } = context.options
    const patience = new AbortController()
    const end = (): void => patience.abort()
    const deadline =
      connect_timeout === 0 ? undefined : setTimeout(end, Math.min(connect_timeout * 1000, 2 ** 31 - 1))
    context.signal.addEventListener('abort', end, { once: true })
    try {
      const found = await this.#resolver.lookupHost(hop.host, patience.signal)
      return found.map(({ address }) => address)
    } catch (error) {
      context.signal.throwIfAborted()
      if (error instanceof LookupError && error.kind === 'not-found') return NO_HOSTS
      if (error instanceof LookupError || patience.signal.aborted) return LOOKUP_FAILED
      throw error
    } finally {
      clearTimeout(deadline)
      context.signal.removeEventListener('abort', end)
    }
  }

  async #try(
    host: Host,
    message: StoredMessage,
    content: StoredContent,
    context: AttemptContext<SmtpRoute>,
  ): Promise<{ readonly result: AttemptResult; readonly final: boolean }> {
    const options = { timeouts: context.options, ehloHostname: this.#ehloHostname(message, context) }
    const session = (await this.#reuse(host, options, context)) ?? newSession(host, context.signal)
    const { connection, bytesBefore } = session
    const client = new SmtpClient(connection, options)
    let greeted = session.extensions !== undefined
    try {
      session.extensions ??= await client.greet()
      this.#failures.answered(host)
      greeted = true
      const text = await client.send(message.envelope, content, session.extensions)
      this.#keep(host, options.ehloHostname, session, context.options)
      const bytes = content.header.length + content.bodySize
      return {
        result: { kind: 'delivered', stage: stages.confirmation, text, bytes, remote: host.address },
        final: true,
      }
    } catch (error) {
      if (!(error instanceof AttemptEnd)) {
        connection.destroy()
        throw error
      }
      const { kind, stage, text } = error
      if (stage === stages.notConnected) this.#failures.failed(host)
      const bytes = stage === stages.notConnected ? 0 : connection.bytesSent - bytesBefore
      if (error.broken) connection.destroy()
      else if (greeted && !text.startsWith('421'))
        this.#keep(host, options.ehloHostname, session, context.options)
      else connection.quit()
      return { result: { kind, stage, text, bytes, remote: host.address }, final: greeted }
    }
  }

  /** A connection to this host that is idle and still answers. @throws the signal's reason */
  async #reuse(
    host: Host,
    options: ClientOptions,
    context: AttemptContext<SmtpRoute>,
  ): Promise<Session | undefined> {
    const kept = this.#idle.take(poolKey(host, options.ehloHostname))
    if (kept === undefined) return undefined
    const { connection } = kept
    connection.resume(context.signal)
    try {
      await new SmtpClient(connection, options).reset()
      return { ...kept, bytesBefore: connection.bytesSent }
    } catch (error) {
      connection.destroy()
      if (error instanceof AttemptEnd) return undefined
      throw error
    }
  }

  #keep(host: Host, ehloHostname: string, session: Session, options: OutboundValues): void {
    const { connection, extensions } = session
    const used = session.used + 1
    const limit = options.max_deliveries_per_connection
    if (extensions === undefined || options.idle_timeout === 0 || (limit !== 0 && used >= limit)) {
      connection.quit()
      return
    }
    this.#idle.put(poolKey(host, ehloHostname), { ...session, used }, options.idle_timeout)
  }

  /** Momentum: config/ref-ehlo-hostname */
  #ehloHostname(message: StoredMessage, context: AttemptContext<SmtpRoute>): string {
    const name = context.options.ehlo_hostname ?? '__hostname__'
    if (name === '__hostname__') return this.#hostname
    if (name === '__message__') return message.envelope.sender?.domain || this.#hostname
    return name
  }
}

const ALL_DOWN = '421 4.4.0 [internal] no MXs for this domain could be reached at this time'
const PROHIBITED = '551 5.4.6 [internal] Private/Loopback Address'

function localResult(kind: 'transient' | 'permanent', text: string): AttemptResult {
  return { kind, stage: stages.notConnected, text, bytes: 0, remote: '' }
}

function isIn(address: string, networks: readonly Cidr[]): boolean {
  return networks.some((network) => cidrContains(network, address))
}
