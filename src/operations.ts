/**
 * The parts through which an operator looks and acts, joined with the rest of the server: the console and HTTP. They
 * outlive every reload and follow the configuration: their sockets change together with those of mail, or not at all.
 */

import { statfs } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { normaliseAddress } from './config/address.ts'
import type { Diagnostic } from './config/diagnostic.ts'
import type { HttpListenSettings, ListenSettings, Settings } from './config/settings.ts'
import { Counters } from './console/counters.ts'
import { PanicMemory } from './console/panics.ts'
import { ConsoleServer } from './console/server.ts'
import type { ConsoleServices, Expiry } from './console/services.ts'
import type { DeliveryQueue } from './delivery/queue.ts'
import type { EventBus, Panic } from './events/events.ts'
import type { LiveSession, LiveSessions } from './events/live.ts'
import type { PartnerReport } from './events/partner-report.ts'
import type { Generation } from './generation.ts'
import { hostnameOf } from './hostname.ts'
import { ServiceSockets } from './listener/service-sockets.ts'
import type { Decisions } from './logs/decisions.ts'
import type { Logs } from './logs/logs.ts'
import { TlsHandshakeError } from './tls/gate.ts'
import type { Gauges, Metrics } from './web/metrics.ts'
import type { WebServer } from './web/server.ts'
import type { Visitor } from './web/visitor.ts'

/** What the server gives, and what it can be asked to do. */
export interface OperationsHost {
  readonly version: string
  readonly events: EventBus
  readonly logs: Logs
  readonly queue: DeliveryQueue
  readonly decisions: Decisions
  readonly partnerReport: PartnerReport
  /** what ends, the next one first */
  readonly expiring: () => readonly Expiry[]
  /** what is in force */
  readonly generation: () => Generation
  readonly reload: () => Promise<readonly Diagnostic[]>
  /** TLS files are read anew, for handshakes from now on */
  readonly flushTls: () => Promise<void>
}

/** handshakes of HTTP that may be under way at once */
const MAX_SHAKING = 64

export class Operations implements LiveSessions {
  readonly #host: OperationsHost
  readonly #sessions = new Set<() => LiveSession>()
  readonly #console: ConsoleServer
  readonly #consoleSockets: ServiceSockets<ListenSettings>
  readonly #webSockets: ServiceSockets<HttpListenSettings>
  /** made when the first HTTP_Listener comes into force */
  #web: { readonly server: WebServer; readonly metrics: Metrics } | undefined
  #shaking = 0

