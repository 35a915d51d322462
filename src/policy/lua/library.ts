/** Opens Lua's own library in a new state and runs `prelude.lua`, which keeps what is safe and builds the rest. */

import { readFileSync } from 'node:fs'
import {
  constants,
  knownModules,
  partMethods,
  placingMethods,
  unbuiltFunctions,
  unbuiltMethods,
} from './catalogue.ts'
import { type Library, pushLibrary } from './lib/build.ts'
import { pushValue } from './lib/values.ts'
import { kinds, type ObjectKind } from './object-kinds.ts'
import type { HostObjects } from './objects.ts'
import { dkimConstants } from './origin-methods.ts'
import { osFunctions } from './os-library.ts'
import { GLOBALS, type LuaState, ScriptError, TYPE } from './state.ts'
import { stringFunctions } from './string-library.ts'
import { LuaFatalError } from './wasm.ts'

/** What scripts ask of the engine; each is a host function (pushes its results, returns how many). */
export interface EngineFunctions {
  /** milliseconds since the epoch */
  readonly now: () => number
  /** locate(name, optional): the key of a module beside the calling script */
  readonly locate: (L: number) => number
  /** load_module(name): its compiled chunk */
  readonly loadModule: (L: number) => number
  /** required(name): a script asks for a module */
  readonly required: (L: number) => number
  readonly register: (L: number) => number
  readonly print: (L: number) => number
  readonly log: (L: number) => number
  /** awaited(): what the function that waited returns */
  readonly awaited: (L: number) => number
}

/** Chunks that a script makes from text; the compiler cannot be interrupted. */
const maxDynamicChunk = 262_144
const prelude = readFileSync(new URL('prelude.lua', import.meta.url))
const handlesText = readFileSync(new URL('lib/handles.lua', import.meta.url))
const libraryText = readFileSync(new URL('lib/library.lua', import.meta.url))

/** @throws LuaFatalError when the prelude fails, which only a broken build can make it */
export function openLibrary(state: LuaState, parts: HostParts): void {
  const { lua, main } = state
  for (const name of ['luaopen_base', 'luaopen_table', 'luaopen_string', 'luaopen_math'] as const) {
    lua.lua_pushcclosure(main, state.machine.exported(name), 0)
    state.push(main, name === 'luaopen_base' ? '' : name.slice(8))
    if (lua.lua_pcall(main, 1, 0, 0) !== 0) throw new LuaFatalError(`${name} failed`)
  }
  const { L, reference } = state.newThread()
  for (const text of [handlesText, libraryText, prelude]) {
    const problem = state.load(L, text, '=prelude')
    if (problem !== undefined) throw new LuaFatalError(problem)
  }
  pushHost(state, L, parts)
  lua.lua_pushvalue(L, GLOBALS)
  for (const chunk of [2, 1]) lua.lua_pushvalue(L, chunk)
  // our own code has all the time it needs
  const { result } = state.resume(L, 4, Number.NEGATIVE_INFINITY)
  if (result.kind !== 'returned')
    throw new LuaFatalError(result.kind === 'failed' ? result.message : 'the prelude waits')
  state.release(reference)
  lua.lua_settop(main, 0)
}

export interface HostParts {
  readonly objects: HostObjects
  readonly engine: EngineFunctions
  readonly library: Library
}

