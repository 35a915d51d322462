/**
 * What happened and how things stand, for Prometheus (docs/metrics.md names every metric). Facts are counted as they are
 * told; gauges are read when somebody looks. The registry is this object's own.
 *
 * Labels that a client can choose are bounded: causes, codes, issuers, modules, pathways (`bounded-labels.ts`).
 */

import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { DecisionRecord } from '../events/decision.ts'
import type { Rejection, ServerEvent, TlsFact } from '../events/events.ts'
import type { PinUse } from '../events/partner-report.ts'
import { BoundedLabels, cleanLabel } from './bounded-labels.ts'
import { addProcessMetrics } from './process-metrics.ts'

/** How things stand at this moment. */
export interface Gauges {
  readonly sessions: number
  readonly queue: Readonly<Record<'ready' | 'active' | 'delayed' | 'failed', number>>
  readonly spool: {
    /** octets on the spool's file system; undefined where it cannot be asked */
    readonly free: number | undefined
    readonly reserve: number
  }
  /** log lines that were given up since the start */
  readonly logLinesDropped: number
  readonly certificates: readonly CertificateLife[]
  /** every pin of the configuration, whether it was seen or not */
  readonly pins: readonly PinUse[]
}

/** A certificate, CA or list that comes to an end. */
export interface CertificateLife {
  readonly kind: string
  /** its subject, a list's issuer, a partner's name */
  readonly name: string
  /** where it comes from, '' for a partner's */
  readonly file: string
  /** days until it ends, negative once it has */
  readonly days: number
}

export interface MetricsOptions {
  readonly version: string
  readonly gauges: () => Gauges | Promise<Gauges>
}

/** values that a label may take, besides `other` */
const MANY = 40
const FEW = 20
const MAX_PARTNERS = 1000
const DAY = 86_400_000

export class Metrics {
  readonly #registry = new Registry()
  readonly #counters: ReturnType<typeof makeCounters>
  readonly #gauges: ReturnType<typeof makeGauges>
  readonly #read: MetricsOptions['gauges']
  readonly #causes = new BoundedLabels(MANY)
  readonly #states = new BoundedLabels(FEW)
  readonly #modules = new BoundedLabels(FEW)
  readonly #scopes = new BoundedLabels(MANY)
  /** apart, so that claims cannot take the names of CAs that verify */
  readonly #issuers = { verified: new BoundedLabels(MANY), claimed: new BoundedLabels(FEW) }
  readonly #mechanisms = new BoundedLabels(FEW)
  readonly #partnerNames = new BoundedLabels(MAX_PARTNERS)
  /** partner → when the certificate ends that was seen last */
  readonly #partners = new Map<string, number>()

