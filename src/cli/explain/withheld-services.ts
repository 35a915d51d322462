/**
 * What the scripts' library works with while nothing may go out: each of its services answers in the way that lets a
 * script go on, and what it was asked for is noted.
 *
 * HTTP requests and DNS look-ups fail with a message, as they may at any time; a query of a database finds no rows, and
 * a change of it "succeeds"; timers never run and nobody sleeps. Counters, series and gauges work, in memory that ends
 * with the explanation: a script finds what it has counted itself, not what the running gate has counted.
 */

import { askConfiguration } from '../../config/ask.ts'
import type { Settings } from '../../config/settings.ts'
import { fixedServers, parseServer } from '../../dns/name-servers.ts'
import { DnsRecords, RecordError, type RecordResolver } from '../../dns/records.ts'
import { StubResolver } from '../../dns/stub-resolver.ts'
import { Datasources } from '../../policy/datasource/datasource.ts'
import type { LibraryServices } from '../../policy/lua/lib/services.ts'
import { SharedStores } from '../../policy/lua/lib/stores.ts'
import type { Steps } from './step-builder.ts'

const WITHHELD = 'withheld by postern explain'

export interface WithheldOptions {
  readonly settings: Settings
  readonly steps: Steps
  /** DNS look-ups are made */
  readonly dns: boolean
  /** runs what may go out although the process is confined */
  readonly allowed: <T>(work: () => Promise<T>) => Promise<T>
}

export function withheldServices(options: WithheldOptions): Partial<LibraryServices> {
  const { settings, steps } = options
  return {
    sleep: async (milliseconds) =>
      steps.withhold('msys.sleep', [`${milliseconds / 1000} s`], 'no time passes'),
    after: (milliseconds) => {
      steps.withhold('timer', [`after ${milliseconds / 1000} s`], 'it never runs')
      return () => undefined
    },
    records: options.dns ? lookedUp(options) : withheldRecords(steps),
    http: {
      send: async ({ method, url, body }) => {
        const size = body === undefined ? [] : [`${body.length} octets`]
        steps.withhold('client:do_request', [method, url.href, ...size], `nil, "${WITHHELD}"`)
        throw new Error(WITHHELD)
      },
    },
    stores: withheldStores(steps),
    config: (words) => askConfiguration(settings, words),
    datasources: withheldDatasources(options),
  }
}

function lookedUp({ settings, allowed }: WithheldOptions): RecordResolver {
  const servers = settings.global.dns_servers.map(parseServer).filter((server) => server !== undefined)
  const records = new DnsRecords(
    new StubResolver(servers.length === 0 ? {} : { servers: fixedServers(servers) }),
  )
  return { lookup: (question, signal) => allowed(() => records.lookup(question, signal)) }
}

function withheldRecords(steps: Steps): RecordResolver {
  return {
    lookup: async ({ name, type }) => {
      steps.withhold('msys.dnsLookup', [name, type], `nil, "${WITHHELD}"; --dns asks`)
      throw new RecordError(WITHHELD)
    },
  }
}

const ONLY_HERE = 'done in memory for this explanation alone'
const UNKNOWN = 'what this explanation has counted; a running gate has counts of its own'

/** Calls of these are noted; whether one changes something, and how many of its arguments say what it is about. */
const counting = {
  counters: { read: UNKNOWN, set: ONLY_HERE, unlink: ONLY_HERE },
  gauges: { get: UNKNOWN, add: ONLY_HERE, remove: ONLY_HERE },
  series: { count: UNKNOWN, countBlock: UNKNOWN, add: ONLY_HERE, remove: ONLY_HERE },
  monitors: { count: UNKNOWN },
} as const

const NAMES = {
  counters: 'msys.counter',
  gauges: 'msys.gauge_cache',
  series: 'msys.audit_series',
  monitors: 'msys.audit',
} as const

export function withheldStores(steps: Steps): SharedStores {
  const stores = new SharedStores()
  for (const store of Object.keys(counting) as (keyof typeof counting)[]) {
    const target: object = stores[store]
    for (const [method, answered] of Object.entries<string>(counting[store])) {
      const own: unknown = Reflect.get(target, method)
      if (typeof own !== 'function') throw new TypeError(`${store} has no ${method}`)
      const noted = (...values: unknown[]): unknown => {
        const shown = values.filter((value) => typeof value === 'string' || typeof value === 'number')
        steps.withhold(`${NAMES[store]}.${method}`, shown.map(String), answered)
        return Reflect.apply(own, target, values)
      }
      Object.defineProperty(target, method, { value: noted })
    }
  }
  return stores
}

/** Those of the configuration: a name or a driver that does not exist is an error as ever. */
function withheldDatasources({ settings, steps }: WithheldOptions): LibraryServices['datasources'] {
  const real = new Datasources(settings.datasources)
  const queried = (effect: string, name: string, sql: string): void =>
    steps.withhold(effect, [name, toBytes(sql)], effect === 'msys.db.execute' ? 'true' : 'no rows')
  return {
    open: (name) => {
      const source = real.open(name)
      source.query = async (sql) => {
        queried('msys.db.query', name, sql)
        return { columns: [], rows: [], cached: false }
      }
      source.execute = async (sql) => queried('msys.db.execute', name, sql)
      return source
    },
  }
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