  constructor(host: OperationsHost) {
    this.#host = host
    const panic = (level: Panic['level'], module: string, text: string): void =>
      host.events.emit({ kind: 'panic', at: Date.now(), level, module, text })
    this.#console = new ConsoleServer({
      services: this.#consoleServices(),
      onPanic: (level, text) => panic(level, 'console', text),
    })
    this.#consoleSockets = new ServiceSockets({
      onSocket: (socket, { instance }) => this.#console.take(socket, instance),
      onClosed: ({ instance }) => this.#console.end(instance),
      onError: (text) => panic('error', 'console', text),
    })
    this.#webSockets = new ServiceSockets({
      onSocket: (socket, listen) => void this.#receive(socket, listen),
      onClosed: ({ instance }) => this.#web?.server.end(instance),
      onError: (text) => panic('error', 'web', text),
    })
  }

  /** A session begins. @returns what is called when it has ended */
  add(look: () => LiveSession): () => void {
    this.#sessions.add(look)
    return () => void this.#sessions.delete(look)
  }

  /** Policy has answered in a phase. */
  policyTime(phase: string, milliseconds: number): void {
    this.#web?.metrics.policyTime(phase, milliseconds)
  }

  /** What is bound. */
  addresses(): { readonly console: readonly string[]; readonly http: readonly string[] } {
    return { console: this.#consoleSockets.addresses(), http: this.#webSockets.addresses() }
  }

  /**
   * Binds what a configuration asks for, then does the rest of the change, and then puts it in force: all or nothing.
   * @throws ListenError, or what `change` throws; then everything here is as it was
   */
  async follow(settings: Settings, change: () => Promise<void>): Promise<void> {
    if (settings.httpListens.some(({ scope }) => scope.options.enable)) await this.#openWeb()
    const console = await this.#consoleSockets.prepare(settings.controlListens)
    try {
      const web = await this.#webSockets.prepare(settings.httpListens)
      try {
        await change()
      } catch (error) {
        await web.rollback()
        throw error
      }
      web.commit()
    } catch (error) {
      await console.rollback()
      throw error
    }
    console.commit()
  }

  /** Accepts nobody any more, and lets clients of the console go after the command that they wait for. */
  close(): void {
    this.#consoleSockets.close()
    this.#webSockets.close()
    this.#console.end()
  }

  /** Cuts off who is still there. */
  end(): void {
    this.#console.destroy()
    this.#web?.server.end()
  }

  #consoleServices(): ConsoleServices {
    const { version, events, logs, queue, generation, reload, flushTls, decisions, partnerReport, expiring } =
      this.#host
    const counters = new Counters(Date.now)
    const panics = new PanicMemory()
    events.subscribe((event) => counters.handle(event))
    events.subscribe((event) => panics.handle(event))
    return {
      version,
      pid: process.pid,
      started: Date.now(),
      clock: Date.now,
      hostname: () => hostnameOf(generation().settings),
      settings: () => generation().settings,
      counters,
      panics,
      sessions: () => [...this.#sessions].map((look) => look()),
      queue,
      reload,
      reopenLogs: () => logs.reopen(),
      scripts: () => generation().policy.offers,
      tls: { contexts: () => generation().tls.contexts, flush: flushTls },
      decisions,
      pins: () => partnerReport.pins(),
      serverOnly: () => partnerReport.serverOnly(),
      expiries: expiring,
    }
  }

  /** What HTTP needs is loaded where it is asked for. Facts are counted from then on. */
  async #openWeb(): Promise<void> {
    if (this.#web !== undefined) return
    const [{ WebServer }, { Metrics }] = await Promise.all([
      import('./web/server.ts'),
      import('./web/metrics.ts'),
    ])
    const { version, events } = this.#host
    const metrics = new Metrics({ version, gauges: () => this.#gauges() })
    const server = new WebServer({
      pages: new Map([
        ['/metrics', async () => ({ contentType: metrics.contentType, text: await metrics.text() })],
        ['/healthz', async () => ({ contentType: 'text/plain; charset=utf-8', text: 'ok\n' })],
      ]),
      endpoint: async (request) => await this.#host.generation().policy.offers?.request(request),
      onError: (text) => events.emit({ kind: 'panic', at: Date.now(), level: 'error', module: 'web', text }),
    })
    this.#web = { server, metrics }
    events.subscribe((event) => metrics.handle(event))
  }

  async #gauges(): Promise<Gauges> {
    const { queue, logs, generation, expiring } = this.#host
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
    }
  }

  /** A client of HTTP: through its handshake, where there is one. Never rejects. */
  async #receive(socket: Socket, listen: HttpListenSettings): Promise<void> {
    const web = this.#web?.server
    socket.on('error', () => undefined)
    if (web === undefined || !web.hasRoom) {
      socket.destroy()
      return
    }
    const about = {
      byCertificate: listen.authorizedByCertificate,
      scripts: listen.scriptEndpoints,
      place: listen.instance,
    }
    if (!listen.scope.options.use_ssl) {
      web.take(socket, { ...about, visitor: { kind: 'anybody' } })
      return
    }
    if (this.#shaking >= MAX_SHAKING) {
      socket.destroy()
      return
    }
    this.#shaking += 1
    try {
      const secure = await this.#shake(socket, listen)
      web.take(secure.socket, { ...about, visitor: secure.visitor })
    } catch (error) {
      socket.destroy()
      if (error instanceof TlsHandshakeError) return
      const text = `${listen.instance}: ${String(error)}`
      this.#host.events.emit({ kind: 'panic', at: Date.now(), level: 'error', module: 'web', text })
    } finally {
      this.#shaking -= 1
    }
  }

  async #shake(
    raw: Socket,
    { scope }: HttpListenSettings,
  ): Promise<{ readonly socket: Socket; readonly visitor: Visitor }> {
    const address = normaliseAddress(raw.remoteAddress ?? '') ?? ''
    const { socket, facts } = await this.#host.generation().tls.accept(raw, scope, address)
    const { peer } = facts
    return { socket, visitor: peer.kind === 'verified' ? { kind: 'certified', peer } : { kind: 'anybody' } }
  }
}
