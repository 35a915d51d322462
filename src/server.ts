/**
 * The wiring: builds every part and joins them, in the order of a message's story. The only place that constructs.
 *
 * A configuration is a *generation*: settings, TLS contexts and policy that belong together. A reload builds a whole
 * new generation beside the old one and switches only when every piece of it came out right; otherwise the old one
 * stays in force. Sessions under way keep the generation they began with and are asked to come back
 * (`421 <Reconfig_Message>`) at their next MAIL or RSET.
 */

import { setMaxListeners } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { loggedHeaders } from './config/custom-loggers.ts'
import type { Diagnostic } from './config/diagnostic.ts'
import type { LiveConfiguration } from './config/live/live-configuration.ts'
import { replaying } from './config/recorded-files.ts'
import type { Settings } from './config/settings.ts'
import type { SourceFiles } from './config/source.ts'
import type { Panic } from './events/events.ts'
import type { PartnerReport } from './events/partner-report.ts'
import { buildGeneration, type Generation, withFreshTls } from './generation.ts'
import { hostnameOf } from './hostname.ts'
import type { Connection } from './listener/connection.ts'
import { Listeners } from './listener/listener.ts'
import { LocalView } from './local-view.ts'
import type { Decisions } from './logs/decisions.ts'
import { liveConfiguration, type ReadSource, recordedSource, SIGNAL } from './operator/live-host.ts'
import { Operations } from './operator/operations.ts'
import { buildParts, type Parts, type ServerOptions } from './parts.ts'
import type { EndpointAnswer, EndpointRequest } from './policy/offers.ts'
import type { AuthFailures } from './smtp/auth/failures.ts'
import type { SessionServices } from './smtp/services.ts'
import { serveSession } from './smtp/session.ts'
import type { DeliveryState } from './spool/spool.ts'
import { openPartition, warningTime } from './standing-parts.ts'
import { type Expiry, ExpiryWatch } from './tls/expiry-watch.ts'
import { transportsOf } from './transports.ts'
import { type PreparedReload, Turns } from './turns.ts'

/** how long `stop` waits for sessions and deliveries under way */
const DRAIN_MS = 30_000
/** how long sessions may take to notice that their connection is gone: one whose script still waits is left behind */
const GIVE_UP_MS = 1000

/** where a message stands that was just accepted: due at once */
const FRESH: DeliveryState = { attempts: 0, nextAttempt: 0, failed: false, lastText: '' }

type Built = Awaited<ReturnType<typeof buildParts>>

export class Server {
  readonly #options: ServerOptions
  readonly #parts: Parts
  readonly #stopping = new AbortController()
  readonly #sessions = new Map<Connection, Promise<void>>()
  /** policies that wait for their last session */
  readonly #retiring = new Set<Promise<void>>()
  readonly #expiry: ExpiryWatch
  readonly #view: LocalView
  /** undefined in a worker */
  readonly #operations: Operations | undefined
  readonly #turns = new Turns()
  /** undefined in a worker */
  readonly #live: LiveConfiguration | undefined
  #stopped: Promise<void> | undefined
  #generation: Generation
  #services: SessionServices

