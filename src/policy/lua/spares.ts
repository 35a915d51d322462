/**
 * Objects for callouts to come, made many at a time: userdata for `vctx` and the like, and tables for `self`.
 *
 * Each is given away once and belongs to one callout then. Until then a stack of its own keeps it alive.
 */

import type { LuaState } from './state.ts'

/** octets of userdata: see `HostObjects` */
export const objectSize = 16
const batch = 32

export class Spares {
  readonly #state: LuaState
  readonly #userdata: number
  readonly #tables: number

  constructor(state: LuaState) {
    this.#state = state
    this.#userdata = this.#stack()
    this.#tables = this.#stack()
  }

  /**
   * Makes more where few are left. Not while a script runs: memory that cannot be had must not be the engine's fault
   * then, and it is a script's own when it asks for an object itself.
   */
  refill(): void {
    const { lua, frame } = this.#state
    if (frame.top(this.#userdata) < 4)
      for (let i = 0; i < batch; i++) lua.lua_newuserdata(this.#userdata, objectSize)
    if (frame.top(this.#tables) < 1) for (let i = 0; i < batch; i++) lua.lua_createtable(this.#tables, 0, 0)
  }

  /** The address of userdata without a metatable; 0 when none is left. */
  userdata(): number {
    return this.#take(this.#userdata)
  }

  /** The address of an empty table without a metatable; 0 when none is left. */
  table(): number {
    return this.#take(this.#tables)
  }

  #take(stack: number): number {
    const { frame } = this.#state
    return frame.top(stack) === 0 ? 0 : frame.pop(stack)
  }

  #stack(): number {
    const { L } = this.#state.newThread()
    this.#state.checkStack(L, batch + 4)
    return L
  }
}
