/** Counters of scripts, and caches of datasources (momentum: console-commands/counter, cache-list, cache-stat). */

import { type Answer, ConsoleError } from '../answer.ts'
import type { ConsoleCommand } from '../command.ts'
import { fromBytes } from '../render.ts'
import type { ConsoleServices } from '../services.ts'
import { dateTime } from '../times.ts'
import { askInside, sumOf, together } from './ask.ts'
import { done, percent } from './commands-lookups.ts'
import type { CacheReport, CounterOrder, CounterValue } from './questions.ts'

export const countCommands: readonly ConsoleCommand[] = [
  {
    name: 'counter list',
    arguments: '',
    help: 'the counters of scripts (msys.counter), of all processes together',
    run: (_args, services) => counterTable(services, { act: 'list' }),
  },
  {
    name: 'counter get',
    arguments: 'PATH',
    help: 'one counter',
    run: async (args, services) => {
      const path = pathOf(args)
      const { reports, missing } = await askInside(services, 'counters', { act: 'list' })
      const found = reports.flat().filter((each) => each.path === path)
      if (found.length === 0) throw new ConsoleError(`there is no counter ${fromBytes(path)}`)
      if (missing.length > 0) throw new ConsoleError(missing.join('\n'))
      return { kind: 'value', key: 'value', value: sumOf(found, ({ value }) => value) }
    },
  },
  {
    name: 'counter add',
    arguments: 'PATH NUMBER',
    help: 'adds to a counter, and makes it where there is none',
    run: (args, services) => {
      const delta = Number(args[1])
      if (args.length !== 2 || args[1]?.trim() === '' || !Number.isFinite(delta))
        throw new ConsoleError('write: counter add PATH NUMBER')
      return counterTable(services, { act: 'add', path: pathOf(args.slice(0, 1)), delta })
    },
  },
  {
    name: 'counter increment',
    arguments: 'PATH',
    help: 'adds one to a counter, and makes it where there is none',
    run: (args, services) => counterTable(services, { act: 'add', path: pathOf(args), delta: 1 }),
  },
  {
    name: 'counter reset',
    arguments: 'PATH',
    help: 'a counter begins at zero again',
    run: (args, services) => counterTable(services, { act: 'reset', path: pathOf(args) }),
  },
  {
    name: 'counter unlink',
    arguments: 'PATH',
    help: 'takes a counter away',
    run: async (args, services) => {
      const path = pathOf(args)
      const { missing } = await askInside(services, 'counters', { act: 'unlink', path })
      return done(`Counter ${fromBytes(path)} unlinked.`, missing)
    },
  },
  {
    name: 'cache list',
    arguments: '',
    help: 'the caches of datasources, of all processes together',
    run: async (_args, services) => await cacheTable(services, undefined),
  },
  {
    name: 'cache stats',
    arguments: '[CACHE]…',
    help: 'the same, or of some caches alone',
    run: async (args, services) => await cacheTable(services, args.length === 0 ? undefined : args),
  },
  {
    name: 'cache stat',
    arguments: 'CACHE',
    help: 'one cache',
    run: async (args, services) => await oneCache(args, services),
  },
  {
    name: 'cache flush',
    arguments: '[CACHE]',
    help: 'forgets the results in one cache, or in all: the databases are asked anew',
    run: async (args, services) => {
      if (args.length > 1) throw new ConsoleError('at most one cache may follow')
      const { reports, missing } = await askInside(services, 'caches', { act: 'flush', name: args[0] })
      const known = reports.flat()
      if (args[0] !== undefined && known.length === 0) throw noCache(args[0])
      return done(`${sumOf(known, ({ flushed }) => flushed)} results flushed.`, missing)
    },
  },
]

/** As scripts have it: a byte string. */
function pathOf(args: readonly string[]): string {
  const [path, ...rest] = args
  if (path === undefined || rest.length > 0 || !path.startsWith('/') || path.length > 256)
    throw new ConsoleError('say which counter: a path that begins with /')
  return Buffer.from(path, 'utf8').toString('latin1')
}

