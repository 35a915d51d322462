/**
 * One node of several processes: the supervisor has the configuration, the lock of the spool, the sockets of operators
 * and the secret of tickets; its workers have the mail (docs/processes.md). It looks like a `Server` to whoever runs it.
 */

import { resolve } from 'node:path'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { LiveConfiguration } from '../config/live/live-configuration.ts'
import { type RecordedFiles, replaying } from '../config/recorded-files.ts'
import type { Settings } from '../config/settings.ts'
import { diskFiles } from '../config/source.ts'
import { PanicMemory } from '../console/panics.ts'
import { EventBus, type Panic, type ServerEvent } from '../events/events.ts'
import { hostnameOf } from '../hostname.ts'
import { planTargets } from '../listener/targets.ts'
import { type Logs, openLogs } from '../logs/logs.ts'
import { liveConfiguration, SIGNAL } from '../operator/live-host.ts'
import { Operations } from '../operator/operations.ts'
import { TraceDesk } from '../operator/trace-desk.ts'
import { AuthFailures } from '../smtp/auth/failures.ts'
import type { SpoolLock } from '../spool/lock.ts'
import { partitionsIn } from '../spool/partitions.ts'
import { explained, lockSpool } from '../standing-parts.ts'
import { TlsHandshakeError } from '../tls/gate.ts'
import { TicketSecret } from '../tls/ticket-secret.ts'
import { insideOf } from './ask-inside.ts'
import { askQueues } from './ask-queues.ts'
import {
  type Configuration,
  clearPaths,
  configurationOf,
  httpTls,
  nodeWarnings,
  tightly,
} from './configuration.ts'
import { Crew } from './crew.ts'
import { addCounts } from './merge.ts'
import { makeTableFolder, NodeCounts, removeTableFolder } from './node-counts.ts'
import { NodeMetrics } from './node-metrics.ts'
import { type NodeHost, nodeServices, servicesOf } from './node-view.ts'
import type { Started, StartOptions } from './protocol.ts'
import { RollingRestart } from './rolling-restart.ts'
import type { Snapshot } from './snapshot.ts'
import { commitWorkers, prepareWorkers } from './two-phase.ts'
import { type WorkerHandle, WorkerSilentError } from './worker-handle.ts'

export interface SupervisorOptions {
  readonly file: string
  readonly version: string
  /** at least 1 */
  readonly workers: number
  /** what `shutdown` at the console does */
  readonly onShutdown?: (() => void) | undefined
  /** milliseconds of silence after which a worker is killed; a minute unless given */
  readonly hangBound?: number | undefined
  /** told of the supervisor's own facts; workers write theirs to stderr themselves */
  readonly onEvent: (event: ServerEvent) => void
}

