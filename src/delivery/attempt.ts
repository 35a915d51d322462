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
import type { Transcript, Transcripts } from '../events/transcripts.ts'
import { isInternational } from '../mail/address.ts'
import { routingDomain } from '../mail/envelope.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { HostFailures } from './host-failures.ts'
import { type Found, type Host, LOOKUP_FAILED, type MxHosts, NO_HOSTS } from './mx.ts'
import { Conversions, fitToHost } from './outgoing.ts'
import type { NextHop, SmtpRoute } from './route.ts'
import { usesDane } from './session/dane.ts'
import { loginOf } from './session/login.ts'
import type { TlsPlanner } from './session/planner.ts'
import { Sessions, type UsableSession } from './session/sessions.ts'
import { type SessionPlan, SetupEnd } from './session/setup.ts'
import { introductionOf } from './session/xclient.ts'
import { type Sent, SmtpTransaction } from './smtp-transaction.ts'
import {
  type AttemptContext,
  type AttemptResult,
  type Deferred,
  type MessageResult,
  stages,
  type Transport,
} from './transport.ts'

export interface SmtpTransportOptions {
  /** addresses of hosts that the configuration names */
  readonly resolver: Resolver
  /** hosts of domains that are reached by their MX records */
  readonly mx: Pick<MxHosts, 'find'>
  /** what EHLO says where Ehlo_Hostname is not set */
  readonly hostname: string
  /** makes the plan for TLS; without it a message whose options ask for any is not sent */
  readonly tls?: Pick<TlsPlanner, 'plan' | 'close'>
  /** milliseconds since the epoch */
  readonly clock?: () => number
  /** told what is said, where an operator asks for it */
  readonly transcripts?: Transcripts
}

/** What holds while one host is tried. */
type HostContext = AttemptContext<SmtpRoute> & {
  /** milliseconds that are left for finding a host */
  readonly remaining: number
}

/** What the host said to each message, why it is passed over for the next one, or when to come back. */
type Tried =
  | { readonly results: readonly MessageResult[] }
  | { readonly passedOver: AttemptResult }
  | Deferred

/** connections that one attempt makes at most */
const MAX_TRIES = 30
/** before a message is tried again for whose conversion there was no memory */
const BUSY_MS = 1000

export class SmtpTransport implements Transport<SmtpRoute> {
  readonly #resolver: Resolver
  readonly #mx: Pick<MxHosts, 'find'>
  readonly #hostname: string
  readonly #failures: HostFailures
  readonly #sessions = new Sessions()
  readonly #conversions = new Conversions()
  readonly #tls: SmtpTransportOptions['tls']
  readonly #clock: () => number
  readonly #transcripts: Transcripts | undefined

  constructor(options: SmtpTransportOptions) {
    this.#resolver = options.resolver
    this.#mx = options.mx
    this.#tls = options.tls
    this.#hostname = options.hostname
    this.#clock = options.clock ?? Date.now
    this.#transcripts = options.transcripts
    this.#failures = new HostFailures(this.#clock)
  }

  async deliver(
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: AttemptContext<SmtpRoute>,
  ): Promise<readonly MessageResult[]> {
    const all = (result: AttemptResult): readonly AttemptResult[] => messages.map(() => result)
    let last = localResult('transient', NO_HOSTS)
    let left = MAX_TRIES
    let until = Number.POSITIVE_INFINITY
    const { connect_timeout_to_delay: patience } = context.options
    const deadline = patience === 0 ? Number.POSITIVE_INFINITY : this.#clock() + patience * 1000
    for await (const each of this.#findAll(context)) {
      const found = this.#allowed(each, context.options)
      if (found.kind === 'permanent') return all(localResult('permanent', found.text))
      if (found.kind === 'transient') {
        if (last.stage === stages.notConnected) last = { ...last, text: found.text }
        continue
      }
      for (const host of found.hosts.slice(0, left)) {
        const remaining = deadline - this.#clock()
        if (remaining <= 0) break
        const tried = await this.#enter(host, messages, content, { ...context, remaining })
        if ('results' in tried) return tried.results
        if ('until' in tried) until = Math.min(until, tried.until)
        else last = tried.passedOver
      }
      left -= found.hosts.length
      if (left <= 0) break
    }
    // a host that is held back is waited for, and nobody has failed
    return until === Number.POSITIVE_INFINITY ? all(last) : messages.map(() => ({ kind: 'deferred', until }))
  }

  retryHosts(): void {
    this.#failures.forget()
  }

  close(): void {
    this.#sessions.close()
    this.#tls?.close()
  }