function pushHost(state: LuaState, L: number, { objects, engine, library }: HostParts): void {
  const { lua } = state
  const table = tableMaker(state, L)
  lua.lua_createtable(L, 0, 40)
  table.functions({
    ...stringFunctions(state),
    ...osFunctions(state, engine.now),
    ...threadFunctions(state),
    refuse_chunk: (thread) => refuseChunk(state, thread),
    text: (thread) => text(state, thread),
    locate: engine.locate,
    load_module: engine.loadModule,
    required: engine.required,
    register: engine.register,
    print: engine.print,
    log: engine.log,
    awaited: engine.awaited,
    message_new: (thread) => objects.newMessage(thread),
    message_construct: (thread) => objects.messageConstruct(thread),
    set_parameter: (thread) => objects.setParameter(thread),
    classes: (thread) => {
      for (const kind of kinds) {
        state.push(thread, kind)
        lua.lua_rawget(thread, 1)
        objects.adopt(thread, kind)
      }
      return 0
    },
  })
  state.setField(L, -1, 'library', () => pushLibrary(state, L, library))
  state.setField(L, -1, 'constants', () => {
    lua.lua_createtable(L, 0, 20)
    for (const [name, value] of Object.entries(constants))
      state.setField(L, -1, name, () => lua.lua_pushnumber(L, value))
  })
  state.setField(L, -1, 'dkim_constants', () => pushValue(state, L, dkimConstants))
  table.list('unbuilt_functions', unbuiltFunctions)
  table.list('known_modules', knownModules)
  table.list('part_methods', partMethods)
  table.list('placing_methods', placingMethods)
  table.perKind('methods', (kind) => {
    lua.lua_createtable(L, 0, 12)
    table.functions(objects.methodFunctions(kind))
  })
  table.perKind('waiting_methods', (kind) => {
    lua.lua_createtable(L, 0, 12)
    table.functions(objects.waitingFunctions(kind))
  })
  table.perKind('get_field', (kind) =>
    lua.lua_pushcclosure(L, state.hostFunction(objects.readField(kind)), 0),
  )
  table.perKind('set_field', (kind) =>
    lua.lua_pushcclosure(L, state.hostFunction(objects.writeField(kind)), 0),
  )
  state.setField(L, -1, 'unbuilt_methods', () => {
    lua.lua_createtable(L, 0, 4)
    for (const kind of kinds) table.list(kind, unbuiltMethods[kind])
  })
}

/** Fills the table on top of the stack. */
function tableMaker(state: LuaState, L: number) {
  const { lua } = state
  return {
    functions: (functions: Readonly<Record<string, (L: number) => number>>): void => {
      for (const [name, f] of Object.entries(functions)) {
        state.setField(L, -1, name, () => lua.lua_pushcclosure(L, state.hostFunction(f), 0))
      }
    },
    list: (name: string, values: readonly string[]): void => {
      state.setField(L, -1, name, () => {
        lua.lua_createtable(L, values.length, 0)
        for (const [index, value] of values.entries()) {
          state.push(L, value)
          lua.lua_rawseti(L, -2, index + 1)
        }
      })
    },
    perKind: (name: string, push: (kind: ObjectKind) => void): void => {
      state.setField(L, -1, name, () => {
        lua.lua_createtable(L, 0, 4)
        for (const kind of kinds) state.setField(L, -1, kind, () => push(kind))
      })
    },
  }
}

function threadFunctions(state: LuaState): Readonly<Record<string, (L: number) => number>> {
  const { lua } = state
  return {
    enter: (L) => {
      lua.luaL_checktype(L, 1, TYPE.thread)
      state.enter(lua.lua_tothread(L, 1))
      return 0
    },
    leave: () => {
      state.leave()
      return 0
    },
  }
}

/** refuse_chunk(text): why a text is not compiled, or nothing. */
function refuseChunk(state: LuaState, L: number): number {
  const { at, length } = state.checkSpan(L, 1)
  state.spend()
  if (length > 0 && state.machine.bytes[at] === 0x1b) state.push(L, 'precompiled code is refused')
  else if (length > maxDynamicChunk) state.push(L, `a chunk from text has at most ${maxDynamicChunk} octets`)
  else return 0
  return 1
}

/** text(value, position, function): the value as a string, or the usual argument error. */
function text(state: LuaState, L: number): number {
  const type = state.lua.lua_type(L, 1)
  if (type !== TYPE.string && type !== TYPE.number) {
    const place = `bad argument #${state.checkString(L, 2)} to '${state.checkString(L, 3)}'`
    throw new ScriptError(
      `${place} (string expected, got ${type <= TYPE.nil ? 'nil' : state.typeName(L, 1)})`,
      3,
    )
  }
  state.checkSpan(L, 1)
  state.lua.lua_settop(L, 1)
  return 1
}
