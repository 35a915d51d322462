/**
 * One instance of PUC Lua 5.1, compiled to WebAssembly, with nothing around it.
 *
 * The npm package `wasmoon-lua5.1` brings the binary; its JavaScript is not loaded. Every import that would reach the
 * host (files, environment, processes) throws, so the sandbox holds by construction: Lua sees its own linear memory
 * and the functions that are put into its table here.
 *
 * Lua's `longjmp` arrives as an exception. `LONGJMP` must pass through every JavaScript frame untouched; any other
 * exception that passes through Lua leaves the instance in an unknown state, and its owner has to drop it.
 */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

/** Lua's own control transfer. Never catch it without throwing it again. */
export const LONGJMP: unique symbol = Symbol('longjmp')

/** The instance cannot be used any more. */
export class LuaFatalError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LuaFatalError'
  }
}

/** The functions of lua.h and lauxlib.h that the engine uses. Pointers and sizes are 32-bit integers. */
export interface LuaExports {
  malloc(size: number): number
  realloc(pointer: number, size: number): number
  free(pointer: number): void
  lua_newstate(allocator: number, data: number): number
  lua_atpanic(L: number, f: number): number
  lua_newthread(L: number): number
  lua_gettop(L: number): number
  lua_settop(L: number, index: number): void
  lua_pushvalue(L: number, index: number): void
  lua_insert(L: number, index: number): void
  lua_replace(L: number, index: number): void
  lua_type(L: number, index: number): number
  lua_typename(L: number, type: number): number
  lua_tonumber(L: number, index: number): number
  lua_toboolean(L: number, index: number): number
  lua_tolstring(L: number, index: number, length: number): number
  lua_touserdata(L: number, index: number): number
  lua_tothread(L: number, index: number): number
  lua_pushnil(L: number): void
  lua_pushnumber(L: number, n: number): void
  lua_pushlstring(L: number, pointer: number, length: number): void
  lua_pushcclosure(L: number, f: number, upvalues: number): void
  lua_pushboolean(L: number, value: number): void
  lua_rawget(L: number, index: number): void
  lua_rawgeti(L: number, index: number, n: number): void
  lua_rawset(L: number, index: number): void
  lua_rawseti(L: number, index: number, n: number): void
  lua_createtable(L: number, array: number, hash: number): void
  lua_newuserdata(L: number, size: number): number
  lua_setmetatable(L: number, index: number): number
  lua_getmetatable(L: number, index: number): number
  lua_rawequal(L: number, index: number, other: number): number
  lua_next(L: number, index: number): number
  lua_pcall(L: number, args: number, results: number, handler: number): number
  lua_resume(L: number, args: number): number
  lua_xmove(from: number, to: number, n: number): void
  lua_error(L: number): number
  lua_concat(L: number, n: number): void
  lua_gc(L: number, what: number, data: number): number
  lua_gethookcount(L: number): number
  lua_sethook(L: number, hook: number, mask: number, count: number): number
  lua_getstack(L: number, level: number, record: number): number
  lua_getinfo(L: number, what: number, record: number): number
  luaL_where(L: number, level: number): void
  luaL_argerror(L: number, index: number, message: number): number
  luaL_checklstring(L: number, index: number, length: number): number
  luaL_checknumber(L: number, index: number): number
  luaL_checkstack(L: number, size: number, message: number): void
  luaL_checktype(L: number, index: number, type: number): void
  luaL_loadbuffer(L: number, buffer: number, size: number, name: number): number
  luaL_ref(L: number, table: number): number
  luaL_unref(L: number, table: number, reference: number): void
  stackSave(): number
  stackRestore(pointer: number): void
  setThrew(threw: number, value: number): void
}

type HostFunction = (...args: number[]) => unknown

/** Signatures of C functions that JavaScript provides: result first, one letter per value. */
type Signature = 'ii' | 'vii' | 'iiiii'

const pageSize = 65_536

export class LuaMachine {
  readonly lua: LuaExports
  /** the linear memory; renewed when it grows */
  bytes: Buffer
  words: Int32Array
  doubles: Float64Array

  readonly #memory: WebAssembly.Memory
  readonly #table: WebAssembly.Table
  readonly #exported: Readonly<Record<string, unknown>>
  readonly #limit: number
  readonly #functions: ((a: number, b: number) => void)[] = []

