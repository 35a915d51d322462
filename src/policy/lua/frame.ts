/**
 * Reads the arguments of a host function, and the results of a callout, where they lie in Lua's memory.
 *
 * Every call of Lua's interface crosses from JavaScript to WebAssembly and back; six of them to read three arguments
 * cost more than what the function then does. The structures are those of this build (lobject.h and lstate.h of Lua 5.1,
 * 32-bit pointers, numbers as doubles), of which `verify` makes sure. Only indices from 1 up; nothing is changed here.
 */

import { LuaFatalError, type LuaMachine } from './wasm.ts'

/** fields of lua_State: top, base, hook count as set */
const THREAD = { top: 8, base: 12, hookCount: 60 } as const
/** a value: eight octets, then its type */
const VALUE = { size: 16, type: 8 } as const
/** fields of a string and of userdata: length, metatable, and where the octets begin */
const STRING = { length: 12, octets: 16 } as const
const USERDATA = { metatable: 8, octets: 24 } as const
/** fields of a table: its nodes, and the length of its array */
const TABLE = { nodes: 16, arrayLength: 28 } as const
const NONE = -1

export class LuaFrame {
  readonly #machine: LuaMachine
  /** what all tables share that have no nodes of their own */
  #noNodes = -1

  constructor(machine: LuaMachine) {
    this.#machine = machine
  }

  /** How many values a function has on its stack. */
  top(L: number): number {
    const { words } = this.#machine
    return ((words[(L + THREAD.top) >> 2] ?? 0) - (words[(L + THREAD.base) >> 2] ?? 0)) / VALUE.size
  }

  /** The type's number, as `lua_type` has it: -1 beyond the top. */
  type(L: number, index: number): number {
    const { words } = this.#machine
    const at = this.#at(L, index)
    return at >= (words[(L + THREAD.top) >> 2] ?? 0) ? NONE : (words[(at + VALUE.type) >> 2] ?? NONE)
  }

  /** Of a value that is a number. */
  number(L: number, index: number): number {
    return this.#machine.doubles[this.#at(L, index) >> 3] ?? Number.NaN
  }

  /** Of a value that is a boolean. */
  boolean(L: number, index: number): boolean {
    return this.#pointer(L, index) !== 0
  }

  /** Where the octets of a string are. */
  stringAt(L: number, index: number): number {
    return this.#pointer(L, index) + STRING.octets
  }

  /** Octets of a string. */
  stringLength(L: number, index: number): number {
    return this.#machine.words[(this.#pointer(L, index) + STRING.length) >> 2] ?? 0
  }

  /** Where the octets of full userdata are. */
  userdataAt(L: number, index: number): number {
    return this.#pointer(L, index) + USERDATA.octets
  }

  /** What tells two objects apart: their address. */
  address(L: number, index: number): number {
    return this.#pointer(L, index)
  }

  /** Gives userdata that was just made (its octets are at `at`) a metatable: new as it is, no barrier is needed. */
  adorn(at: number, metatable: number): void {
    this.#machine.words[(at - USERDATA.octets + USERDATA.metatable) >> 2] = metatable
  }

  /** Whether nothing was ever put into a table. False says nothing: what was put in may be gone again. */
  isBare(L: number, index: number): boolean {
    const { words } = this.#machine
    const table = this.#pointer(L, index)
    return (
      words[(table + TABLE.arrayLength) >> 2] === 0 && words[(table + TABLE.nodes) >> 2] === this.#noNodes
    )
  }

  /** The interval of a thread's count hook. */
  hookCount(L: number): number {
    return this.#machine.words[(L + THREAD.hookCount) >> 2] ?? 0
  }

  /**
   * Must come first. Compares what is read here with what Lua's interface says.
   * @param L a thread with an empty stack and a count hook @throws LuaFatalError when they differ
   */
  verify(L: number): void {
    const { lua, words } = this.#machine
    const text = this.#machine.constant('frame')
    lua.lua_pushnumber(L, 1.5)
    lua.lua_pushlstring(L, text, 5)
    const octets = lua.lua_newuserdata(L, 16)
    lua.lua_createtable(L, 0, 0)
    lua.lua_pushvalue(L, 4)
    lua.lua_setmetatable(L, 3)
    lua.lua_pushboolean(L, 1)
    lua.lua_createtable(L, 0, 0)
    this.#noNodes = words[(this.address(L, 6) + TABLE.nodes) >> 2] ?? -1
    const bare = this.isBare(L, 4) && this.isBare(L, 6)
    lua.lua_pushboolean(L, 1)
    lua.lua_pushboolean(L, 1)
    lua.lua_rawset(L, 6)
    const holds = [
      this.top(L) === lua.lua_gettop(L),
      [1, 2, 3, 4, 5, 6, 7].every((index) => this.type(L, index) === lua.lua_type(L, index)),
      this.number(L, 1) === 1.5,
      this.boolean(L, 5),
      this.stringAt(L, 2) === lua.lua_tolstring(L, 2, 0) && this.stringLength(L, 2) === 5,
      this.userdataAt(L, 3) === octets,
      words[(octets - USERDATA.octets + USERDATA.metatable) >> 2] === this.address(L, 4),
      bare && !this.isBare(L, 6),
      this.hookCount(L) === lua.lua_gethookcount(L),
    ]
    lua.lua_settop(L, 0)
    lua.free(text)
    const wrong = holds.indexOf(false)
    if (wrong >= 0) throw new LuaFatalError(`this build of Lua has another layout of its memory (${wrong})`)
  }

  #at(L: number, index: number): number {
    return (this.#machine.words[(L + THREAD.base) >> 2] ?? 0) + (index - 1) * VALUE.size
  }

  #pointer(L: number, index: number): number {
    return this.#machine.words[this.#at(L, index) >> 2] ?? 0
  }
}
