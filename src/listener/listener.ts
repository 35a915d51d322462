/**
 * Listen stanzas → connections: binds, admits, hands over.
 *
 * All or nothing: when any socket of a configuration cannot be bound, none of it is used, and after a reload the one
 * before it stays in force. A reload binds what is new first, keeps what is unchanged open without a gap, and then
 * closes what is gone. Connections that are under way are not touched.
 *
 * How a socket becomes a connection is in `entrance.ts`.
 */

import type { Server, Socket } from 'node:net'
import { cidrContains } from '../config/address.ts'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { LimitCounts } from '../config/limit-counts.ts'
import type { Cidr, ListenSettings, Settings } from '../config/settings.ts'
import type { EventSink } from '../events/events.ts'
import { Admission, type Placement, type SessionLimits } from './admission.ts'
import { applyFileMode, BindError, bind } from './bind.ts'
import type { Connection } from './connection.ts'
import { descriptorLimit, sessionBudget } from './descriptors.ts'
import { Entrance, type SessionKey } from './entrance.ts'
import { describeServer, type Planned, planTargets } from './targets.ts'

/** Sockets of a new configuration that came in before it is in force wait; more than this are closed. */
const MAX_WAITING = 128

export interface ListenersOptions {
  readonly settings: Settings
  /** Takes over an admitted connection. What it throws closes that connection and nothing else. */
  readonly onConnection: (connection: Connection) => void
  readonly nextConnectionId: () => string
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** open files that the process may have; read from the system when not given */
  readonly descriptors?: number
  /** set where several processes of a node have the same sockets, which the first of them has bound for all */
  readonly node?: { readonly counts: LimitCounts } | undefined
}

/** A change that can still be taken back. */
export interface PreparedListeners {
  /** @param onSwitch called at the moment of the change, before the first connection under the new settings comes in */
  commit(onSwitch?: () => void): void
  rollback(): Promise<void>
}

/** Where a Listen is bound, with the real port when it asked for port 0. */
export interface BoundAddress {
  readonly listen: ListenSettings
  readonly text: string
}

/** One or more sockets could not be bound. Holds all of them, each with its Listen's place. */
export class ListenError extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics[0]?.message ?? 'cannot listen')
    this.name = 'ListenError'
    this.diagnostics = diagnostics
  }
}

interface Endpoint {
  planned: Planned
  readonly server: Server
  /** undefined once the configuration that asked for it is in force */
  waiting: Socket[] | undefined
}

export class Listeners {
  readonly #options: ListenersOptions
  readonly #descriptors: number
  readonly #admission: Admission<SessionKey>
  readonly #entrance: Entrance
  readonly #endpoints = new Map<string, Endpoint>()
  #settings: Settings
  #closed = false
  #lastChange: Promise<void> = Promise.resolve()