  /** @param limit octets to which the linear memory may grow */
  constructor(limit: number) {
    this.#limit = limit
    const instance = new WebAssembly.Instance(luaModule(), this.#imports())
    this.#exported = instance.exports
    this.lua = instance.exports as unknown as LuaExports
    this.#memory = instance.exports['memory'] as WebAssembly.Memory
    this.#table = instance.exports['__indirect_function_table'] as WebAssembly.Table
    this.bytes = Buffer.from(this.#memory.buffer)
    this.words = new Int32Array(this.#memory.buffer)
    this.doubles = new Float64Array(this.#memory.buffer)
    const runConstructors = instance.exports['__wasm_call_ctors'] as () => void
    runConstructors()
  }

  /** Makes a JavaScript function callable from Lua; the result is a C function pointer. */
  addFunction(signature: Signature, f: HostFunction): number {
    const wrapper = new WebAssembly.Instance(wrapperModule(signature), { host: { f } })
    return this.#place(wrapper.exports['f'])
  }

  /** The pointer of a `lua_CFunction` that the binary exports, such as `luaopen_base`. */
  exported(name: `luaopen_${'base' | 'string' | 'table' | 'math'}`): number {
    return this.#place(this.#exported[name])
  }

  /** Copies a text that lives as long as the instance, with a final NUL. */
  constant(text: string): number {
    const pointer = this.lua.malloc(text.length + 1)
    this.bytes.write(text, pointer, 'latin1')
    this.bytes[pointer + text.length] = 0
    return pointer
  }

  #place(f: unknown): number {
    const index = this.#table.grow(1)
    this.#table.set(index, f)
    return index
  }

  #invoke(index: number, a: number, b: number): void {
    const f = (this.#functions[index] ??= this.#table.get(index) as HostFunction)
    const stack = this.lua.stackSave()
    try {
      f(a, b)
    } catch (error) {
      this.lua.stackRestore(stack)
      if (error !== LONGJMP) throw error
      this.lua.setThrew(1, 0)
    }
  }

  #grow(size: number): number {
    const memory = this.#memory
    if (size > this.#limit) return 0
    try {
      memory.grow(Math.ceil((size - memory.buffer.byteLength) / pageSize))
    } catch {
      return 0
    }
    this.bytes = Buffer.from(memory.buffer)
    this.words = new Int32Array(memory.buffer)
    this.doubles = new Float64Array(memory.buffer)
    return 1
  }

  #imports(): WebAssembly.Imports {
    const imports: Record<string, Record<string, HostFunction>> = {}
    for (const { module, name } of WebAssembly.Module.imports(luaModule())) {
      imports[module] ??= {}
      imports[module][name] = () => {
        throw new LuaFatalError(`Lua asked its host for ${name}`)
      }
    }
    Object.assign(imports['env'] ?? {}, {
      invoke_vii: (index: number, a: number, b: number) => this.#invoke(index, a, b),
      _emscripten_throw_longjmp: () => {
        throw LONGJMP
      },
      emscripten_memcpy_js: (to: number, from: number, n: number) => {
        this.bytes.copyWithin(to, from, from + n)
      },
      emscripten_resize_heap: (size: number) => this.#grow(size >>> 0),
      // seeds math.random; nothing else asks for the time
      emscripten_date_now: () => Date.now(),
    })
    Object.assign(imports['wasi_snapshot_preview1'] ?? {}, {
      // an empty environment
      environ_sizes_get: (count: number, size: number) => {
        new Int32Array(this.#memory.buffer)
          .fill(0, count >> 2, (count >> 2) + 1)
          .fill(0, size >> 2, (size >> 2) + 1)
        return 0
      },
      environ_get: () => 0,
    })
    return imports
  }
}

/** Compiled once; instances share the code and nothing else. */
const luaModule = once(
  () =>
    new WebAssembly.Module(
      readFileSync(createRequire(import.meta.url).resolve('wasmoon-lua5.1/dist/liblua5.1.wasm')),
    ),
)

/**
 * A table takes only WebAssembly functions. This is the smallest module that imports a function and exports it:
 * sections type, import and export of the binary format, spelled out.
 */
const wrapperModules = new Map<Signature, WebAssembly.Module>()
function wrapperModule(signature: Signature): WebAssembly.Module {
  const known = wrapperModules.get(signature)
  if (known !== undefined) return known
  const i32 = 0x7f
  const parameters = Array.from(signature.slice(1), () => i32)
  const results = signature.startsWith('v') ? [] : [i32]
  const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]
  const made = new WebAssembly.Module(
    Uint8Array.from([
      ...magic,
      ...section(1, [1, 0x60, parameters.length, ...parameters, results.length, ...results]),
      ...section(2, [1, ...name('host'), ...name('f'), 0x00, 0x00]),
      ...section(7, [1, ...name('f'), 0x00, 0x00]),
    ]),
  )
  wrapperModules.set(signature, made)
  return made
}

const name = (text: string): number[] => [text.length, ...Buffer.from(text)]
const section = (id: number, body: number[]): number[] => [id, body.length, ...body]

function once<T>(make: () => T): () => T {
  const made: T[] = []
  return () => (made[0] ??= make())
}
