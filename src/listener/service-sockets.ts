/**
 * The listening sockets of a part of the server that is not for mail: the console, HTTP.
 *
 * A change has two steps, so that it can be part of a larger one: `prepare` binds what is new, beside what is open, and
 * then either `commit` puts it in force and closes what is gone, or `rollback` leaves everything as it was. Sockets that
 * come in meanwhile wait. Changes must follow one another.
 */

import type { Server, Socket } from 'node:net'
import type { ListenSettings } from '../config/settings.ts'
import { applyFileMode, BindError, bind } from './bind.ts'
import { ListenError } from './listener.ts'
import { describeServer, type Planned, planTargets } from './targets.ts'

/** sockets of a new configuration that came in before it is in force; more than this are closed */
const MAX_WAITING = 16

export interface ServiceSocketsOptions<Listen extends ListenSettings> {
  /** Takes a socket that is paused, and on which nobody has read or written. What it throws closes that socket. */
  readonly onSocket: (socket: Socket, listen: Listen) => void
  /** A Listen is no longer in force, and nobody comes in there. */
  readonly onClosed: (listen: Listen) => void
  readonly onError: (text: string) => void
}

/** A change that can still be taken back. */
export interface PreparedSockets {
  commit(): void
  rollback(): Promise<void>
}

interface Endpoint<Listen> {
  planned: Planned & { readonly listen: Listen }
  readonly server: Server
  /** undefined once the configuration that asked for it is in force */
  waiting: Socket[] | undefined
}

interface Failure<Listen> {
  readonly planned: Endpoint<Listen>['planned']
  readonly error: BindError
}

export class ServiceSockets<Listen extends ListenSettings> {
  readonly #options: ServiceSocketsOptions<Listen>
  #endpoints: ReadonlyMap<string, Endpoint<Listen>> = new Map()
  #closed = false

  constructor(options: ServiceSocketsOptions<Listen>) {
    this.#options = options
  }

