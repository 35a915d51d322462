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
import type { Settings } from './config/settings.ts'
import { DeliveryQueue } from './delivery/queue.ts'
import { EventBus, type Panic, type ServerEvent } from './events/events.ts'
import type { PartnerReport } from './events/partner-report.ts'
import { buildGeneration, type ConfigurationSource, type Generation, withFreshTls } from './generation.ts'
import { hostnameOf } from './hostname.ts'
import type { Connection } from './listener/connection.ts'
import { deliveryBudget } from './listener/descriptors.ts'
import { Listeners } from './listener/listener.ts'
import type { Decisions } from './logs/decisions.ts'
import type { Logs } from './logs/logs.ts'
import { IdGenerator } from './mail/message-id.ts'
import { Operations } from './operations.ts'
import { AuthFailures } from './smtp/auth/failures.ts'
import { HashQueue } from './smtp/auth/hash-queue.ts'
import type { SessionServices } from './smtp/services.ts'
import { serveSession } from './smtp/session.ts'
import type { DeliveryState, Spool } from './spool/spool.ts'
import { keepFacts, openSpoolOf, warningTime } from './standing-parts.ts'
import { type Expiry, ExpiryWatch } from './tls/expiry-watch.ts'
import { TicketSecret } from './tls/ticket-secret.ts'
import { transportsOf } from './transports.ts'

/** how long `stop` waits for sessions and deliveries under way */
const DRAIN_MS = 30_000
/** how long sessions may take to notice that their connection is gone: one whose script still waits is left behind */
const GIVE_UP_MS = 1000

export interface ServerOptions extends ConfigurationSource {
  readonly version: string
  /** told every fact, beside the logs; for the terminal and for tests */
  readonly onEvent?: (event: ServerEvent) => void
  /** milliseconds that `stop` waits for sessions and deliveries under way; 30,000 unless given */
  readonly drainTime?: number
}

/** The parts that outlive a reload. */
interface Parts {
  readonly events: EventBus
  readonly ids: IdGenerator
  readonly ticketSecret: TicketSecret
  readonly logs: Logs
  /** the decision records that can be asked for */
  readonly decisions: Decisions
  readonly partnerReport: PartnerReport
  readonly spool: Spool
  readonly queue: DeliveryQueue
  readonly listeners: Listeners
  /** Spool_Min_Free, which a reload may change */
  readonly reserve: { octets: number }
  /** failed logins, by address */
  readonly authFailures: AuthFailures
  /** what hashes passwords: few at once, over all generations */
  readonly hashQueue: HashQueue
}

/** where a message stands that was just accepted: due at once */
const FRESH: DeliveryState = { attempts: 0, nextAttempt: 0, failed: false, lastText: '' }

export class Server {
  readonly #options: ServerOptions
  readonly #parts: Parts
  readonly #stopping = new AbortController()
  readonly #sessions = new Map<Connection, Promise<void>>()
  /** policies that wait for their last session */
  readonly #retiring = new Set<Promise<void>>()
  readonly #expiry: ExpiryWatch
  readonly #operations: Operations
  /** reloads and the like follow one another */
  #lastChange: Promise<unknown> = Promise.resolve()
  #stopped: Promise<void> | undefined
  #generation: Generation
  #services: SessionServices

