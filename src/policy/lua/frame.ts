/**
 * Reads the arguments of a host function, and the results of a callout, where they lie in Lua's memory; and puts values
 * there.
 *
 * Every call of Lua's interface crosses from JavaScript to WebAssembly and back; six of them to read three arguments
 * cost more than what the function then does. The structures are those of this build (lobject.h and lstate.h of Lua 5.1,
 * 32-bit pointers, numbers as doubles), of which `verify` makes sure. Only indices from 1 up.
 *
 * What is written is the stack of a thread and the metatable of an object that no script has seen. The collector looks
 * at every stack again before it frees anything, and a metatable that the registry holds is alive anyway, so neither
 * needs one of its barriers.
 */

import { LuaFatalError, type LuaMachine } from './wasm.ts'

/** fields of lua_State: top, base, hook count as set */
const THREAD = { top: 8, base: 12, hookCount: 60 } as const
/** a value: eight octets, then its type */
const VALUE = { size: 16, type: 8 } as const
/** the metatable of a table or of userdata */
const METATABLE = 8
/** fields of a string and of userdata: length, and where the octets begin */
const STRING = { length: 12, octets: 16 } as const
const USERDATA = { octets: 24 } as const
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

  /** Where the octets of full userdata are. @param address of the userdata */
  octetsOf(address: number): number {
    return address + USERDATA.octets
  }

  /** Gives a metatable that the registry holds to a table or userdata that no script has seen yet. */
  adorn(address: number, metatable: number): void {
    this.#machine.words[(address + METATABLE) >> 2] = metatable
  }

  /** Pushes an object that something else keeps alive. As with Lua's interface, a stack has room for 20 values. */
  pushObject(L: number, address: number, type: number): void {
    const { words } = this.#machine
    const at = words[(L + THREAD.top) >> 2] ?? 0
    words[at >> 2] = address
    words[(at + VALUE.type) >> 2] = type
    words[(L + THREAD.top) >> 2] = at + VALUE.size
  }

  /** Puts an object in the place of a value of the stack. */
  place(L: number, index: number, object: { readonly address: number; readonly type: number }): void {
    const { words } = this.#machine
    const at = this.#at(L, index)
    words[at >> 2] = object.address
    words[(at + VALUE.type) >> 2] = object.type
  }

  /** Takes the object on top off the stack; its address. It lives until the collector next looks there. */
  pop(L: number): number {
    const { words } = this.#machine
    const at = (words[(L + THREAD.top) >> 2] ?? 0) - VALUE.size
    words[(L + THREAD.top) >> 2] = at
    return words[at >> 2] ?? 0
  }

  /** Takes everything off the stack. */
  clear(L: number): void {
    const { words } = this.#machine
    words[(L + THREAD.top) >> 2] = words[(L + THREAD.base) >> 2] ?? 0
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
      words[(this.address(L, 3) + METATABLE) >> 2] === this.address(L, 4),
      bare && !this.isBare(L, 6),
      this.hookCount(L) === lua.lua_gethookcount(L),
      this.#canWrite(L),
    ]
    lua.free(text)
    const wrong = holds.indexOf(false)
    if (wrong >= 0) throw new LuaFatalError(`this build of Lua has another layout of its memory (${wrong})`)
  }

  /** Whether Lua finds what is written here. The stack holds the values that `verify` pushed, and is empty afterwards. */
  #canWrite(L: number): boolean {
    const { lua } = this.#machine
    const before = this.top(L)
    const [text, userdata, table] = [this.address(L, 2), this.address(L, 3), this.address(L, 6)]
    this.pushObject(L, text, this.type(L, 2))
    const pushed = lua.lua_gettop(L) === before + 1 && lua.lua_rawequal(L, -1, 2) === 1
    this.place(L, before + 1, { address: userdata, type: this.type(L, 3) })
    const placed =
      lua.lua_rawequal(L, before + 1, 3) === 1 && this.octetsOf(userdata) === this.userdataAt(L, 3)
    const popped = this.pop(L) === userdata && lua.lua_gettop(L) === before
    this.adorn(table, this.address(L, 4))
    const adorned = lua.lua_getmetatable(L, 6) === 1 && lua.lua_rawequal(L, -1, 4) === 1
    this.clear(L)
    return pushed && placed && popped && adorned && lua.lua_gettop(L) === 0
  }

  #at(L: number, index: number): number {
    return (this.#machine.words[(L + THREAD.base) >> 2] ?? 0) + (index - 1) * VALUE.size
  }

  #pointer(L: number, index: number): number {
    return this.#machine.words[this.#at(L, index) >> 2] ?? 0
  }
}
