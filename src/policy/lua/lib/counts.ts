/** `msys.counter` and `msys.gauge_cache`: numbers that outlive a Lua state. Objects are in `library.lua`. */

import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, HostFunction, LibraryHost } from './family.ts'

const maxPath = 256
const maxGauges = 100_000
const maxKey = 1024

export function counterFamily({ state, services }: LibraryHost): Family {
  const { counters } = services.stores
  const set = (name: string, value: number): void => {
    if (!counters.set(name, value)) throw new ScriptError('there are too many counters')
  }
  return {
    constants: { 'msys.counter.STRICT': 0, 'msys.counter.RELAXED': 1 },
    // the path comes first; library.lua takes it out of an object
    helpers: {
      // counter_path(path): checked
      counter_path: (L) => {
        state.push(L, path(new Arguments(state, L, 'msys.counter.open')))
        return 1
      },
      counter_add: (L) => {
        const args = new Arguments(state, L, 'msys.counter.add')
        const name = path(args)
        set(name, counters.read(name) + args.number(2))
        return 0
      },
      counter_read: (L) => {
        state.lua.lua_pushnumber(L, counters.read(path(new Arguments(state, L, 'msys.counter.read'))))
        return 1
      },
      counter_reset: (L) => {
        if (!counters.reset(path(new Arguments(state, L, 'msys.counter.reset'))))
          throw new ScriptError('there are too many counters')
        return 0
      },
    },
    functions: {
      'msys.counter.unlink': (L) => {
        counters.unlink(path(new Arguments(state, L, 'msys.counter.unlink')))
        return 0
      },
    },
  }
}

function path(args: Arguments): string {
  const text = args.string(1)
  if (!text.startsWith('/') || text.length > maxPath)
    throw args.refuse(1, `a path that starts with / and has at most ${maxPath} octets expected`)
  return text
}

export function gaugeFamily({ state, services, log }: LibraryHost): Family {
  const { gauges } = services.stores
  const of = (L: number, name: string): { readonly cache: string; readonly key: string } => {
    const args = new Arguments(state, L, name)
    const cache = args.string(1)
    if (!gauges.has(cache)) throw args.refuse(1, `no cache "${cache}" is defined`)
    const key = args.string(2)
    if (key.length > maxKey) throw args.refuse(2, `at most ${maxKey} octets`)
    return { cache, key }
  }
  const adding =
    (name: string, by: number): HostFunction =>
    (L) => {
      const { cache, key } = of(L, name)
      state.lua.lua_pushnumber(L, gauges.add(cache, key, { by, now: services.now() }))
      return 1
    }
  return {
    functions: {
      'msys.gauge_cache.define': (L) => {
        const args = new Arguments(state, L, 'msys.gauge_cache.define')
        const name = args.string(1)
        const limit = Math.floor(args.number(2, 1, maxGauges))
        const life = args.number(3, 0.001) * 1000
        if (args.truth(4)) log.tell('warning', `gauge cache "${name}" is not replicated: that is not built`)
        if (!gauges.define(name, limit, life)) throw new ScriptError('there are too many gauge caches')
        return 0
      },
      'msys.gauge_cache.inc': adding('msys.gauge_cache.inc', 1),
      'msys.gauge_cache.dec': adding('msys.gauge_cache.dec', -1),
      'msys.gauge_cache.get': (L) => {
        const { cache, key } = of(L, 'msys.gauge_cache.get')
        state.lua.lua_pushnumber(L, gauges.get(cache, key, services.now()))
        return 1
      },
      'msys.gauge_cache.remove_item': (L) => {
        const { cache, key } = of(L, 'msys.gauge_cache.remove_item')
        gauges.remove(cache, key)
        return 0
      },
    },
  }
}
