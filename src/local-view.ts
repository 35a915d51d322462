/**
 * What this process can say of itself: for the console, for `/metrics`, and for the supervisor that asks its workers.
 * Outlives every reload. Metrics are counted from the moment when the first HTTP_Listener comes into force.
 */

import { statfs } from 'node:fs/promises'
import type { Diagnostic } from './config/diagnostic.ts'
import type { LiveConfiguration } from './config/live/live-configuration.ts'
import type { Settings } from './config/settings.ts'
import { Counters } from './console/counters.ts'
import type { TracedLines, TraceOrder } from './console/inside/traces.ts'
import { PanicMemory } from './console/panics.ts'
import type { ConsoleServices, Expiry } from './console/services.ts'
import { Verdicts } from './console/verdicts.ts'
import type { DeliveryQueue } from './delivery/queue.ts'
import type { EventBus } from './events/events.ts'
import type { LiveSession, LiveSessions } from './events/live.ts'
import type { PartnerReport } from './events/partner-report.ts'
import type { Transcripts } from './events/transcripts.ts'
import type { Generation } from './generation.ts'
import { hostnameOf } from './hostname.ts'
import type { Decisions } from './logs/decisions.ts'
import type { Logs } from './logs/logs.ts'
import { Inside, type InsideHost } from './operator/inside.ts'
import { TraceDesk } from './operator/trace-desk.ts'
import { Tracing } from './operator/tracing.ts'
import type { ServerOptions } from './parts.ts'
import type { LookupsInForce } from './transports.ts'
import type { Gauges, Metrics } from './web/metrics.ts'
import type { Page } from './web/server.ts'

/** What the server gives, and what it can be asked to do. */
export interface LocalViewHost {
  readonly options: Pick<ServerOptions, 'version' | 'node' | 'onShutdown'>
  readonly events: EventBus
  readonly logs: Logs
  readonly queue: DeliveryQueue
  readonly decisions: Decisions
  readonly partnerReport: PartnerReport
  readonly lookups: LookupsInForce
  readonly transcripts: Transcripts
  /** what ends, the next one first */
  readonly expiring: () => readonly Expiry[]
  /** undefined in a worker */
  readonly configuration: LiveConfiguration | undefined
  /** what is in force */
  readonly generation: () => Generation
  readonly reload: () => Promise<readonly Diagnostic[]>
  /** TLS files are read anew, for handshakes from now on */
  readonly flushTls: () => Promise<void>
}

export class LocalView implements LiveSessions {
  readonly #host: LocalViewHost
  readonly #sessions = new Set<() => LiveSession>()
  readonly services: ConsoleServices
  #metrics: Metrics | undefined

  constructor(host: LocalViewHost) {
    this.#host = host
    this.services = this.#consoleServices()
  }

  /** A session begins. @returns what is called when it has ended */
  add(look: () => LiveSession): () => void {
    this.#sessions.add(look)
    return () => void this.#sessions.delete(look)
  }

  /** Policy has answered in a phase. */
  policyTime(phase: string, milliseconds: number): void {
    this.#metrics?.policyTime(phase, milliseconds)
  }

  /** undefined: no HTTP_Listener has been in force */
  get metrics(): Metrics | undefined {
    return this.#metrics
  }

  /** What `/metrics` answers. */
  async metricsPage(): Promise<Page> {
    const metrics = this.#metrics
    if (metrics === undefined) throw new Error('nothing was counted')
    return { contentType: metrics.contentType, text: await metrics.text() }
  }

  /** A configuration comes into force: counting begins when somebody may ask for it. */
  async prepare({ httpListens }: Settings): Promise<void> {
    if (this.#metrics !== undefined || !httpListens.some(({ scope }) => scope.options.enable)) return
    const { Metrics } = await import('./web/metrics.ts')
    const { options, events } = this.#host
    const metrics = new Metrics({ version: options.version, gauges: () => this.#gauges() })
    this.#metrics = metrics
    events.subscribe((event) => metrics.handle(event))
  }

  #consoleServices(): ConsoleServices {
    const { options, events, logs, queue, generation, reload, flushTls, decisions, partnerReport, expiring } =
      this.#host
    const counters = new Counters(Date.now)
    const panics = new PanicMemory()
    const verdicts = new Verdicts(Date.now)
    events.subscribe((event) => counters.handle(event))
    events.subscribe((event) => verdicts.handle(event))
    events.subscribe((event) => panics.handle(event))
    const { inside, traces } = this.#insides(() => counters.counts)
    return {
      version: options.version,
      pid: process.pid,
      started: Date.now(),
      clock: Date.now,
      hostname: () => hostnameOf(generation().settings),
      settings: () => generation().settings,
      configuration: this.#host.configuration,
      counters,
      panics,
      sessions: () => [...this.#sessions].map((look) => look()),
      queue: {
        get counts() {
          return queue.counts
        },
        byDomain: () => queue.byDomain(),
        ask: async (topic, order) => ({ reports: [await queue.ask(topic, order)], missing: [] }),
      },
      inside: {
        ask: async (topic, order) => ({ reports: [await inside.answer(topic, order)], missing: [] }),
      },
      traces,
      shutdown: options.onShutdown,
      account: (act) => events.emit(act),
      reload,
      reopenLogs: () => logs.reopen(),
      scripts: () => generation().policy.offers,
      tls: { contexts: () => generation().tls.contexts, flush: flushTls },
      decisions,
      verdicts: (minutes) => verdicts.table(minutes),
      pins: () => partnerReport.pins(),
      serverOnly: () => partnerReport.serverOnly(),
      expiries: expiring,
    }
  }

  /** `traces`: where this process owns the console */
  #insides(counts: InsideHost['counts']): {
    readonly inside: Inside
    readonly traces: TraceDesk | undefined
  } {
    const { transcripts, generation, lookups, options } = this.#host
    const { node } = options
    const ask = async (order: TraceOrder): Promise<void> => void (await inside.answer('trace', order))
    const traces = node === undefined ? new TraceDesk(ask) : undefined
    const tell = (traced: TracedLines): void => (node ? node.onTraced(traced) : traces?.receive(traced))
    const inside = new Inside({
      tracing: new Tracing(transcripts, tell),
      generation,
      lookups,
      worker: node?.index,
      sessions: () => this.#sessions.size,
      counts,
    })
    return { inside, traces }
  }

  async #gauges(): Promise<Gauges> {
    const { queue, logs, generation, expiring, partnerReport } = this.#host
    const { spoolbase, spool_min_free } = generation().settings.global
    const { ready, active, delayed, failed } = queue.counts
    const disk = await statfs(spoolbase.path).catch(() => undefined)
    return {
      sessions: this.#sessions.size,
      queue: { ready, active, delayed, failed },
      spool: { free: disk && disk.bavail * disk.bsize, reserve: spool_min_free },
      logLinesDropped: logs.droppedLines,
      certificates: expiring()
        // who a client is it chooses itself; partners are told apart from the facts
        .filter(({ what }) => what !== 'client')
        .map(({ what, name, source, days }) => ({ kind: what, name, file: source, days })),
      pins: partnerReport.pins(),
    }
  }
}