  /** What the hops come to, each when its turn has come. @throws the signal's reason */
  async *#findAll(context: AttemptContext<SmtpRoute>): AsyncGenerator<Found> {
    for (const hop of context.route.hosts) {
      let found: Found | undefined = await this.#find(hop, context)
      while (found !== undefined) {
        yield found
        found = found.kind === 'hosts' ? await found.others?.() : undefined
      }
    }
  }

  /** @throws the signal's reason */
  async #find(hop: NextHop, context: AttemptContext<SmtpRoute>): Promise<Found> {
    const { host: name, port, maxAge, relayed } = hop
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
      // whoever keeps the answer about MX back must not choose the host (RFC 7672 §2.1.2)
      failuresToA: usesDane(options) ? Number.POSITIVE_INFINITY : options.mx_failures_fallback_to_a,
      bestOnly: relayed === true && options.only_use_best_mx_for_relay_domains,
      stepwise: relayed !== true && !options.fully_resolve_before_smtp,
      signal,
      ...(maxAge === undefined ? {} : { maxAge }),
    })
  }

  /** What is left of the hosts that were found when the operator's lists and the hosts that are down are taken off. */
  #allowed(found: Found, options: OutboundValues): Found {
    if (found.kind !== 'hosts') return found
    const considered = found.hosts.filter(
      ({ address }) => !isIn(address, options.skip_hosts) && isReachable(address, options.bind_address),
    )
    if (considered.length === 0) return { kind: 'transient', text: NO_HOSTS }
    if (considered.some(({ address }) => isIn(address, options.prohibited_hosts))) {
      return { kind: 'permanent', text: PROHIBITED }
    }
    const patience = Math.min(options.host_failure_retry, options.retry_interval)
    const { bind_address: from } = options
    const up = considered.filter((host) => !this.#failures.isDown({ ...host, from }, patience))
    return up.length === 0 ? { kind: 'transient', text: ALL_DOWN } : { kind: 'hosts', hosts: up }
  }

  /** Addresses of a host; our text when it has none. */
  async #resolve(hop: NextHop, context: AttemptContext<SmtpRoute>): Promise<readonly string[] | string> {
    if (isIP(hop.host) !== 0 || hop.host.startsWith('/')) return [hop.host]
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

  /** Takes a place at the host, for as many of the messages as there is room for. @throws the signal's reason */
  // oxlint-disable-next-line max-params -- the delivery, and one of its hosts
  async #enter(
    host: Host,
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: HostContext,
  ): Promise<Tried> {
    const place = context.gate.enter(host, messages.length)
    if (place.kind === 'deferred') return place
    try {
      const now = messages.slice(0, place.messages)
      const tried = await this.#try(host, now, content, context)
      if (!('results' in tried)) return tried
      const later = messages.slice(place.messages).map((): Deferred => ({ kind: 'deferred', until: 0 }))
      return { results: [...tried.results, ...later] }
    } finally {
      place.leave()
    }
  }

  // oxlint-disable-next-line max-params -- the delivery, and one of its hosts
  async #try(
    host: Host,
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: HostContext,
  ): Promise<Tried> {
    const plan = await this.#plan(host, messages, context)
    if (typeof plan === 'string') {
      const kind = 'transient'
      return { passedOver: { kind, stage: stages.notConnected, text: plan, bytes: 0, remote: host.address } }
    }
    const use = { recipients: messages.length, options: context.options }
    context.live?.note('connecting', host)
    const session = await this.#open(plan, use, context)
    if ('until' in session) return session
    if ('kind' in session) return { passedOver: session }
    context.live?.note('sending', host)
    try {
      const sent = await this.#send(session, messages, content, context)
      if (sent === 'busy') {
        this.#sessions.keep(session, plan, use)
        return { kind: 'deferred', until: this.#clock() + BUSY_MS }
      }
      if (sent.connection === 'broken') session.connection.destroy()
      else if (sent.connection === 'quit') session.connection.quit()
      else this.#sessions.keep(session, plan, use)
      const { results } = sent
      return { results: results.map((each) => ('until' in each ? each : { ...each, remote: host.address })) }
    } catch (error) {
      session.connection.destroy()
      throw error
    }
  }

  /** The message in the form in which this host takes it, and what came of each recipient. */
  // oxlint-disable-next-line max-params -- the delivery, and the session for it
  async #send(
    { connection, bytesBefore, extensions, tls }: UsableSession,
    messages: readonly StoredMessage[],
    content: StoredContent,
    { options }: HostContext,
  ): Promise<
    'busy' | { readonly results: readonly MessageResult[]; readonly connection: Sent['connection'] }
  > {
    const envelopes = messages.map(({ envelope }) => envelope)
    const [envelope] = envelopes
    if (envelope === undefined) throw new Error('an attempt without a message')
    const internationalRecipient = envelopes.some(({ recipient }) => isInternational(recipient))
    const job = { envelope, internationalRecipient, content, extensions, options }
    const fit = await fitToHost(job, this.#conversions)
    if (fit.kind === 'busy') return 'busy'
    const protectedBy = tls === undefined ? {} : { tls }
    const own = { remote: '', local: connection.localAddress, ...protectedBy }
    if (fit.kind === 'unfit') {
      const failure = { ...fit.failure, bytes: connection.bytesSent - bytesBefore, ...own }
      return { results: messages.map(() => failure), connection: 'again' }
    }
    try {
      const lmtp = options.delivery_method === 'LMTP'
      const { answers, connection: left } = await new SmtpTransaction(connection, options, {
        ...fit,
        envelopes,
        extensions,
        lmtp,
      }).run()
      const octets = connection.bytesSent - bytesBefore
      const size = fit.content.header.length + fit.content.bodySize
      const results = answers.map((answer): MessageResult => {
        if (answer.kind === 'deferred') return answer
        return { ...answer, bytes: answer.kind === 'delivered' ? size : octets, ...own }
      })
      return { results, connection: left }
    } finally {
      fit.leave()
    }
  }

  /** What a session with this host has to be; our own answer where there can be none. @throws the signal's reason */
  async #plan(
    host: Host,
    messages: readonly StoredMessage[],
    { options, signal, remaining }: HostContext,
  ): Promise<SessionPlan | string> {
    const [first] = messages
    if (first === undefined) throw new Error('an attempt without a message')
    const login = loginOf(options, first.envelope.messageContext)
    if (typeof login === 'string') return login
    const asksForTls = options.tls !== 'no' || options.use_dane || options.use_mta_sts
    if (asksForTls && this.#tls === undefined) throw new Error('there is nobody to plan TLS')
    const planned = await this.#tls?.plan(host, options, signal)
    if (planned?.kind === 'skip') return planned.text
    return {
      host,
      from: options.bind_address,
      client: {
        timeouts: withinReach(options, remaining),
        ehloHostname: this.#ehloHostname(messages, options),
        method: options.delivery_method,
      },
      tls: planned?.kind === 'tls' ? planned.plan : undefined,
      login,
      introduction: introductionOf(options.xclient, first.envelope),
      trace: () => this.#trace(host, first),
    }
  }

  #trace({ address, name }: Host, { envelope }: StoredMessage): Transcript | undefined {
    const { binding, batchId: id } = envelope
    const about = { direction: 'outbound', address, id, domain: routingDomain(envelope), binding } as const
    const transcript = this.#transcripts?.begin(about)
    transcript?.note(`to ${name === '' ? address : name} for ${about.domain}`)
    return transcript
  }

  /** @throws the signal's reason */
  async #open(
    plan: SessionPlan,
    use: Parameters<Sessions['reuse']>[1],
    { gate, signal }: HostContext,
  ): Promise<UsableSession | AttemptResult | Deferred> {
    const host = { ...plan.host, from: plan.from }
    try {
      const kept = await this.#sessions.reuse(plan, use, signal)
      const wait = kept === undefined ? gate.connect(host) : undefined
      if (wait !== undefined) return wait
      const session = kept ?? (await this.#sessions.make(plan, signal))
      this.#failures.answered(host)
      return session
    } catch (error) {
      if (!(error instanceof SetupEnd)) throw error
      const { kind, stage, text, bytes, tls } = error
      if (stage === stages.notConnected) this.#failures.failed(host)
      else this.#failures.answered(host)
      return { kind, stage, text, bytes, remote: host.address, ...(tls === undefined ? {} : { tls }) }
    }
  }

  /** Momentum: config/ref-ehlo-hostname */
  #ehloHostname([first]: readonly StoredMessage[], options: OutboundValues): string {
    const name = options.ehlo_hostname ?? '__hostname__'
    if (name === '__hostname__') return this.#hostname
    if (name === '__message__') return first?.envelope.sender?.domain || this.#hostname
    return name
  }
}

const ALL_DOWN = '421 4.4.0 [internal] no MXs for this domain could be reached at this time'
const PROHIBITED = '551 5.4.6 [internal] Private/Loopback Address'

function localResult(kind: 'transient' | 'permanent', text: string): AttemptResult {
  return { kind, stage: stages.notConnected, text, bytes: 0, remote: '' }
}

/** Whether it is of the family of the address that connections are made from. */
function isReachable(address: string, from: string | undefined): boolean {
  return from === undefined || address.startsWith('/') || isIP(from) === isIP(address)
}

/** @param remaining milliseconds that are left for finding a host */
function withinReach(options: OutboundValues, remaining: number): OutboundValues {
  const { connect_timeout } = options
  const seconds = remaining / 1000
  if (connect_timeout !== 0 && connect_timeout <= seconds) return options
  return seconds === Number.POSITIVE_INFINITY ? options : { ...options, connect_timeout: seconds }
}

function isIn(address: string, networks: readonly Cidr[]): boolean {
  return networks.some((network) => cidrContains(network, address))
}