  constructor(options: ListenersOptions) {
    this.#options = options
    this.#settings = options.settings
    this.#descriptors = options.descriptors ?? descriptorLimit()
    this.#admission = new Admission(this.#sessionLimits(options.settings), options.node)
    this.#entrance = new Entrance({
      ...options,
      admission: this.#admission,
      resolve: (listen, address) => this.#settings.resolveInbound(listen, address),
      placeOf: (session) => this.#placeOf(session),
    })
  }

  /** Binds everything. @throws ListenError when anything cannot be bound; then nothing is open */
  start(): Promise<void> {
    return this.replaceSettings(this.#settings)
  }

  /**
   * Puts new settings in force for new connections. Calls follow one another.
   * @param onSwitch called at the moment of the change, before the first connection under the new settings is handed over
   * @throws ListenError when a socket cannot be bound; then everything is as it was before
   */
  replaceSettings(settings: Settings, onSwitch: () => void = () => undefined): Promise<void> {
    const change = this.#lastChange.then(() => this.#replace(settings, onSwitch))
    this.#lastChange = change.catch(() => undefined)
    return change
  }

  /** Stops accepting at once. Connections live on. */
  close(): void {
    this.#closed = true
    for (const endpoint of this.#endpoints.values()) closeEndpoint(endpoint)
    this.#entrance.close()
    this.#endpoints.clear()
  }

  /** What is bound, in the order of the configuration. */
  addresses(): readonly BoundAddress[] {
    return [...this.#endpoints.values()].map(({ planned, server }) => ({
      listen: planned.listen,
      text: describeServer(server, planned.listen),
    }))
  }

  /** Connections that are open now. */
  get sessions(): number {
    return this.#admission.sessions
  }

  /** Connections that are open now from an address block. */
  sessionsOf(block: Cidr): number {
    return this.#admission.count(({ address }) => cidrContains(block, address))
  }

  async #replace(settings: Settings, onSwitch: () => void): Promise<void> {
    const prepared = await this.prepare(settings)
    prepared.commit(onSwitch)
  }

  /**
   * Binds what is new, beside what is open. Nothing else may change until it is committed or rolled back.
   * @throws ListenError when a socket cannot be bound; then everything is as it was before
   */
  async prepare(settings: Settings): Promise<PreparedListeners> {
    const wanted = uniqueTargets(settings.listens)
    const added = [...wanted.values()].filter(({ key }) => !this.#endpoints.has(key))
    const removed = [...this.#endpoints].filter(([key]) => !wanted.has(key))
    const attempt = await this.#bindAll(added)
    // A socket that is to go may stand in the way of one that comes, as when `:25` is split into two families.
    const inTheWay =
      attempt.failures.length === 0 ? [] : removed.filter(([, old]) => blocks(old, attempt.failures))
    // other processes have that one too, and nobody could have it back if one of them failed
    const blocking = this.#options.node === undefined ? inTheWay.map(([, endpoint]) => endpoint) : []
    for (const endpoint of blocking) closeEndpoint(endpoint)
    if (blocking.length > 0) {
      const again = await this.#bindAll(attempt.failures.map(({ planned }) => planned))
      attempt.bound.push(...again.bound)
      attempt.failures.splice(0, attempt.failures.length, ...again.failures)
    }
    const rollback = async (): Promise<void> => {
      for (const endpoint of attempt.bound) closeEndpoint(endpoint)
      if (!this.#closed) await this.#reopen(blocking)
    }
    if (attempt.failures.length > 0) {
      await rollback()
      const diagnostics = attempt.failures.map(toDiagnostic)
      throw new ListenError(inTheWay.length > blocking.length ? diagnostics.map(needsStart) : diagnostics)
    }
    const commit = (onSwitch: () => void = () => undefined): void => {
      if (this.#closed) {
        for (const endpoint of attempt.bound) closeEndpoint(endpoint)
        return
      }
      for (const [, endpoint] of removed) closeEndpoint(endpoint)
      onSwitch()
      this.#putInForce(settings, wanted, attempt.bound)
    }
    return { commit, rollback }
  }

  async #bindAll(planned: readonly Planned[]): Promise<{ bound: Endpoint[]; failures: Failure[] }> {
    const bound: Endpoint[] = []
    const failures: Failure[] = []
    for (const one of planned) {
      try {
        bound.push(await this.#open(one))
      } catch (error) {
        if (!(error instanceof BindError)) throw error
        failures.push({ planned: one, error })
      }
    }
    return { bound, failures }
  }

  async #open(planned: Planned): Promise<Endpoint> {
    const waiting: Socket[] = []
    const holder: { endpoint?: Endpoint } = {}
    const shared = this.#options.node !== undefined
    const server = await bind({ ...planned, shared }, (socket) => {
      if (holder.endpoint === undefined) waiting.push(socket)
      else this.#arrive(holder.endpoint, socket)
    })
    server.on('error', (error) => this.#panic('error', `${planned.listen.instance}: ${error.message}`))
    holder.endpoint = { planned, server, waiting }
    return holder.endpoint
  }

  /** A reload failed after old sockets had been closed for it: they come back. */
  async #reopen(endpoints: readonly Endpoint[]): Promise<void> {
    const { bound, failures } = await this.#bindAll(endpoints.map(({ planned }) => planned))
    for (const endpoint of endpoints) this.#endpoints.delete(endpoint.planned.key)
    for (const endpoint of bound) {
      this.#endpoints.set(endpoint.planned.key, endpoint)
      this.#admitWaiting(endpoint)
    }
    for (const { error } of failures) this.#panic('critical', `after a failed reload: ${error.message}`)
  }

  #putInForce(settings: Settings, wanted: ReadonlyMap<string, Planned>, bound: readonly Endpoint[]): void {
    const open = new Map([
      ...this.#endpoints,
      ...bound.map((endpoint) => [endpoint.planned.key, endpoint] as const),
    ])
    this.#endpoints.clear()
    this.#settings = settings
    for (const [key, planned] of wanted) {
      const endpoint = open.get(key)
      if (endpoint === undefined) continue
      this.#adopt(endpoint, planned)
      this.#endpoints.set(key, endpoint)
    }
    this.#admission.recount(this.#sessionLimits(settings), (session) => this.#placeOf(session))
    for (const endpoint of this.#endpoints.values()) this.#admitWaiting(endpoint)
  }

  /** An endpoint that stays open takes over what its Listen says now. */
  #adopt(endpoint: Endpoint, planned: Planned): void {
    const before = endpoint.planned.listen.scope.options
    const after = planned.listen.scope.options
    endpoint.planned = planned
    try {
      if (before.file_mode !== after.file_mode) applyFileMode(planned.target)
    } catch (error) {
      this.#panic('error', `File_Mode of ${planned.listen.instance}: ${String(error)}`)
    }
    if (before.listen_backlog !== after.listen_backlog) {
      this.#panic(
        'warning',
        `Listen_Backlog of ${planned.listen.instance} changes when the server starts anew`,
      )
    }
  }

  #admitWaiting(endpoint: Endpoint): void {
    const waiting = endpoint.waiting ?? []
    endpoint.waiting = undefined
    for (const socket of waiting) this.#arrive(endpoint, socket)
  }

  #arrive(endpoint: Endpoint, socket: Socket): void {
    if (this.#closed || (endpoint.waiting !== undefined && endpoint.waiting.length >= MAX_WAITING)) {
      socket.destroy()
    } else if (endpoint.waiting !== undefined) {
      endpoint.waiting.push(socket)
    } else {
      this.#entrance.receive(endpoint.planned, socket)
    }
  }

  #placeOf({ endpoint, address }: SessionKey): Placement | undefined {
    const listen = this.#endpoints.get(endpoint)?.planned.listen
    return listen === undefined
      ? undefined
      : { listen, scope: this.#settings.resolveInbound(listen, address) }
  }

  #sessionLimits({ global, listens }: Settings): SessionLimits {
    const budget = sessionBudget(global.max_sessions, this.#descriptors)
    if (budget.warning !== undefined) this.#panic('warning', budget.warning)
    return {
      most: budget.sessions,
      node: this.#options.node === undefined ? 0 : global.max_sessions,
      service: listens.some(({ scope }) => scope.options.service_sessions > 0),
    }
  }

  #panic(level: 'warning' | 'error' | 'critical', text: string): void {
    this.#options.events.emit({ kind: 'panic', at: this.#options.clock(), level, module: 'listener', text })
  }
}

