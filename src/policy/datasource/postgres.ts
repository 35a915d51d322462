/**
 * PostgreSQL through `pg`, with a bounded pool of kept connections. Always the extended protocol: one statement, values
 * apart from it. What is not said in the connection string has a default of ours and never comes from the environment.
 *
 * A query whose time is up ends with its connection, and the server is told the limit too.
 */

import { readFileSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isIP } from 'node:net'
import type * as Pg from 'pg'
import type { Pool, PoolClient, PoolConfig, QueryConfig } from 'pg'
import type { DatasourceSettings, PostgresLogin } from '../../config/settings.ts'
import {
  DatasourceError,
  DatasourceUnreachable,
  type DbFinding,
  type DbQuery,
  type DbRows,
  type DbValue,
  type Driver,
} from './driver.ts'
import { bind } from './statement.ts'

const require = createRequire(import.meta.url)

/** Read with the first connection: most configurations have no PostgreSQL. */
const library = (): typeof Pg => require('pg') as typeof Pg

const IDLE_MS = 30_000

export class PostgresDriver implements Driver {
  readonly #login: PostgresLogin
  readonly #limits: Pick<DatasourceSettings, 'max_connections' | 'query_timeout'>
  #pool: Pool | undefined
  /** connections that know the time limit */
  readonly #limited = new WeakSet<PoolClient>()

  constructor(login: PostgresLogin, limits: Pick<DatasourceSettings, 'max_connections' | 'query_timeout'>) {
    this.#login = login
    this.#limits = limits
  }

  async query({ sql, parameters, maxRows }: DbQuery, signal: AbortSignal): Promise<DbRows> {
    const { text, values } = bind(sql, parameters, '$')
    const client = await this.#connect(signal)
    let broken = true
    try {
      await this.#limit(client, signal)
      const rows = await ask(client, { text, values, maxRows }, signal)
      broken = false
      return rows
    } catch (error) {
      // an error of the statement leaves the connection as it was
      broken = sqlState(error) === undefined
      throw new DatasourceError(`${this.#where}: ${describe(error)}`)
    } finally {
      client.release(broken)
    }
  }

  /** Nothing is asked over a network to check a configuration. */
  examine(): Promise<readonly DbFinding[]> {
    return Promise.resolve([])
  }

  async close(): Promise<void> {
    const pool = this.#pool
    this.#pool = undefined
    await pool?.end()
  }

  get #where(): string {
    const { host, port, database } = this.#login
    return `database "${database}" at ${host}${host.startsWith('/') ? '' : ` port ${port}`}`
  }

  async #connect(signal: AbortSignal): Promise<PoolClient> {
    signal.throwIfAborted()
    try {
      this.#pool ??= this.#makePool()
      const connecting = this.#pool.connect()
      return await new Promise<PoolClient>((resolve, reject) => {
        const leave = (): void => {
          // it comes when it comes, and goes back unused
          connecting.then((late) => late.release()).catch(() => undefined)
          reject(new Error('no connection in time'))
        }
        signal.addEventListener('abort', leave, { once: true })
        const stay = (): void => signal.removeEventListener('abort', leave)
        connecting.finally(stay).then(resolve, reject)
      })
    } catch (error) {
      throw new DatasourceUnreachable(`cannot connect to ${this.#where}: ${describe(error)}`)
    }
  }

  #makePool(): Pool {
    const { host, port, database, user, password, connectTimeout, applicationName } = this.#login
    const pool = new (library().Pool)({
      host,
      port,
      database,
      user,
      // a function: an empty text would be looked up in the environment
      password: () => password,
      ssl: tlsOf(this.#login),
      application_name: applicationName,
      connectionTimeoutMillis: connectTimeout * 1000,
      idleTimeoutMillis: IDLE_MS,
      max: this.#limits.max_connections,
      allowExitOnIdle: true,
      keepAlive: true,
      types: { getTypeParser: parserOf },
    })
    // a kept connection that the server closes is no event: the pool makes another one
    pool.on('error', () => undefined)
    // nor is one that breaks while it is in use: its query fails
    pool.on('connect', (client) => client.on('error', () => undefined))
    return pool
  }

  /** The server stops by itself what nobody waits for any more. */
  async #limit(client: PoolClient, signal: AbortSignal): Promise<void> {
    if (this.#limited.has(client)) return
    const milliseconds = this.#limits.query_timeout * 1000
    await ask(client, { text: `SET statement_timeout = ${milliseconds}`, values: [], maxRows: 1 }, signal)
    this.#limited.add(client)
  }
}

interface Asked {
  readonly text: string
  readonly values: readonly DbValue[]
  readonly maxRows: number | undefined
}

/** Rows beyond the maximum are not kept. */
function ask(client: PoolClient, { text, values, maxRows }: Asked, signal: AbortSignal): Promise<DbRows> {
  return new Promise((resolve, reject) => {
    const rows: DbValue[][] = []
    const config: QueryConfig & typeof EXTENDED = { text, values: [...values], ...EXTENDED }
    const query = new (library().Query)<DbValue[]>(config)
    const late = (): void => reject(new Error('no answer in time'))
    signal.addEventListener('abort', late, { once: true })
    query.on('row', (row) => {
      if (maxRows === undefined || rows.length < maxRows) rows.push(row)
    })
    query.on('error', (error: Error) => {
      signal.removeEventListener('abort', late)
      reject(error)
    })
    query.on('end', (result) => {
      signal.removeEventListener('abort', late)
      resolve({ columns: result.fields.map(({ name }) => name), rows })
    })
    if (signal.aborted) late()
    else client.query(query)
  })
}

/** also without values, where `pg` would send text that may hold several statements */
const EXTENDED = { queryMode: 'extended', rowMode: 'array' } as const

/** A named pipe would hold the whole process. @throws Error */
function readRoots(file: string): string {
  if (!statSync(file).isFile()) throw new Error(`${file}: not a regular file`)
  return readFileSync(file, 'utf8')
}

function tlsOf({ ssl, host }: PostgresLogin): PoolConfig['ssl'] {
  if (ssl.mode === 'disable') return false
  if (ssl.mode !== 'verify-full') return { rejectUnauthorized: false }
  const named = ssl.servername !== '' && isIP(ssl.servername) === 0
  const name = named ? { servername: ssl.servername } : { host }
  return { ca: readRoots(ssl.rootFile), rejectUnauthorized: true, ...name }
}

type Parser = (text: string) => DbValue

/** PostgreSQL's numbers of its types */
const parsers: Readonly<Record<number, Parser>> = {
  16: (text) => text === 't',
  17: (text) => (text.startsWith('\\x') ? Buffer.from(text.slice(2), 'hex') : text),
  20: (text) => (Number.isSafeInteger(Number(text)) ? Number(text) : text),
  21: Number,
  23: Number,
  26: Number,
  700: Number,
  701: Number,
}

function parserOf(type: number): Parser {
  return parsers[type] ?? ((text) => text)
}

/** the server's own code, when it is an error of the server */
function sqlState(error: unknown): string | undefined {
  return error instanceof library().DatabaseError ? error.code : undefined
}

/** Classes of errors whose messages speak of names and never of values: PostgreSQL appendix A. */
const speakable = /^(?:08|28|3D|3F|42|53|54|55|57|58|XX)/

function describe(error: unknown): string {
  const state = sqlState(error)
  if (state !== undefined) {
    return speakable.test(state) ? `${(error as Error).message} (${state})` : `the query failed (${state})`
  }
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message
  return error instanceof Error ? error.message : 'unknown error'
}