  constructor({ version, gauges }: MetricsOptions) {
    this.#counters = makeCounters(this.#registry)
    this.#gauges = makeGauges(this.#registry)
    this.#read = gauges
    this.#gauges.build.set({ version }, 1)
    addProcessMetrics(this.#registry)
  }

  /** The type of `text`. */
  get contentType(): string {
    return this.#registry.contentType
  }

  /** Every metric, for the documentation's test. */
  describe(): readonly {
    readonly name: string
    readonly type: string
    readonly labels: readonly string[]
  }[] {
    return this.#registry.getMetricsAsArray().map((metric) => ({
      name: metric.name,
      type: String(metric.type),
      // the type declarations leave out what every metric has
      labels: (metric as unknown as { readonly labelNames: readonly string[] }).labelNames,
    }))
  }

  /** For `metrics-sum.ts`, in another process too. */
  async json(): Promise<readonly object[]> {
    this.#set(await this.#read())
    return await this.#registry.getMetricsAsJSON()
  }

  /** Prometheus' text format. */
  async text(): Promise<string> {
    this.#set(await this.#read())
    return await this.#registry.metrics()
  }

  /** Takes a fact. For `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    const { sessions, receptions, receivedOctets, deliveries, rejections, panics, logins } = this.#counters
    switch (event.kind) {
      case 'connected':
        sessions.inc()
        return
      case 'reception':
        receptions.inc({ protocol: event.protocol ?? 'esmtp', tls: event.tls ?? '' })
        receivedOctets.inc(event.envelope.size)
        return
      case 'delivery':
      case 'transient-failure':
      case 'permanent-failure':
        deliveries.inc({ outcome: outcomes[event.kind] })
        return
      case 'rejection':
        rejections.inc(this.#rejectionLabels(event))
        return
      case 'tls':
        this.#handshake(event)
        return
      case 'decision':
        this.#shadow(event)
        return
      case 'authentication':
        logins.inc({ mechanism: this.#mechanisms.of(event.mechanism), status: event.status })
        return
      case 'panic':
        panics.inc({ level: event.level, module: this.#modules.of(event.module) })
        return
      default:
    }
  }

  /** A worker was killed because it hung; told by the supervisor of a node. */
  countHang(): void {
    this.#counters.hangs.inc()
  }

  /** @param phase one of the fixed list of phases and hooks */
  policyTime(phase: string, milliseconds: number): void {
    this.#counters.policy.observe({ phase }, milliseconds / 1000)
  }

  #rejectionLabels({ state, code }: Rejection): Record<'state' | 'code', string> {
    return { state: this.#states.of(state), code: /^[45]\d\d$/.test(String(code)) ? String(code) : 'other' }
  }

  #handshake(event: TlsFact): void {
    const { handshakes, causes, protocols, issuers, seconds } = this.#counters
    const { outcome, mode } = event
    handshakes.inc({ mode, outcome, listen: this.#scopes.of(event.listen) })
    seconds.observe({ outcome }, event.milliseconds / 1000)
    if (event.cause !== '') causes.inc({ outcome, cause: this.#causes.of(event.cause) })
    if (event.protocol !== '')
      protocols.inc({ protocol: event.protocol, resumed: event.resumed ? 'yes' : 'no' })
    if (outcome === 'verified') this.#countPartner(event.partner?.name)
    if (event.partner !== undefined) this.#notePartner(event.partner)
    if (event.issuer === '') return
    const names = outcome === 'verified' ? this.#issuers.verified : this.#issuers.claimed
    issuers.inc({ issuer: names.of(event.issuer), outcome })
  }

  /** @param name undefined: a certificate that verifies, of somebody whom the configuration does not know */
  #countPartner(name: string | undefined): void {
    this.#counters.partners.inc({ partner: name === undefined ? '' : this.#partnerNames.of(name) })
  }

  /** Partners are those of the configuration; the bound is for years of reloads. */
  #notePartner({ name, notAfter }: NonNullable<TlsFact['partner']>): void {
    this.#partners.delete(name)
    this.#partners.set(name, notAfter)
    const [oldest] = this.#partners.keys()
    if (this.#partners.size > MAX_PARTNERS && oldest !== undefined) this.#partners.delete(oldest)
  }

  #partnerLives(): readonly CertificateLife[] {
    const now = Date.now()
    return [...this.#partners].map(([name, notAfter]) => ({
      kind: 'partner',
      name,
      file: '',
      days: Math.floor((notAfter - now) / DAY),
    }))
  }

  #shadow({ shadow, requireTlsShadow, scope }: DecisionRecord): void {
    if (shadow === undefined && requireTlsShadow === undefined) return
    const listen = this.#scopes.of(scope.listen)
    if (shadow !== undefined) {
      this.#counters.shadow.inc({ verdict: shadow.verdict, reason: shadow.reason, listen })
    }
    if (requireTlsShadow !== undefined) {
      this.#counters.shadow.inc({ verdict: 'would-refuse', reason: 'no-tls', listen })
    }
  }

  #set({ sessions, queue, spool, logLinesDropped, certificates, pins }: Gauges): void {
    const gauges = this.#gauges
    gauges.sessions.set(sessions)
    for (const [state, count] of Object.entries(queue)) gauges.queue.set({ state }, count)
    if (spool.free === undefined) gauges.spoolFree.reset()
    else gauges.spoolFree.set(spool.free)
    gauges.spoolReserve.set(spool.reserve)
    gauges.logLinesDropped.set(logLinesDropped)
    gauges.certificates.reset()
    // as many as the configuration names, and it is an operator who writes it
    for (const { kind, name, file, days } of [...certificates, ...this.#partnerLives()])
      gauges.certificates.set({ kind, name: cleanLabel(name), file: cleanLabel(file) }, days)
    this.#setPins(pins)
  }

  #setPins(pins: readonly PinUse[]): void {
    const { pinHandshakes, pinSeen, pinDays } = this.#gauges
    const now = Date.now()
    for (const each of [pinHandshakes, pinSeen, pinDays]) each.reset()
    for (const { partner, option, place, handshakes, lastSeen, notAfter } of pins) {
      const labels = { partner: cleanLabel(partner), pin: option, place }
      pinHandshakes.set(labels, handshakes)
      if (lastSeen !== undefined) pinSeen.set(labels, lastSeen / 1000)
      if (notAfter !== undefined) pinDays.set(labels, Math.floor((notAfter - now) / DAY))
    }
  }
}

const outcomes = {
  delivery: 'delivered',
  'transient-failure': 'transient',
  'permanent-failure': 'permanent',
} as const

type MakeCounter = <Label extends string>(
  name: string,
  help: string,
  ...labelNames: Label[]
) => Counter<Label>