const VIEW_MS = 3000
const COMMIT_MS = 20_000
/** a script's command may wait */
const COMMAND_MS = 35_000
const HANG_MS = 60_000

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #events: EventBus
  readonly #logs: Logs
  readonly #panics = new PanicMemory()
  readonly #lock: SpoolLock
  readonly #tableFolder: string
  readonly #counts: NodeCounts
  readonly #crew: Crew
  readonly #rolling: RollingRestart
  readonly #metrics: NodeMetrics
  readonly #operations: Operations
  readonly #ticketSecret: TicketSecret
  readonly #failures = new AuthFailures(Date.now)
  readonly #began: Settings
  readonly #beganAt = Date.now()
  readonly #umask = process.umask()
  readonly #traces = new TraceDesk(async (order) => {
    const { missing } = await insideOf(this.#crew).ask('trace', order)
    if (missing.length > 0) throw new WorkerSilentError(missing.join('; '))
  })
  readonly #live: LiveConfiguration
  #inForce: Configuration
  #started: Started = { addresses: [], warnings: [] }
  #countedSince = Date.now()
  #gone: Snapshot['counters']['counts'] = { delivered: 0, failed: 0, rejected: 0, received: 0 }
  #stopped: Promise<void> | undefined

  /** Use `Supervisor.start`. */
  // oxlint-disable-next-line max-params -- what only `start` can make, because it has to wait for it
  private constructor(
    options: SupervisorOptions,
    configuration: Configuration,
    base: { readonly events: EventBus; readonly ticketSecret: TicketSecret },
    spool: { readonly lock: SpoolLock; readonly partitions: readonly number[] },
  ) {
    this.#options = options
    this.#inForce = configuration
    this.#events = base.events
    this.#ticketSecret = base.ticketSecret
    this.#lock = spool.lock
    this.#began = configuration.settings
    this.#tableFolder = makeTableFolder(this.#began.global.spoolbase.path)
    this.#counts = new NodeCounts(this.#tableFolder, 0)
    this.#counts.takeRoom()
    this.#logs = openLogs(this.#began, {
      clock: Date.now,
      onError: (message) => process.stderr.write(`postern: ${message}\n`),
    })
    this.#crew = new Crew({
      workers: options.workers,
      counts: this.#counts,
      partitions: spool.partitions,
      startOptions: (index, partitions) => this.#startOptions(index, partitions),
      prepareStart: async () => {
        if (this.#crew.serving.length === 0) await clearPaths(this.settings, [])
      },
      onFailure: (failure, from) => {
        this.#failures.note(failure)
        for (const worker of this.#crew.present) if (worker !== from) worker.note(failure)
      },
      onTraced: (traced) => this.#traces.receive(traced),
      onGone: (worker) => this.#remember(worker),
      panic: (level, text) => this.tellPanic(level, 'core', text),
      hangBound: options.hangBound ?? HANG_MS,
      onHung: () => this.#metrics.countHang(),
    })
    this.#rolling = new RollingRestart(this.#crew)
    this.#metrics = new NodeMetrics({
      version: options.version,
      reserve: () => this.settings.global.spool_min_free,
      workers: () => this.#crew.present,
      expected: options.workers,
    })
    this.#live = this.#openLive(configuration)
    this.#operations = this.#openOperations()
    for (const listener of [this.#logs, this.#panics, this.#metrics])
      this.#events.subscribe((event) => listener.handle(event))
  }

  /**
   * Reads the configuration, locks the spool, starts the workers and binds everything.
   * @throws ConfigError, ListenError, SpoolLockedError as `Server.start`; no process is left then
   */
  static async start(options: SupervisorOptions): Promise<Supervisor> {
    const events = new EventBus((error) =>
      process.stderr.write(`postern: a listener failed: ${String(error)}\n`),
    )
    events.subscribe(options.onEvent)
    const ticketSecret = new TicketSecret()
    const configuration = await configurationOf(options.file, { events, ticketSecret })
    const { spoolbase, spool_mode } = configuration.settings.global
    const spool = await explained(configuration.settings, async () => {
      const lock = await lockSpool({ path: spoolbase.path, mode: spool_mode })
      return { lock, partitions: await partitionsIn(resolve(spoolbase.path)) }
    })
    const supervisor = new Supervisor(options, configuration, { events, ticketSecret }, spool)
    try {
      await supervisor.#begin()
    } catch (error) {
      await supervisor.stop()
      throw error
    }
    return supervisor
  }

  /** What is bound, in the order of the Listen stanzas. */
  get addresses(): readonly string[] {
    return this.#started.addresses
  }

  get serviceAddresses(): { readonly console: readonly string[]; readonly http: readonly string[] } {
    return this.#operations.addresses()
  }

  get settings(): Settings {
    return this.#inForce.settings
  }

  /** warnings about the configuration in force */
  get warnings(): readonly Diagnostic[] {
    const { warnings } = this.#started
    return nodeWarnings(this.settings, this.#began, this.#crew.size, warnings)
  }

  /** process ids of the workers */
  get workers(): readonly number[] {
    return this.#crew.pids
  }

  /** Writes a line of the panic log. */
  tellPanic(level: Panic['level'], module: string, text: string): void {
    this.#events.emit({ kind: 'panic', at: Date.now(), level, module, text })
  }

  /**
   * Reads the configuration again and puts it in force in every worker, or in none; reopens every log.
   * @throws ConfigError or ListenError; the configuration before stays in force
   */
  async reload(): Promise<void> {
    await this.#live.reload(SIGNAL)
  }

  /** Drains every worker, for at most 30 s, and closes. Resolves when the last one has ended. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #begin(): Promise<void> {
    const operations = await this.#prepareOperations(this.settings)
    try {
      const all = await tightly(this.settings, this.#umask, () => this.#crew.start())
      this.#started = all[0] ?? this.#started
    } catch (error) {
      await operations.rollback()
      throw error
    }
    operations.commit()
    this.#inForce.tls?.watch()
  }

  #startOptions(index: number, partitions: readonly number[]): StartOptions {
    const { file, version, workers } = this.#options
    // where the lock is, whatever a reload has said since
    const { spoolbase, spool_mode } = this.#began.global
    const role = { file, version, workers, index, partitions }
    return {
      ...role,
      files: this.#inForce.files,
      spool: { path: spoolbase.path, mode: spool_mode },
      ticketSecret: this.#ticketSecret.state(Date.now()),
      tableFolder: this.#tableFolder,
      failures: this.#failures.entries(),
      umask: this.#umask,
    }
  }

  #openLive({ settings, files }: Configuration): LiveConfiguration {
    return liveConfiguration({
      main: this.#options.file,
      read: { below: diskFiles, stored: true, record: files },
      events: this.#events,
      started: settings,
      inForce: this,
      reopenLogs: async () => {
        await Promise.all([this.#logs.reopen(), this.#crew.askAll('reopenLogs', undefined, COMMIT_MS)])
      },
      apply: async (next) => await this.#crew.inTurn(() => this.#putInForce(next)),
    })
  }

  async #putInForce(files: RecordedFiles): Promise<void> {
    const before = this.#inForce
    const base = { events: this.#events, ticketSecret: this.#ticketSecret, previous: before.tls }
    const next = await configurationOf(this.#options.file, base, replaying(files))
    try {
      await clearPaths(
        next.settings,
        planTargets(before.settings.listens).map(({ key }) => key),
      )
      const operations = await this.#prepareOperations(next.settings)
      try {
        await tightly(next.settings, this.#umask, () => prepareWorkers(this.#crew, next.files))
      } catch (error) {
        await operations.rollback()
        throw error
      }
      // who begins from now on begins with this one
      this.#inForce = next
      operations.commit()
    } catch (error) {
      await next.tls?.close()
      throw error
    }
    if (before.tls !== undefined && next.tls !== undefined) before.tls.handOver(next.tls)
    next.tls?.watch()
    const first = await commitWorkers(this.#crew, (text) => this.tellPanic('critical', 'core', text))
    if (first !== undefined) this.#started = { ...this.#started, ...first }
    await before.tls?.close()
    await this.#logs.replace(next.settings)
  }

  async #stop(): Promise<void> {
    this.#live.end()
    this.#operations.close()
    await this.#crew.stop()
    this.#operations.end()
    await this.#inForce.tls?.close()
    await this.#logs.close()
    this.#counts.close()
    removeTableFolder(this.#tableFolder)
    this.#lock.release()
  }

  async #prepareOperations(settings: Settings): ReturnType<Operations['prepare']> {
    if (settings.httpListens.some(({ scope }) => scope.options.enable)) await this.#metrics.open()
    return await this.#operations.prepare(settings)
  }

  #remember(worker: WorkerHandle): void {
    this.#gone = addCounts([this.#gone, worker.counted])
    void this.#metrics
      .remember(worker)
      .catch((error: unknown) =>
        this.tellPanic('error', 'web', `metrics of ${worker.name}: ${String(error)}`),
      )
  }

  #openOperations(): Operations {
    const host = this.#nodeHost()
    return new Operations({
      events: this.#events,
      services: servicesOf(host, []),
      servicesFor: async (words) => await nodeServices(host, words),
      metrics: async () => await this.#metrics.page(),
      endpoint: async (request, gone) => {
        const [worker] = this.#crew.serving
        if (worker === undefined) return { kind: 'busy' }
        try {
          return await worker.ask('endpoint', request, COMMAND_MS, gone)
        } catch (error) {
          this.tellPanic('error', 'web', `${request.path}: ${String(error)}`)
          return { kind: 'failed' }
        }
      },
      health: () => {
        if (this.#crew.serving.length === 0) throw new Error('no worker serves mail')
      },
      accept: async (socket, scope, address) => {
        const { tls } = this.#inForce
        if (tls === undefined) throw new TlsHandshakeError('TLS is not available here')
        return await tls.accept(socket, scope, address)
      },
    })
  }

  #nodeHost(): NodeHost {
    return {
      version: this.#options.version,
      pid: process.pid,
      started: this.#beganAt,
      clock: Date.now,
      hostname: () => hostnameOf(this.settings),
      settings: () => this.settings,
      configuration: this.#live,
      reload: async () => {
        await this.reload()
        return this.warnings
      },
      reopenLogs: async () => {
        await this.#logs.reopen()
        await this.#all('reopenLogs')
      },
      flushTls: () => this.#crew.inTurn(() => this.#flushTls()),
      panics: this.#panics,
      counted: () => ({ since: this.#countedSince, gone: this.#gone }),
      resetCounters: () => {
        this.#countedSince = Date.now()
        this.#gone = addCounts([])
        for (const worker of this.#crew.present) worker.counted = this.#gone
        void this.#crew.askAll('resetCounters', undefined, VIEW_MS).catch(() => undefined)
      },
      account: (act) => this.#events.emit(act),
      askQueue: async (topic, order) => await askQueues(this.#crew, topic, order),
      inside: insideOf(this.#crew),
      traces: this.#traces,
      shutdown: this.#options.onShutdown,
      restartWorkers: async () => await this.#rolling.run(),
      gather: async (parts) => await this.#crew.askAll('view', { parts }, VIEW_MS),
      command: async (words) => (await this.#crew.askAll('command', { words }, COMMAND_MS)).answers,
    }
  }

  /** Of the workers, and of HTTP. */
  async #flushTls(): Promise<void> {
    await this.#all('flushTls')
    const before = this.#inForce
    const base = { events: this.#events, ticketSecret: this.#ticketSecret, previous: before.tls }
    const tls = await httpTls(before.settings, base)
    if (tls === undefined) return
    tls.shared.cache.clear()
    this.#inForce = { ...before, tls }
    before.tls?.handOver(tls)
    tls.watch()
    await before.tls?.close()
  }

  /** @throws what a worker met, or that one did not answer */
  async #all(topic: 'reopenLogs' | 'flushTls'): Promise<void> {
    const { missing } = await this.#crew.askAll(topic, undefined, COMMIT_MS)
    if (missing.length > 0) throw new WorkerSilentError(missing.join('; '))
  }
}