async function counterTable(services: ConsoleServices, order: CounterOrder): Promise<Answer> {
  const { reports, missing } = await askInside(services, 'counters', order)
  const all = new Map<string, CounterValue>()
  for (const counter of reports.flat()) {
    const before = all.get(counter.path)
    const sum = { ...counter, value: counter.value + (before?.value ?? 0) }
    all.set(
      counter.path,
      before === undefined ? sum : { ...sum, reset: Math.max(before.reset, counter.reset) },
    )
  }
  if (order.act !== 'list' && all.size === 0)
    throw new ConsoleError(`there is no counter ${fromBytes(order.path)}`)
  return together(
    {
      kind: 'table',
      columns: [
        { key: 'value', head: 'VALUE' },
        { key: 'reset', head: 'RESET_TIME' },
        { key: 'counter', head: 'COUNTER' },
      ],
      rows: [...all.values()]
        .toSorted((a, b) => (a.path < b.path ? -1 : 1))
        .map(({ path, value, reset }) => ({ value, reset: dateTime(reset), counter: fromBytes(path) })),
      empty: '0 counters listed.',
    },
    missing,
  )
}

async function caches(
  services: ConsoleServices,
): Promise<{ readonly all: readonly CacheReport[]; readonly missing: readonly string[] }> {
  const { reports, missing } = await askInside(services, 'caches', { act: 'list' })
  const found = new Map<string, CacheReport>()
  for (const one of reports.flat()) {
    const before = found.get(one.cache)
    found.set(one.cache, {
      ...one,
      capacity: one.capacity + (before?.capacity ?? 0),
      entries: one.entries + (before?.entries ?? 0),
      hits: one.hits + (before?.hits ?? 0),
      misses: one.misses + (before?.misses ?? 0),
      evicted: one.evicted + (before?.evicted ?? 0),
    })
  }
  return { all: [...found.values()], missing }
}

async function cacheTable(services: ConsoleServices, wanted: readonly string[] | undefined): Promise<Answer> {
  const { all, missing } = await caches(services)
  const unknown = wanted?.find((name) => !all.some(({ cache }) => cache === name))
  if (unknown !== undefined) throw noCache(unknown)
  return together(
    {
      kind: 'table',
      columns: [
        { key: 'cache', head: 'Cache' },
        { key: 'capacity', head: 'Capacity' },
        { key: 'entries', head: 'Entries' },
        { key: 'hits', head: 'Hits' },
        { key: 'misses', head: 'Misses' },
        { key: 'hitRate', head: 'Hit Rate %' },
        { key: 'evicted', head: 'Evicted' },
      ],
      rows: all
        .filter(({ cache }) => wanted?.includes(cache) ?? true)
        .map(({ flushed: _flushed, ...cache }) => ({
          ...cache,
          hitRate: percent(cache.hits, cache.hits + cache.misses),
        })),
      empty: '0 caches listed.',
    },
    missing,
  )
}

async function oneCache(args: readonly string[], services: ConsoleServices): Promise<Answer> {
  const [name, ...rest] = args
  if (name === undefined || rest.length > 0) throw new ConsoleError('say which cache; cache list has them')
  const { all, missing } = await caches(services)
  const found = all.find(({ cache }) => cache === name)
  if (missing.length > 0) throw new ConsoleError(missing.join('\n'))
  if (found === undefined) throw noCache(name)
  const { cache, capacity, entries, hits, misses, evicted } = found
  const rate = percent(hits, hits + misses)
  return {
    kind: 'facts',
    facts: [
      { key: 'name', label: 'Name', value: cache },
      { key: 'capacity', label: 'Capacity', value: capacity },
      { key: 'entries', label: 'Entries', value: entries },
      { key: 'loads', label: 'Loads', value: hits + misses },
      { key: 'hits', label: 'Hits', value: hits },
      { key: 'misses', label: 'Misses', value: misses },
      { key: 'evicted', label: 'Capacity Invalidations', value: evicted },
      { key: 'hitRate', label: 'Hit Rate', value: rate, shown: `${rate.toFixed(2)}%` },
    ],
  }
}

function noCache(name: string): ConsoleError {
  return new ConsoleError(
    `there is no cache ${JSON.stringify(name)}; cache list has those that have been used`,
  )
}
