/** The one place that knows all families of library functions. */

import type { LuaState } from '../state.ts'
import { addressFamily } from './addresses.ts'
import { auditFamily, auditSeriesFamily } from './audit.ts'
import { bitFamily } from './bits.ts'
import { Boxes } from './boxes.ts'
import { cidrFamily } from './cidr.ts'
import { codecFamily } from './codecs.ts'
import { configFamily } from './config-access.ts'
import { counterFamily, gaugeFamily } from './counts.ts'
import { dbFamily } from './db.ts'
import { dnsFamily } from './dns-lookup.ts'
import type { Family, LibraryHost } from './family.ts'
import { fileFamily } from './files.ts'
import { httpFamily } from './http-client.ts'
import { httpsrvFamily } from './httpsrv.ts'
import { jsonFamily } from './json.ts'
import { lockFamily } from './locks.ts'
import { pcreFamily } from './pcre.ts'
import { systemFamily } from './system.ts'
import { timerFamily } from './timers.ts'

/** All families as one. */
export type Library = Required<Family>

export function buildLibrary(host: LibraryHost): Library {
  const { state, waits, current } = host
  const boxes = new Boxes(state)
  return merge([
    boxes.family(),
    systemFamily(host, boxes),
    timerFamily(host, boxes),
    lockFamily({ state, waits, boxes, current }),
    dnsFamily(host),
    dbFamily(host),
    httpFamily(host),
    httpsrvFamily(host, boxes),
    fileFamily(host),
    cidrFamily(host),
    pcreFamily(state),
    bitFamily(host),
    codecFamily(host),
    jsonFamily(state),
    addressFamily(host),
    counterFamily(host),
    gaugeFamily(host),
    auditFamily(host),
    auditSeriesFamily(host),
    configFamily(host),
  ])
}

function merge(families: readonly Family[]): Library {
  return {
    functions: union(families.map(({ functions }) => functions)),
    waiting: union(families.map(({ waiting }) => waiting)),
    helpers: union(families.map(({ helpers }) => helpers)),
    constants: union(families.map(({ constants }) => constants)),
  }
}

/** A name that two families have is a mistake. */
function union<T>(tables: readonly (Readonly<Record<string, T>> | undefined)[]): Record<string, T> {
  const all: Record<string, T> = {}
  for (const [name, value] of tables.flatMap((table) => Object.entries(table ?? {}))) {
    if (Object.hasOwn(all, name)) throw new TypeError(`two families have ${name}`)
    all[name] = value
  }
  return all
}

/** Pushes the table that `library.lua` gets: functions, waiting, helpers, constants, each by name. */
export function pushLibrary(state: LuaState, L: number, library: Library): void {
  const { lua } = state
  lua.lua_createtable(L, 0, 4)
  for (const part of ['functions', 'waiting', 'helpers'] as const) {
    state.setField(L, -1, part, () => {
      lua.lua_createtable(L, 0, 32)
      for (const [name, f] of Object.entries(library[part]))
        state.setField(L, -1, name, () => lua.lua_pushcclosure(L, state.hostFunction(f), 0))
    })
  }
  state.setField(L, -1, 'constants', () => {
    lua.lua_createtable(L, 0, 32)
    for (const [name, value] of Object.entries(library.constants))
      state.setField(L, -1, name, () => lua.lua_pushnumber(L, value))
  })
}