interface Failure {
  readonly planned: Planned
  readonly error: BindError
}

/** @throws ListenError when two Listens ask for the same socket */
function uniqueTargets(listens: readonly ListenSettings[]): Map<string, Planned> {
  const wanted = new Map<string, Planned>()
  const diagnostics: Diagnostic[] = []
  for (const planned of planTargets(listens)) {
    const first = wanted.get(planned.key)
    if (first === undefined) {
      wanted.set(planned.key, planned)
      continue
    }
    const message = `Listen "${planned.listen.instance}" asks for the same socket as Listen "${first.listen.instance}"`
    const note = { message: 'the first one is here', at: first.listen.at }
    diagnostics.push({ severity: 'error', message, at: planned.listen.at, note })
  }
  if (diagnostics.length > 0) throw new ListenError(diagnostics)
  return wanted
}

/** What one process can do by closing the old socket first. */
function needsStart(diagnostic: Diagnostic): Diagnostic {
  const message = `${diagnostic.message}; with several workers, a Listen that takes the place of another one needs a start`
  return { ...diagnostic, message }
}

function toDiagnostic({ planned, error }: Failure): Diagnostic {
  return { severity: 'error', message: error.message, at: planned.listen.at }
}

function blocks(old: Endpoint, failures: readonly Failure[]): boolean {
  const held = old.planned.target
  return failures.some(({ planned: { target }, error }) => {
    if (error.code !== 'EADDRINUSE' || held.kind !== target.kind) return false
    if (held.kind === 'tcp') return target.kind === 'tcp' && held.port === target.port
    return target.kind === 'unix' && held.path === target.path
  })
}

function closeEndpoint(endpoint: Endpoint): void {
  endpoint.server.close()
  for (const socket of endpoint.waiting ?? []) socket.destroy()
  endpoint.waiting = undefined
}
