/**
 * Loads scripts into a state: compiles, runs, takes what they register, and answers their `require`.
 *
 * Modules come from the directory of the script that asks, by names that cannot leave it.
 */

import { type Signature, signatures } from './arguments.ts'
import type { ScriptLog } from './callout.ts'
import { isUnbuiltModule } from './catalogue.ts'
import { asLua51 } from './dialect.ts'
import { judgeKeys } from './key-names.ts'
import {
  explainSyntax,
  type Finding,
  isCalled,
  judgeNames,
  type ModuleFile,
  moduleFile,
  type ScriptSource,
} from './scripts.ts'
import { type LuaState, REGISTRY, ScriptError, TYPE } from './state.ts'

/** A function that the registry holds. */
export interface ScriptFunction {
  readonly reference: number
  /** where it lies: Lua never moves what it has made */
  readonly address: number
  /** what it gets when it is called as a callout */
  readonly signature: Signature
}

/** What a script registered; the registry holds it all. */
export interface Module {
  /** a reference */
  readonly table: number
  /** the address of the metatable of what a session gets as `self` */
  readonly selfMeta: number
  readonly functions: ReadonlyMap<string, ScriptFunction>
  /** whether it has a validate_dealloc */
  readonly hearsEnd: boolean
}

export interface LoaderOptions {
  readonly state: LuaState
  readonly log: ScriptLog
  /** a module's text by absolute path; undefined when there is no such file */
  readonly readModule: (path: string) => Uint8Array | undefined
}

interface Loading {
  readonly script: ScriptSource
  /** tables by the name given to registerModule */
  readonly registered: Map<string, number>
  readonly findings: Finding[]
}

export class ScriptLoader {
  readonly #options: LoaderOptions
  readonly #state: LuaState
  /** whose directory the code of a chunk belongs to, by the chunk's file */
  readonly #owners = new Map<string, ScriptSource>()
  #loading: Loading | undefined
  /** the script whose callout runs; asked where the stack does not tell, as at the bottom of a coroutine */
  running: ScriptSource | undefined

  constructor(options: LoaderOptions) {
    this.#options = options
    this.#state = options.state
  }

  /** Runs a script. No module: it cannot be used, or never runs; the findings say why. */
  load(script: ScriptSource): { readonly module: Module | undefined; readonly findings: readonly Finding[] } {
    const loading: Loading = { script, registered: new Map(), findings: [] }
    this.#owners.set(script.file, script)
    this.#loading = loading
    this.#options.log.restart()
    try {
      const module = this.#run(loading)
      return { module, findings: loading.findings }
    } finally {
      this.#loading = undefined
    }
  }

  /** The host functions of `require` and `registerModule`. */
  functions(): Readonly<Record<'register' | 'required' | 'locate' | 'loadModule', (L: number) => number>> {
    return {
      register: (L) => this.#register(L),
      required: (L) => this.#required(L),
      locate: (L) => this.#locate(L),
      loadModule: (L) => this.#loadModule(L),
    }
  }

  #run({ script, registered, findings }: Loading): Module | undefined {
    const fail = (message: string): undefined => {
      findings.push({ severity: 'error', message })
      return undefined
    }
    const problem = this.#runChunk(script)
    if (problem !== undefined) return fail(problem)
    const table = registered.get(script.name)
    if (table === undefined) {
      findings.push(neverRuns(script.name, [...registered.keys()]))
      return undefined
    }
    const functions = this.#functionsOf(table)
    findings.push(...judgeNames([...functions.keys()]))
    findings.push(...judgeKeys(Buffer.from(script.text).toString('latin1'), script.file))
    if (![...functions.keys()].some((name) => isCalled(name))) {
      const text = `no usable methods found for module ${script.name} in registerModule call`
      this.#options.log.tell('error', text)
      findings.push({ severity: 'warning', message: text })
    }
    const refused = this.#init(table, 'init', functions) ?? this.#init(table, 'rsrc_setup', functions)
    if (refused !== undefined) return fail(refused)
    return { table, functions, selfMeta: this.#selfMeta(table), hearsEnd: functions.has('validate_dealloc') }
  }

