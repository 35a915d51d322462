/**
 * Objects of the library: timers, counters, mutexes, HTTP clients, strings of the `ec_string` kind.
 *
 * Userdata of 16 octets like the objects of a callout, with a number of their own and a kind that no object of a
 * callout has. Their classes are made in `library.lua`.
 */

import { type LuaState, REGISTRY, ScriptError, TYPE } from '../state.ts'
import type { Family } from './family.ts'

const boxSize = 16
/** kinds of boxes count from here */
const firstKind = 100

export class Boxes {
  readonly #state: LuaState
  readonly #names: string[] = []
  /** registry references of metatables, by kind */
  readonly #metatables: number[] = []
  #last = 0

  constructor(state: LuaState) {
    this.#state = state
  }

  family(): Family {
    const { lua } = this.#state
    return {
      helpers: {
        // box_class(name, metatable)
        box_class: (L) => {
          this.#names.push(this.#state.checkString(L, 1))
          lua.lua_settop(L, 2)
          this.#metatables.push(lua.luaL_ref(L, REGISTRY))
          return 0
        },
        // box_new(name): an object of that class
        box_new: (L) => {
          this.push(L, this.#state.checkString(L, 1))
          return 1
        },
        // box_is(value, name)
        box_is: (L) => {
          lua.lua_pushboolean(L, this.nameAt(L, 1) === this.#state.checkString(L, 2) ? 1 : 0)
          return 1
        },
      },
    }
  }

  /** Pushes a new object; returns its number. */
  push(L: number, name: string): number {
    const { lua, machine } = this.#state
    const kind = this.#names.indexOf(name)
    const at = lua.lua_newuserdata(L, boxSize)
    machine.doubles[at >> 3] = ++this.#last
    machine.words[(at + 8) >> 2] = firstKind + kind
    lua.lua_rawgeti(L, REGISTRY, this.#metatables[kind] ?? 0)
    lua.lua_setmetatable(L, -2)
    return this.#last
  }

  /** The class of a value; undefined when it is none of these objects. */
  nameAt(L: number, index: number): string | undefined {
    const { lua, machine } = this.#state
    if (lua.lua_type(L, index) !== TYPE.userdata) return undefined
    return this.#names[(machine.words[(lua.lua_touserdata(L, index) + 8) >> 2] ?? 0) - firstKind]
  }

  /** The number of an object of this class. @throws ScriptError for anything else */
  idAt(L: number, index: number, name: string): number {
    if (this.nameAt(L, index) !== name)
      throw new ScriptError(`a ${name} expected; use ':' to call its methods`)
    return this.#state.machine.doubles[this.#state.lua.lua_touserdata(L, index) >> 3] ?? 0
  }
}