  /** Use `Server.start`. */
  private constructor(options: ServerOptions, parts: Omit<Parts, 'listeners'>, generation: Generation) {
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
      }),
    }
    this.#operations = new Operations({
      ...parts,
      version: options.version,
      generation: () => this.#generation,
      reload: () => this.reload().then(() => this.warnings),
      flushTls: () => this.#inTurn(() => this.#flushTls()),
      expiring: () => this.expiring,
    })
    this.#services = this.#servicesOf(generation)
    this.#expiry = new ExpiryWatch({
      configured: () => this.#generation.tls.inventory,
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
    const events = new EventBus((error) =>
      process.stderr.write(`postern: a listener failed: ${String(error)}\n`),
    )
    if (options.onEvent !== undefined) events.subscribe(options.onEvent)
    const ticketSecret = new TicketSecret()
    const hashQueue = new HashQueue()
    const generation = await buildGeneration({
      source: options,
      number: 1,
      events,
      ticketSecret,
      hashQueue,
    })
    const { settings } = generation
    const ids = new IdGenerator({ pid: process.pid, clock: Date.now })
    const facts = keepFacts(settings, events)
    const { spoolbase, spool_mode, spool_min_free, reception_memory } = settings.global
    const reserve = { octets: spool_min_free }
    const spool = await openSpoolOf(settings, {
      path: spoolbase.path,
      mode: spool_mode,
      get minFree() {
        return reserve.octets
      },
      receptionMemory: reception_memory,
      clock: Date.now,
      events,
    })
    const transports = transportsOf(settings, {
      events,
      material: generation.sessionMaterial,
      webhooks: generation.webhookMaterial,
    })
    const queue = new DeliveryQueue({
      spool,
      settings,
      transports,
      events,
      ids,
      hostname: hostnameOf(settings),
      concurrency: deliveryBudget(),
    })
    facts.partnerReport.expect(generation.partners.pins, warningTime(settings))
    const authFailures = new AuthFailures(Date.now)
    const parts = { events, ids, ticketSecret, ...facts, spool, queue, reserve, authFailures, hashQueue }
    const server = new Server(options, parts, generation)
    try {
      await server.#operations.follow(settings, () => server.#parts.listeners.start())
    } catch (error) {
      await Promise.allSettled([spool.close(), facts.logs.close()])
      throw error
    }
    queue.start()
    server.#expiry.start()
    return server
  }

  /** What is bound, in the order of the Listen stanzas: `127.0.0.1:25`, `[::]:25`, `/run/postern.sock`. */
  get addresses(): readonly string[] {
    return this.#parts.listeners.addresses().map(({ text }) => text)
  }

  /** The sockets of the console and of HTTP that are bound. */
  get serviceAddresses(): { readonly console: readonly string[]; readonly http: readonly string[] } {
    return this.#operations.addresses()
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

  /**
   * Reads the configuration again and puts it in force for new connections; reopens every log.
   * @throws ConfigError or ListenError; the configuration before stays in force
   */
  reload(): Promise<void> {
    return this.#inTurn(() => this.#reload())
  }

  async #reload(): Promise<void> {
    const { events, ticketSecret, logs, queue, listeners, hashQueue } = this.#parts
    await logs.reopen()
    const generation = await buildGeneration({
      source: this.#options,
      number: this.#generation.number + 1,
      events,
      ticketSecret,
      hashQueue,
      previous: this.#generation,
    })
    const services = this.#servicesOf(generation)
    const change = (): Promise<void> =>
      listeners.replaceSettings(generation.settings, () => {
        this.#generation.tls.handOver(generation.tls)
        this.#retire(this.#generation)
        this.#generation = generation
        this.#services = services
        this.#parts.partnerReport.expect(generation.partners.pins, warningTime(generation.settings))
        this.#parts.reserve.octets = generation.settings.global.spool_min_free
        const { settings, sessionMaterial: material, webhookMaterial: webhooks } = generation
        queue.reload(settings, transportsOf(settings, { events, material, webhooks }), hostnameOf(settings))
      })
    await this.#operations.follow(generation.settings, change).catch((error: unknown) => {
      // it never came into force, and must not go on watching files or running timers
      this.#retire(generation)
      throw error
    })
    this.#expiry.look()
    await logs.replace(generation.settings)
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
    listeners.close()
    this.#operations.close()
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
    this.#operations.end()
    await spool.close()
    await logs.close()
  }

  /** Changes of what is in force follow one another. */
  #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#lastChange.then(change)
    this.#lastChange = done.catch(() => undefined)
    return done
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
    void session.finally(() => this.#sessions.delete(connection))
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
      liveSessions: this.#operations,
      policyTime: (phase, milliseconds) => this.#operations.policyTime(phase, milliseconds),
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