  /** Returns what is wrong. */
  #runChunk(script: ScriptSource): string | undefined {
    const { L, reference } = this.#state.newThread()
    const problem = this.#state.load(L, asLua51(script.text), `@${script.file}`)
    if (problem !== undefined) return explainSyntax(problem)
    const { result } = this.#state.resume(L, 0, 0)
    if (result.kind === 'failed') return result.message
    if (result.kind === 'yielded') return `${script.file}: a script cannot wait while it loads`
    this.#state.release(reference)
    return undefined
  }

  /** The functions of a table. */
  #functionsOf(table: number): Map<string, ScriptFunction> {
    const { lua, main, frame } = this.#state
    const functions = new Map<string, ScriptFunction>()
    lua.lua_rawgeti(main, REGISTRY, table)
    lua.lua_pushnil(main)
    while (lua.lua_next(main, -2) !== 0) {
      const name = lua.lua_type(main, -2) === TYPE.string ? this.#state.read(main, -2) : undefined
      if (name !== undefined && lua.lua_type(main, -1) === TYPE.function) {
        const address = frame.address(main, frame.top(main))
        const signature = signatures[name] ?? []
        functions.set(name, { address, signature, reference: lua.luaL_ref(main, REGISTRY) })
      } else lua.lua_settop(main, -2)
    }
    lua.lua_settop(main, 0)
    return functions
  }

  /** Calls a function that has to return true, if it is there; returns what is wrong. */
  #init(table: number, name: string, functions: ReadonlyMap<string, ScriptFunction>): string | undefined {
    const init = functions.get(name)
    if (init === undefined) return undefined
    const { lua } = this.#state
    const { L, reference } = this.#state.newThread()
    lua.lua_rawgeti(L, REGISTRY, init.reference)
    lua.lua_rawgeti(L, REGISTRY, table)
    const { result } = this.#state.resume(L, 1, 0)
    if (result.kind === 'failed') return `${name} error: ${result.message}`
    if (result.kind === 'yielded') return `${name} cannot wait`
    const fine = lua.lua_gettop(L) > 0 && lua.lua_type(L, 1) === TYPE.boolean && lua.lua_toboolean(L, 1) === 1
    this.#state.release(reference)
    return fine ? undefined : `${name} did not return true`
  }

  #selfMeta(table: number): number {
    const { lua, main, frame } = this.#state
    lua.lua_createtable(main, 0, 1)
    this.#state.setField(main, -1, '__index', () => lua.lua_rawgeti(main, REGISTRY, table))
    const address = frame.address(main, frame.top(main))
    lua.luaL_ref(main, REGISTRY)
    return address
  }

  /** register(name, table) */
  #register(L: number): number {
    const { lua } = this.#state
    const name = this.#state.checkString(L, 1)
    if (lua.lua_type(L, 2) !== TYPE.table)
      throw new ScriptError("bad argument #2 to 'registerModule' (table expected)", 2)
    if (this.#loading === undefined)
      throw new ScriptError('registerModule works only while a script loads', 2)
    const { registered } = this.#loading
    if (registered.has(name)) throw new ScriptError(`the module "${name}" is registered already`, 2)
    lua.lua_settop(L, 2)
    registered.set(name, lua.luaL_ref(L, REGISTRY))
    return 0
  }

  #required(L: number): number {
    const name = this.#state.checkString(L, 1)
    if (this.#loading !== undefined && isUnbuiltModule(name) && this.#fileOf(L, name) === undefined) {
      this.#loading.findings.push({
        severity: 'warning',
        message: `${name} is recognised, not implemented: calling into it is an error`,
      })
    }
    return 0
  }

  #locate(L: number): number {
    const name = this.#state.checkString(L, 1)
    const found = this.#fileOf(L, name)
    if (found !== undefined) this.#state.push(L, found.path)
    else if (this.#state.lua.lua_toboolean(L, 2) === 1) this.#state.lua.lua_pushnil(L)
    else throw new ScriptError(`module '${name}' not found beside the script`, 2)
    return 1
  }

  #fileOf(L: number, name: string): ModuleFile | undefined {
    const script = this.#callingScript(L)
    const candidate = script === undefined ? undefined : moduleFile(script, name)
    return candidate !== undefined && this.#options.readModule(candidate.path) !== undefined
      ? candidate
      : undefined
  }

  /** load_module(name): the compiled chunk of a module that `locate` found. */
  #loadModule(L: number): number {
    const script = this.#callingScript(L)
    const found = this.#fileOf(L, this.#state.checkString(L, 1))
    const text = found === undefined ? undefined : this.#options.readModule(found.path)
    if (script === undefined || found === undefined || text === undefined)
      throw new ScriptError('the module is gone', 2)
    this.#owners.set(found.file, script)
    const problem = this.#state.load(L, asLua51(text), `@${found.file}`)
    if (problem !== undefined) throw new ScriptError(explainSyntax(problem), 2)
    return 1
  }

  /** The directory beside whose files the calling code looks for others. */
  directory(L: number): string | undefined {
    return this.#callingScript(L)?.directory
  }

  /** The script in whose directory the calling code looks for modules. */
  #callingScript(L: number): ScriptSource | undefined {
    for (let level = 2; level < 12; level++) {
      const owner = this.#owners.get(this.#state.chunkName(L, level).slice(1))
      if (owner !== undefined) return owner
    }
    return this.#loading?.script ?? this.running
  }
}

function neverRuns(name: string, registered: readonly string[]): Finding {
  const instead = registered.map((each) => `"${each}"`).join(', ')
  const message =
    registered.length === 0
      ? `the script "${name}" never runs: it does not call msys.registerModule("${name}", …)`
      : `the script "${name}" never runs: it registers ${instead}, and the names must be equal`
  return { severity: 'warning', message }
}