  /** What is bound, in the order of the configuration. */
  addresses(): readonly string[] {
    return [...this.#endpoints.values()].map(({ server, planned }) => describeServer(server, planned.listen))
  }

  /** Binds what is new. @throws ListenError with everything that cannot be bound; nothing has changed then */
  async prepare(listens: readonly Listen[]): Promise<PreparedSockets> {
    const wanted = new Map(plan(listens).map((planned) => [planned.key, planned]))
    const added = [...wanted.values()].filter(({ key }) => !this.#endpoints.has(key))
    const gone = [...this.#endpoints.values()].filter(({ planned }) => !wanted.has(planned.key))
    const bound: Endpoint<Listen>[] = []
    const moved: Endpoint<Listen>[] = []
    const rollback = async (): Promise<void> => {
      for (const endpoint of bound) shut(endpoint)
      if (!this.#closed) await this.#reopen(moved)
    }
    const failures = await this.#bindAll(added, bound)
    // what is to go may stand in the way of what comes, as when `:8080` becomes `127.0.0.1:8080`
    if (failures.some(({ error }) => error.code === 'EADDRINUSE') && gone.length > 0) {
      moved.push(...gone)
      for (const endpoint of moved) shut(endpoint)
      const again = failures.splice(0).map(({ planned }) => planned)
      failures.push(...(await this.#bindAll(again, bound)))
    }
    if (failures.length > 0) {
      await rollback()
      throw new ListenError(
        failures.map(({ planned, error }) => ({
          severity: 'error',
          message: error.message,
          at: planned.listen.at,
        })),
      )
    }
    return { rollback, commit: () => this.#commit(wanted, bound, gone) }
  }

  /** Stops accepting. Who is connected stays. */
  close(): void {
    this.#closed = true
    for (const endpoint of this.#endpoints.values()) shut(endpoint)
    this.#endpoints = new Map()
  }

  async #bindAll(
    planned: readonly Endpoint<Listen>['planned'][],
    into: Endpoint<Listen>[],
  ): Promise<Failure<Listen>[]> {
    const failures: Failure<Listen>[] = []
    for (const one of planned) {
      try {
        into.push(await this.#open(one))
      } catch (error) {
        if (!(error instanceof BindError)) throw error
        failures.push({ planned: one, error })
      }
    }
    return failures
  }

  async #open(planned: Endpoint<Listen>['planned']): Promise<Endpoint<Listen>> {
    const early: Socket[] = []
    const holder: { endpoint?: Endpoint<Listen> } = {}
    const server = await bind(planned, (socket) => {
      if (holder.endpoint === undefined) early.push(socket)
      else this.#arrive(holder.endpoint, socket)
    })
    server.on('error', (error) => this.#options.onError(`${planned.listen.instance}: ${error.message}`))
    holder.endpoint = { planned, server, waiting: early }
    return holder.endpoint
  }

  #commit(
    wanted: ReadonlyMap<string, Endpoint<Listen>['planned']>,
    bound: readonly Endpoint<Listen>[],
    gone: readonly Endpoint<Listen>[],
  ): void {
    if (this.#closed) {
      for (const endpoint of bound) shut(endpoint)
      return
    }
    for (const endpoint of gone) {
      shut(endpoint)
      this.#options.onClosed(endpoint.planned.listen)
    }
    const open = new Map(this.#endpoints)
    for (const endpoint of bound) open.set(endpoint.planned.key, endpoint)
    const now = new Map<string, Endpoint<Listen>>()
    for (const [key, planned] of wanted) {
      const endpoint = open.get(key)
      if (endpoint === undefined) continue
      this.#adopt(endpoint, planned)
      now.set(key, endpoint)
    }
    this.#endpoints = now
    for (const endpoint of now.values()) {
      const waiting = endpoint.waiting ?? []
      endpoint.waiting = undefined
      for (const socket of waiting) this.#arrive(endpoint, socket)
    }
  }

  /** A socket that stays open takes over what its Listen says now. */
  #adopt(endpoint: Endpoint<Listen>, planned: Endpoint<Listen>['planned']): void {
    const before = endpoint.planned.listen.scope.options
    const after = planned.listen.scope.options
    endpoint.planned = planned
    try {
      if (before.file_mode !== after.file_mode) applyFileMode(planned.target)
    } catch (error) {
      this.#options.onError(`File_Mode of ${planned.listen.instance}: ${String(error)}`)
    }
    if (before.listen_backlog !== after.listen_backlog)
      this.#options.onError(
        `Listen_Backlog of ${planned.listen.instance} changes when the server starts anew`,
      )
  }

  /** A change was taken back after old sockets had been closed for it. */
  async #reopen(endpoints: readonly Endpoint<Listen>[]): Promise<void> {
    const bound: Endpoint<Listen>[] = []
    const failures = await this.#bindAll(
      endpoints.map(({ planned }) => planned),
      bound,
    )
    const open = new Map(this.#endpoints)
    for (const { planned } of endpoints) open.delete(planned.key)
    for (const endpoint of bound) open.set(endpoint.planned.key, endpoint)
    this.#endpoints = open
    for (const endpoint of bound) {
      const waiting = endpoint.waiting ?? []
      endpoint.waiting = undefined
      for (const socket of waiting) this.#arrive(endpoint, socket)
    }
    for (const { error } of failures) this.#options.onError(`after a failed change: ${error.message}`)
  }

  #arrive(endpoint: Endpoint<Listen>, socket: Socket): void {
    if (this.#closed || (endpoint.waiting !== undefined && endpoint.waiting.length >= MAX_WAITING)) {
      socket.destroy()
    } else if (endpoint.waiting !== undefined) {
      socket.on('error', () => undefined)
      endpoint.waiting.push(socket)
    } else {
      this.#hand(endpoint, socket)
    }
  }

  #hand({ planned }: Endpoint<Listen>, socket: Socket): void {
    try {
      this.#options.onSocket(socket, planned.listen)
    } catch (error) {
      this.#options.onError(`${planned.listen.instance}: ${String(error)}`)
      socket.destroy()
    }
  }
}

function plan<Listen extends ListenSettings>(listens: readonly Listen[]): Endpoint<Listen>['planned'][] {
  const own = new Map<ListenSettings, Listen>(listens.map((listen) => [listen, listen]))
  return planTargets(listens).flatMap((planned) => {
    const listen = own.get(planned.listen)
    return listen === undefined ? [] : [{ ...planned, listen }]
  })
}

function shut(endpoint: Endpoint<unknown>): void {
  endpoint.server.close()
  for (const socket of endpoint.waiting ?? []) socket.destroy()
  endpoint.waiting = undefined
}
