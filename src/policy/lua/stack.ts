/**
 * Looks at the call stack of a Lua thread: where a script is, and what would keep it from being suspended.
 *
 * Reads two structures of this build's memory, lua_Debug (lua.h) and lua_State (lstate.h).
 */

import type { LuaMachine } from './wasm.ts'

/** fields of lua_Debug: name, namewhat, what, source, currentline, linedefined, short_src */
const DEBUG = {
  size: 128,
  name: 4,
  nameKind: 8,
  what: 12,
  source: 16,
  line: 20,
  defined: 28,
  shortSource: 36,
} as const
/** fields of lua_State: C calls under way, and how many of them there were when the thread was resumed */
const THREAD = { calls: 52, baseCalls: 54 } as const
const maxLevels = 20

export class CallStack {
  readonly #machine: LuaMachine
  readonly #record: number
  readonly #placeFormat: number
  readonly #callFormat: number
  readonly #definitionFormat: number

  constructor(machine: LuaMachine) {
    this.#machine = machine
    this.#record = machine.lua.malloc(DEBUG.size)
    this.#placeFormat = machine.constant('Sl')
    this.#callFormat = machine.constant('nSl')
    this.#definitionFormat = machine.constant('>S')
  }

  /** `file:line: ` of the innermost function of a script from a stack level on, '' when there is none. */
  nearest(L: number, from = 0): string {
    for (let level = from; level < from + maxLevels; level++) {
      const position = this.#position(L, level)
      if (position !== '' && !position.startsWith('prelude:')) return position
    }
    return ''
  }

  /** The chunk's name of the function at a stack level, as it was loaded (`@gate.lua`); '' when it is not Lua. */
  chunkName(L: number, level: number): string {
    return this.#inspect(L, level, this.#placeFormat) ? this.#text(DEBUG.source) : ''
  }

  /** `file:line` on which a function in a table begins; undefined when it is not Lua. */
  definition(L: number, table: number, reference: number): string | undefined {
    const { lua, words } = this.#machine
    lua.lua_rawgeti(L, table, reference)
    lua.lua_getinfo(L, this.#definitionFormat, this.#record)
    const line = words[(this.#record + DEBUG.defined) >> 2] ?? -1
    return line < 0 ? undefined : `${this.#textAt(this.#record + DEBUG.shortSource)}:${line}`
  }

  /** Whether a call that C code made is under way in a thread: Lua 5.1 cannot yield through it. */
  isHeld(L: number): boolean {
    const { bytes } = this.#machine
    return bytes.readUInt16LE(L + THREAD.calls) > bytes.readUInt16LE(L + THREAD.baseCalls)
  }

  /** What made that call, as a place in the script. */
  holder(L: number): string {
    for (let level = 0; ; level++) {
      const callee = this.#call(L, level)
      const caller = this.#call(L, level + 1)
      // a tail call has wiped out who was called
      if (callee === undefined || caller === undefined)
        return `a metamethod or an iterator (${this.nearest(L).slice(0, -2)})`
      const where = this.nearest(L, level + 1).slice(0, -2)
      if (callee.name === '(for generator)') return `the iterator of a for loop (${where})`
      if (callee.name !== '' || callee.what === 'tail' || caller.what === 'tail') continue
      if (caller.what !== 'C') return `a metamethod (${where})`
      return `a function that ${caller.name === '' ? 'a C function' : caller.name} calls (${where})`
    }
  }

  #call(L: number, level: number): { readonly name: string; readonly what: string } | undefined {
    if (!this.#inspect(L, level, this.#callFormat)) return undefined
    return {
      name: this.#text(DEBUG.nameKind) === '' ? '' : this.#text(DEBUG.name),
      what: this.#text(DEBUG.what),
    }
  }

  #position(L: number, level: number): string {
    if (!this.#inspect(L, level, this.#placeFormat)) return ''
    const line = this.#machine.words[(this.#record + DEBUG.line) >> 2] ?? -1
    return line < 0 ? '' : `${this.#textAt(this.#record + DEBUG.shortSource)}:${line}: `
  }

  #inspect(L: number, level: number, what: number): boolean {
    const { lua } = this.#machine
    if (lua.lua_getstack(L, level, this.#record) === 0) return false
    lua.lua_getinfo(L, what, this.#record)
    return true
  }

  #text(field: number): string {
    const pointer = this.#machine.words[(this.#record + field) >> 2] ?? 0
    return pointer === 0 ? '' : this.#textAt(pointer)
  }

  #textAt(pointer: number): string {
    const { bytes } = this.#machine
    return bytes.toString('latin1', pointer, bytes.indexOf(0, pointer))
  }
}