  /** Use `Server.start`. */
  private constructor(options: ServerOptions, { parts, generation }: Built, read: ReadSource) {
    this.#options = options
    this.#generation = generation
    setMaxListeners(0, this.#stopping.signal)
    this.#parts = {
      ...parts,
      listeners: new Listeners({
        settings: generation.settings,
        onConnection: (connection) => this.#serve(connection),
        nextConnectionId: () => parts.ids.next(),
        events: parts.events,
        clock: Date.now,
        node: options.node,
      }),
    }
    this.#live = options.node === undefined ? this.#openLive(generation, read) : undefined
    this.#view = new LocalView({
      ...parts,
      configuration: this.#live,
      options,
      generation: () => this.#generation,
      reload: () => this.reload().then(() => this.warnings),
      flushTls: () => this.flushTls(),
      expiring: () => this.expiring,
    })
    this.#operations = options.node === undefined ? this.#openOperations() : undefined
    this.#services = this.#servicesOf(generation)
    this.#expiry = new ExpiryWatch({
      // of what the configuration names the first worker warns, for all of them
      configured: () => ((options.node?.index ?? 0) === 0 ? this.#generation.tls.inventory : []),
      thresholds: () => this.settings.global.tls_expiry_warning,
      events: parts.events,
      clock: Date.now,
    })
    parts.events.subscribe((event) => this.#expiry.handle(event))
  }

  /**
   * Builds everything and binds every listener.
   * @throws ConfigError when the configuration cannot be used, ListenError when a socket cannot be bound,
   *   SpoolLockedError when another process serves this spool
   */
  static async start(options: ServerOptions): Promise<Server> {
    const read = recordedSource(options)
    const { text: _, ...others } = options
    const built = await buildParts({ ...others, files: read.files })
    const { parts } = built
    const server = new Server({ ...others, files: read.below }, built, read)
    try {
      await server.#bind()
    } catch (error) {
      await Promise.allSettled([parts.spool.close(), parts.logs.close()])
      throw error
    }
    parts.queue.start()
    server.#expiry.start()
    return server
  }

  /** What is bound, in the order of the Listen stanzas: `127.0.0.1:25`, `[::]:25`, `/run/postern.sock`. */
  get addresses(): readonly string[] {
    return this.#parts.listeners.addresses().map(({ text }) => text)
  }

  /** The sockets of the console and of HTTP that are bound. */
  get serviceAddresses(): { readonly console: readonly string[]; readonly http: readonly string[] } {
    return this.#operations?.addresses() ?? { console: [], http: [] }
  }

  get settings(): Settings {
    return this.#generation.settings
  }

  /** decision records of TLS connections, and what the shadow mode has found */
  get decisions(): Decisions {
    return this.#parts.decisions
  }

  /** which pins of partners are in use, and which certificates are for servers only */
  get partnerReport(): PartnerReport {
    return this.#parts.partnerReport
  }

  /** Writes a line of the panic log, for what happens around the server. */
  tellPanic(level: Panic['level'], module: string, text: string): void {
    this.#parts.events.emit({ kind: 'panic', at: Date.now(), level, module, text })
  }

  /** what ends among certificates and revocation lists, clients' too, what ends first first */
  get expiring(): readonly Expiry[] {
    return this.#expiry.items()
  }

  /** warnings about the configuration in force */
  get warnings(): readonly Diagnostic[] {
    return this.#generation.warnings
  }

  /** what an operator can ask this process */
  get view(): LocalView {
    return this.#view
  }

  /** Asks an endpoint of a script. Undefined when no script has the path. */
  async askEndpoint(request: EndpointRequest, gone?: AbortSignal): Promise<EndpointAnswer | undefined> {
    return await this.#generation.policy.offers?.request(request, gone)
  }

  /** failed logins, which the workers of a node tell each other */
  get authFailures(): AuthFailures {
    return this.#parts.authFailures
  }

  /**
   * Reads the configuration again and puts it in force for new connections; reopens every log.
   * @throws ConfigError or ListenError; the configuration before stays in force
   */
  async reload(): Promise<void> {
    if (this.#live !== undefined) await this.#live.reload(SIGNAL)
    else await (await this.prepareReload()).commit()
  }

  /**
   * The first half of a reload: everything that can go wrong. No other change begins before the second half has ended.
   * @throws ConfigError or ListenError; the configuration before stays in force
   */
  async prepareReload(files?: SourceFiles): Promise<PreparedReload> {
    return await this.#turns.prepare(() => this.#prepare(files))
  }

  /** Delivers what a partition of the spool holds that no other process has. @throws SpoolLockedError, DataFileError */
  async adopt(partition: number): Promise<void> {
    const { spool, spoolOptions, queue } = this.#parts
    const part = await openPartition(spoolOptions, partition)
    spool.adopt(part)
    queue.adopt(part)
  }

  async #prepare(files: SourceFiles | undefined): Promise<PreparedReload> {
    const { events, ticketSecret, logs, listeners, hashQueue } = this.#parts
    await logs.reopen()
    const generation = await buildGeneration({
      source: { ...this.#options, ...(files && { files }) },
      number: this.#generation.number + 1,
      events,
      ticketSecret,
      hashQueue,
      previous: this.#generation,
    })
    const { settings } = generation
    const undo: (() => Promise<void>)[] = []
    const rollback = async (): Promise<void> => {
      for (const step of undo.toReversed()) await step()
      // it never came into force, and must not go on watching files or running timers
      this.#retire(generation)
    }
    try {
      const services = this.#servicesOf(generation)
      await this.#view.prepare(settings)
      const operations = await this.#operations?.prepare(settings)
      undo.push(async () => await operations?.rollback())
      const sockets = await listeners.prepare(settings)
      undo.push(() => sockets.rollback())
      const commit = async (): Promise<void> => {
        sockets.commit(() => this.#switch(generation, services))
        operations?.commit()
        this.#expiry.look()
        await logs.replace(settings)
      }
      return { commit, rollback }
    } catch (error) {
      await rollback()
      throw error
    }
  }

  #switch(generation: Generation, services: SessionServices): void {
    const { queue, notices, partnerReport, reserve } = this.#parts
    const { settings, partners } = generation
    this.#generation.tls.handOver(generation.tls)
    this.#retire(this.#generation)
    this.#generation = notices.generation = generation
    this.#services = services
    partnerReport.expect(partners.pins, warningTime(settings))
    reserve.octets = settings.global.spool_min_free
    queue.reload(settings, transportsOf(generation, this.#parts), hostnameOf(settings))
  }

  async #bind(): Promise<void> {
    await this.#view.prepare(this.settings)
    const operations = await this.#operations?.prepare(this.settings)
    try {
      await this.#parts.listeners.start()
    } catch (error) {
      await operations?.rollback()
      throw error
    }
    operations?.commit()
  }

  #openLive({ started }: Generation, read: ReadSource): LiveConfiguration {
    return liveConfiguration({
      read,
      started,
      events: this.#parts.events,
      main: this.#options.file,
      inForce: this,
      reopenLogs: () => this.#parts.logs.reopen(),
      apply: async (files) => await (await this.prepareReload(replaying(files))).commit(),
    })
  }

  #openOperations(): Operations {
    const view = this.#view
    return new Operations({
      events: this.#parts.events,
      services: view.services,
      metrics: async () => await view.metricsPage(),
      endpoint: (request, gone) => this.askEndpoint(request, gone),
      health: () => undefined,
      accept: (socket, scope, address) => this.#generation.tls.accept(socket, scope, address),
    })
  }

  /**
   * Stops accepting, lets sessions and deliveries under way end for at most 30 s, breaks off those that have not, and
   * closes. Resolves when done.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    const { listeners, queue, spool, logs } = this.#parts
    this.#live?.end()
    listeners.close()
    this.#operations?.close()
    this.#stopping.abort()
    this.#expiry.stop()
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(), this.#options.drainTime ?? DRAIN_MS)
    await Promise.race([this.#sessionsEnd(), aborted(deadline.signal)])
    for (const { socket } of this.#sessions.keys()) socket.destroy()
    if (this.#sessions.size > 0) await Promise.race([this.#sessionsEnd(), delay(GIVE_UP_MS)])
    this.#retire(this.#generation)
    await Promise.race([Promise.all(this.#retiring), delay(GIVE_UP_MS, undefined, { ref: false })])
    await queue.stop(deadline.signal)
    clearTimeout(timer)
    this.#operations?.end()
    await spool.close()
    await logs.close()
  }

  /** Certificates, CAs and lists are read anew, in their turn. @throws ConfigError; nothing has changed then */
  flushTls(): Promise<void> {
    return this.#turns.take(() => this.#flushTls())
  }

  /** Certificates, CAs and lists are read anew; everything else stays. Sessions under way keep what they began with. */
  async #flushTls(): Promise<void> {
    const before = this.#generation
    const { events, ticketSecret } = this.#parts
    const after = await withFreshTls(before, { events, ticketSecret })
    before.tls.handOver(after.tls)
    this.#generation = after
    this.#services = this.#servicesOf(this.#generation)
    const retired = this.#sessionsEnd().then(() => before.tls.close())
    this.#retiring.add(retired)
    void retired.finally(() => this.#retiring.delete(retired))
  }

  async #sessionsEnd(): Promise<void> {
    await Promise.all(this.#sessions.values())
  }

  /** A policy's timers stop now; it is told that it is no longer needed once the sessions that are under way have ended. */
  #retire({ policy, datasources, tls }: Generation): void {
    policy.retire?.()
    const retired = this.#sessionsEnd().then(async () => {
      try {
        await policy.close?.()
      } finally {
        await Promise.all([datasources.close(), tls.close()])
      }
    })
    this.#retiring.add(retired)
    void retired.finally(() => this.#retiring.delete(retired))
  }

  #serve(connection: Connection): void {
    const session = serveSession(connection, this.#services)
    this.#sessions.set(connection, session)
    void session.then(() => this.#sessions.delete(connection))
  }

  #servicesOf(generation: Generation): SessionServices {
    const { settings } = generation
    return {
      hostname: hostnameOf(settings),
      version: this.#options.version,
      tls: generation.tls.watch(),
      partners: generation.partners,
      ...(generation.authenticity === undefined ? {} : { authenticity: generation.authenticity }),
      policy: generation.policy,
      spool: this.#parts.spool,
      local: generation.local,
      events: this.#parts.events,
      ids: this.#parts.ids,
      clock: Date.now,
      auth: { stores: generation.stores, failures: this.#parts.authFailures },
      enqueue: (messages) =>
        this.#parts.queue.enqueue(messages.map(({ envelope }) => ({ envelope, state: FRESH }))),
      superseded: () => this.#generation.number !== generation.number,
      outbound: settings,
      loggedHeaders: loggedHeaders(settings.customLoggers),
      resolveScope: (listen, address, pathway) => settings.resolveInbound(listen, address, pathway),
      countSessions: (block) => this.#parts.listeners.sessionsOf(block),
      liveDecisions: this.#parts.decisions,
      liveSessions: this.#view,
      transcripts: this.#parts.transcripts,
      policyTime: (phase, milliseconds) => this.#view.policyTime(phase, milliseconds),
      shuttingDown: this.#stopping.signal,
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