function makeCounters(registry: Registry) {
  const counter: MakeCounter = (name, help, ...labelNames) =>
    new Counter({ name, help, labelNames, registers: [registry] })
  return {
    ...makeTlsCounters(registry, counter),
    sessions: counter('postern_sessions_total', 'Sessions of clients since the start'),
    receptions: counter(
      'postern_receptions_total',
      'Messages accepted, one for each recipient',
      'protocol',
      'tls',
    ),
    receivedOctets: counter('postern_received_octets_total', 'Octets of the messages accepted'),
    deliveries: counter('postern_delivery_attempts_total', 'What delivery attempts came to', 'outcome'),
    hangs: counter('postern_worker_hangs_total', 'Workers killed because they did not answer any more'),
    rejections: counter(
      'postern_rejections_total',
      'Commands, messages and connections refused, by reception state and reply code',
      'state',
      'code',
    ),
    logins: counter('postern_authentications_total', 'AUTH attempts', 'mechanism', 'status'),
    policy: new Histogram({
      name: 'postern_policy_seconds',
      help: 'How long policy took over a phase, all scripts together, their waits included',
      labelNames: ['phase'],
      buckets: [0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30],
      registers: [registry],
    }),
    panics: counter('postern_panics_total', 'Lines of the panic log', 'level', 'module'),
  }
}

function makeTlsCounters(registry: Registry, counter: MakeCounter) {
  return {
    handshakes: counter(
      'postern_tls_handshakes_total',
      'TLS handshakes of clients by effective TLS_Verify_Mode, outcome and Listen',
      'mode',
      'outcome',
      'listen',
    ),
    causes: counter(
      'postern_tls_causes_total',
      'Why certificates did not verify, and what ended handshakes that failed',
      'outcome',
      'cause',
    ),
    protocols: counter(
      'postern_tls_protocols_total',
      'Handshakes that succeeded, by protocol, and whether a session was resumed',
      'protocol',
      'resumed',
    ),
    issuers: counter(
      'postern_tls_issuers_total',
      'Certificates of clients by issuer; a claim unless the outcome is verified',
      'issuer',
      'outcome',
    ),
    partners: counter(
      'postern_tls_partner_handshakes_total',
      'Handshakes whose certificate verified, by the partner that it stands for; none is an empty name',
      'partner',
    ),
    shadow: counter(
      'postern_tls_shadow_total',
      'What TLS_Verify_Mode_Shadow and Require_TLS_Shadow found, by reason; counted when the connection ends',
      'verdict',
      'reason',
      'listen',
    ),
    seconds: new Histogram({
      name: 'postern_tls_handshake_seconds',
      help: 'How long handshakes took',
      labelNames: ['outcome'],
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
      registers: [registry],
    }),
  }
}

/** what is the same in every process of a node; the others are added up */
const aggregators: Readonly<Record<string, 'first' | 'min' | 'max'>> = {
  postern_build_info: 'first',
  postern_spool_free_octets: 'max',
  postern_spool_reserve_octets: 'max',
  postern_certificate_days_left: 'min',
  postern_partner_pin_last_seen_timestamp_seconds: 'max',
  // what was shown last counts, and who renews shows a later end
  postern_partner_pin_days_left: 'max',
}

const PIN_LABELS = ['partner', 'pin', 'place'] as const

function makeGauges(registry: Registry) {
  const registers = [registry]
  const gauge = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Gauge<Label> =>
    new Gauge({ name, help, labelNames, registers, aggregator: aggregators[name] ?? 'sum' })
  return {
    build: gauge('postern_build_info', 'Always 1; the version of the program', 'version'),
    sessions: gauge('postern_sessions', 'Sessions of clients that are open'),
    queue: gauge('postern_queue_messages', 'Messages that wait, by state', 'state'),
    spoolFree: gauge('postern_spool_free_octets', 'Octets free on the spool’s file system'),
    spoolReserve: gauge('postern_spool_reserve_octets', 'Spool_Min_Free'),
    logLinesDropped: gauge('postern_log_lines_dropped', 'Log lines given up since the start'),
    certificates: gauge(
      'postern_certificate_days_left',
      'Days until a certificate, CA or revocation list ends',
      'kind',
      'name',
      'file',
    ),
    pinHandshakes: gauge(
      'postern_partner_pin_handshakes',
      'Handshakes whose certificate fitted a pin of a Partner; 0: the pin is not in use',
      ...PIN_LABELS,
    ),
    pinSeen: gauge(
      'postern_partner_pin_last_seen_timestamp_seconds',
      'When a certificate that fits the pin was seen last',
      ...PIN_LABELS,
    ),
    pinDays: gauge(
      'postern_partner_pin_days_left',
      'Days until the certificate ends that was seen last under the pin',
      ...PIN_LABELS,
    ),
  }
}
