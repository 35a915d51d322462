/**
 * Names that scripts give again and again, of context keys and of fields, and the value that was last read by each.
 *
 * Lua keeps one copy of equal strings, so the address of a living one tells which it is. The last so many names are kept
 * alive by a stack of their own, each with its value; for them neither side copies an octet. What a key holds is asked
 * of the context each time: only the copy of a text is saved, never the answer. Bounded whoever chooses the texts.
 */

import { type LuaState, TYPE } from './state.ts'

const most = 256
/** octets; a longer text is copied each time */
const longest = 128

/** A name, and what was pushed for it. */
export interface KnownName {
  readonly text: string
  /** where it lies, and its place among those that are kept */
  readonly address: number
  readonly place: number
  value: string
  valueAddress: number
}

export class KnownStrings {
  readonly #state: LuaState
  /** whose stack holds them: names first, then the value of each */
  readonly #keeper: number
  readonly #names = new Map<number, KnownName>()
  /** by place */
  readonly #kept: (KnownName | undefined)[] = Array.from({ length: most }, () => undefined)
  #next = 0

  constructor(state: LuaState) {
    this.#state = state
    this.#keeper = state.newThread().L
    state.checkStack(this.#keeper, 2 * most)
    state.lua.lua_settop(this.#keeper, 2 * most)
  }

  /** The name at an index; undefined for anything but a short string. */
  nameAt(L: number, index: number): KnownName | undefined {
    const { frame } = this.#state
    if (frame.type(L, index) !== TYPE.string) return undefined
    const address = frame.address(L, index)
    return this.#names.get(address) ?? this.#keepName(L, index, address)
  }

  /** A string argument; anything but a string or number is the usual error. */
  check(L: number, index: number): string {
    return this.nameAt(L, index)?.text ?? this.#state.checkString(L, index)
  }

  /** Pushes the value of a name, a byte string. @param name one of which nothing was kept since it was asked for */
  pushValue(L: number, name: KnownName, value: string): void {
    const { frame } = this.#state
    if (name.valueAddress !== 0 && name.value === value) {
      frame.pushObject(L, name.valueAddress, TYPE.string)
      return
    }
    this.#state.push(L, value)
    if (value.length > longest) return
    const address = frame.address(L, frame.top(L))
    frame.place(this.#keeper, most + name.place + 1, { address, type: TYPE.string })
    name.value = value
    name.valueAddress = address
  }

  /** The one that was kept first gives its place. */
  #keepName(L: number, index: number, address: number): KnownName | undefined {
    const { frame } = this.#state
    if (frame.stringLength(L, index) > longest) return undefined
    const place = this.#next
    this.#next = (place + 1) % most
    const old = this.#kept[place]
    if (old !== undefined) this.#names.delete(old.address)
    const text = asName(this.#state.checkString(L, index))
    const name = { text, address, place, value: '', valueAddress: 0 }
    frame.place(this.#keeper, place + 1, { address, type: TYPE.string })
    this.#kept[place] = name
    this.#names.set(address, name)
    return name
  }
}

/** The same text as the runtime has it for names in its code, which a map finds without comparing octets. */
function asName(text: string): string {
  return Object.keys({ [text]: true })[0] ?? text
}
