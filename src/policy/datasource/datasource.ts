/**
 * `datasource "name" { … }` (momentum: modules/ds-core): databases that are asked by name, with kept connections and a
 * cache of results. Who asks waits; nobody else does.
 *
 * Every query has a deadline, and so many may wait. Of several addresses each is asked in turn, and one that cannot be
 * reached is passed over. Errors are never cached.
 */

import type { DatasourceSettings, DatasourceUri } from '../../config/settings.ts'
import {
  DatasourceBusyError,
  DatasourceError,
  DatasourceUnreachable,
  type DbFinding,
  type DbParameters,
  type DbQuery,
  type DbRows,
  type Driver,
} from './driver.ts'
import { PostgresDriver } from './postgres.ts'
import { ResultCache } from './result-cache.ts'
import { SqliteDriver } from './sqlite.ts'

export interface DatasourceAnswer extends DbRows {
  /** whether it was known from before */
  readonly cached: boolean
}

/** queries under way and waiting, for one datasource */
const MAX_PENDING = 1000

export class Datasource {
  readonly name: string
  readonly #settings: DatasourceSettings
  readonly #drivers: readonly Driver[]
  readonly #cache: ResultCache | undefined
  #turn = 0
  #pending = 0

  /** @throws DatasourceError for a driver that is not implemented */
  constructor(settings: DatasourceSettings, now: () => number = () => performance.now()) {
    const { name, no_cache, cache_life, cache_size } = settings
    this.name = name
    this.#settings = settings
    this.#drivers = settings.uri.map((uri) => driverOf(uri, settings))
    if (!no_cache) this.#cache = new ResultCache(cache_life, cache_size, now)
  }

  /**
   * Asks for rows. `fresh`: the database itself is asked, whatever is known from before.
   * @param signal aborts when nobody waits any more
   * @throws DatasourceError
   */
  async query(
    sql: string,
    parameters: DbParameters,
    { fresh = false, signal }: { readonly fresh?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<DatasourceAnswer> {
    const key = this.#cache?.keyOf(sql, parameters)
    const known = key === undefined || fresh ? undefined : this.#cache?.get(key)
    if (known !== undefined) return { ...known, cached: true }
    const rows = await this.#ask({ sql, parameters, maxRows: this.#settings.max_rows, write: false }, signal)
    if (key !== undefined) this.#cache?.set(key, rows)
    return { ...rows, cached: false }
  }

  /** What is kept of its results; undefined: nothing ever is. */
  get cache(): Pick<ResultCache, 'figures' | 'clear'> | undefined {
    return this.#cache
  }

  /** Runs a query that may change something; never cached. @throws DatasourceError */
  async execute(sql: string, parameters: DbParameters, signal?: AbortSignal): Promise<void> {
    await this.#ask({ sql, parameters, maxRows: 1, write: true }, signal)
  }

  /** What is wrong with a query, as far as the databases on this machine tell without being asked. */
  async examine(sql: string): Promise<readonly DbFinding[]> {
    const signal = AbortSignal.timeout(this.#settings.query_timeout * 1000)
    const all: DbFinding[] = []
    for (const driver of this.#drivers) all.push(...(await driver.examine(sql, signal)))
    return all.map(({ severity, text }) => ({ severity, text: `datasource "${this.name}": ${text}` }))
  }

  async close(): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver.close()))
  }

  async #ask(query: DbQuery, leaving: AbortSignal | undefined): Promise<DbRows> {
    if (this.#pending >= MAX_PENDING) throw new DatasourceBusyError(this.name)
    this.#pending += 1
    const late = AbortSignal.timeout(this.#settings.query_timeout * 1000)
    const signal = leaving === undefined ? late : AbortSignal.any([late, leaving])
    try {
      return await this.#askInTurn(query, signal)
    } catch (error) {
      const why = late.aborted
        ? `no answer within ${this.#settings.query_timeout} s`
        : error instanceof DatasourceError
          ? error.message
          : 'the query failed'
      throw new DatasourceError(`datasource "${this.name}": ${why}`)
    } finally {
      this.#pending -= 1
    }
  }

  async #askInTurn(query: DbQuery, signal: AbortSignal): Promise<DbRows> {
    const first = this.#turn
    this.#turn = (first + 1) % this.#drivers.length
    let unreachable: unknown
    for (let step = 0; step < this.#drivers.length; step += 1) {
      const driver = this.#drivers[(first + step) % this.#drivers.length]
      try {
        if (driver !== undefined) return await driver.query(query, signal)
      } catch (error) {
        if (!(error instanceof DatasourceUnreachable) || signal.aborted) throw error
        unreachable = error
      }
    }
    throw unreachable
  }
}

function driverOf(uri: DatasourceUri, settings: DatasourceSettings): Driver {
  if (uri.kind === 'sqlite') return new SqliteDriver(uri.file.path, settings)
  if (uri.kind === 'pgsql') return new PostgresDriver(uri.login, settings)
  const told = `${uri.driver}: is recognised, not implemented; sqlite: and pgsql: are`
  throw new DatasourceError(`datasource "${settings.name}": ${told}`)
}

/** Of one cache of results, by Momentum's name for it. */
export interface CacheFigures {
  readonly cache: string
  readonly capacity: number
  readonly entries: number
  readonly hits: number
  readonly misses: number
  readonly evicted: number
  readonly flushed: number
}

/** The datasources of a configuration, each made when it is first needed. */
export class Datasources {
  readonly #settings: ReadonlyMap<string, DatasourceSettings>
  readonly #open = new Map<string, Datasource>()

  constructor(settings: readonly DatasourceSettings[]) {
    this.#settings = new Map(settings.map((each) => [each.name, each]))
  }

  /** @throws DatasourceError when there is none of that name, or its driver is not implemented */
  open(name: string): Datasource {
    const known = this.#open.get(name)
    if (known !== undefined) return known
    const settings = this.#settings.get(name)
    if (settings === undefined) throw new DatasourceError(`there is no datasource "${name}"`)
    const datasource = new Datasource(settings)
    this.#open.set(name, datasource)
    return datasource
  }

  /** The caches of results of those that have been used. */
  caches(): readonly CacheFigures[] {
    return [...this.#open.values()].flatMap(({ name, cache }) =>
      cache === undefined ? [] : [{ cache: `ds_core:${name}`, ...cache.figures, flushed: 0 }],
    )
  }

  /** Forgets the results in one cache, or in all. */
  flush(name: string | undefined): readonly CacheFigures[] {
    const flushed = new Map<string, number>()
    for (const { name: own, cache } of this.#open.values())
      if (name === undefined || name === `ds_core:${own}`) flushed.set(`ds_core:${own}`, cache?.clear() ?? 0)
    return this.caches()
      .filter(({ cache }) => flushed.has(cache))
      .map((figures) => ({ ...figures, flushed: flushed.get(figures.cache) ?? 0 }))
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.values()].map((datasource) => datasource.close()))
  }
}
