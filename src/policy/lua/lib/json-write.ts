/** A value on a Lua stack → JSON text, members sorted by name so that the same value is always the same text. */

import { type LuaState, REGISTRY, ScriptError, TYPE } from '../state.ts'
import { type JsonMarks, maxJsonDepth } from './json-parse.ts'

const maxText = 4 * 1_048_576
const valuesBetweenChecks = 10_000

export class JsonWriter {
  readonly #state: LuaState
  readonly #L: number
  readonly #marks: JsonMarks
  /** looks a wrapped scalar up: pushes the value inside, or nothing */
  readonly #unwrap: (L: number, index: number) => boolean
  #length = 0
  #values = 0

  constructor(
    state: LuaState,
    L: number,
    of: { readonly marks: JsonMarks; readonly unwrap: (L: number, index: number) => boolean },
  ) {
    this.#state = state
    this.#L = L
    this.#marks = of.marks
    this.#unwrap = of.unwrap
  }

  /** The text of the value on top of the stack, which stays there. @throws ScriptError for what JSON cannot hold */
  write(depth = 0): string {
    if (++this.#values % valuesBetweenChecks === 0) this.#state.spend()
    if (depth > maxJsonDepth) throw new ScriptError('json: nested too deeply, or a table that holds itself')
    const { lua } = this.#state
    const type = lua.lua_type(this.#L, -1)
    switch (type) {
      case TYPE.nil:
        return this.#count('null')
      case TYPE.boolean:
        return this.#count(lua.lua_toboolean(this.#L, -1) === 1 ? 'true' : 'false')
      case TYPE.number:
        return this.#count(numeral(lua.lua_tonumber(this.#L, -1)))
      case TYPE.string:
        return this.#count(quote(this.#state.read(this.#L, -1) ?? ''))
      case TYPE.table:
        return this.#table(depth + 1)
      default:
        throw new ScriptError(`json: a ${this.#state.typeName(this.#L, -1)} has no place in JSON`)
    }
  }

  #table(depth: number): string {
    const { lua } = this.#state
    this.#state.checkStack(this.#L, 6)
    if (this.#unwrap(this.#L, -1)) {
      const text = this.write(depth)
      lua.lua_settop(this.#L, -2)
      return text
    }
    const length = this.#arrayLength()
    return length === undefined ? this.#object(depth) : this.#array(length, depth)
  }

  /** How long an array is; undefined for an object (momentum: lua/ref-json-encode: what has an element 1 is an array). */
  #arrayLength(): number | undefined {
    const { lua } = this.#state
    let marked: number | undefined
    if (this.#hasMark(this.#marks.array)) marked = this.#markedLength()
    else if (this.#hasMark(this.#marks.object)) return undefined
    let length = 0
    for (;;) {
      lua.lua_rawgeti(this.#L, -1, length + 1)
      const empty = lua.lua_type(this.#L, -1) === TYPE.nil
      lua.lua_settop(this.#L, -2)
      if (empty && length >= (marked ?? 0)) break
      length++
    }
    return length === 0 && marked === undefined ? undefined : length
  }

  #hasMark(mark: number): boolean {
    const { lua } = this.#state
    if (lua.lua_getmetatable(this.#L, -1) === 0) return false
    lua.lua_rawgeti(this.#L, REGISTRY, mark)
    const same = lua.lua_rawequal(this.#L, -1, -2) === 1
    lua.lua_settop(this.#L, -3)
    return same
  }

  #markedLength(): number {
    const { lua } = this.#state
    this.#pushNulls()
    const length = lua.lua_type(this.#L, -1) === TYPE.number ? lua.lua_tonumber(this.#L, -1) : 0
    lua.lua_settop(this.#L, -2)
    return length
  }

  #pushNulls(): void {
    const { lua } = this.#state
    lua.lua_rawgeti(this.#L, REGISTRY, this.#marks.nulls)
    lua.lua_pushvalue(this.#L, -2)
    lua.lua_rawget(this.#L, -2)
    // the value takes the place of the table of nulls
    lua.lua_replace(this.#L, -2)
  }

  #array(length: number, depth: number): string {
    const { lua } = this.#state
    const items: string[] = []
    for (let i = 1; i <= length; i++) {
      lua.lua_rawgeti(this.#L, -1, i)
      items.push(this.write(depth))
      lua.lua_settop(this.#L, -2)
    }
    return this.#count(items.length === 0 ? '[ ]' : `[ ${items.join(', ')} ]`, items.length)
  }

  #object(depth: number): string {
    const { lua } = this.#state
    const members = new Map<string, string>()
    this.#pushNulls()
    if (lua.lua_type(this.#L, -1) === TYPE.table) this.#eachKey((key) => members.set(key, 'null'))
    lua.lua_settop(this.#L, -2)
    this.#eachKey((key) => members.set(key, this.write(depth)))
    const lines = [...members.keys()]
      .toSorted()
      .map((key) => `${this.#count(quote(key))}: ${members.get(key)}`)
    return this.#count(lines.length === 0 ? '{ }' : `{ ${lines.join(', ')} }`, lines.length)
  }

  /** Over the members of the table on top; their value is on top meanwhile. */
  #eachKey(visit: (key: string) => void): void {
    const { lua } = this.#state
    lua.lua_pushnil(this.#L)
    while (lua.lua_next(this.#L, -2) !== 0) {
      const type = lua.lua_type(this.#L, -2)
      if (type === TYPE.string) visit(this.#state.read(this.#L, -2) ?? '')
      else if (type === TYPE.number) visit(numeral(lua.lua_tonumber(this.#L, -2)))
      else throw new ScriptError(`json: a ${this.#state.typeName(this.#L, -2)} cannot name a member`)
      lua.lua_settop(this.#L, -2)
    }
  }

  /** Counts what is new in a text. */
  #count(text: string, items?: number): string {
    this.#length += items === undefined ? text.length : 4 + 4 * items
    if (this.#length > maxText) throw new ScriptError(`json: the text would be longer than ${maxText} octets`)
    return text
  }
}

function numeral(value: number): string {
  if (!Number.isFinite(value)) throw new ScriptError('json: a number that is not finite has no place in JSON')
  return String(value)
}

const escapes: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

/** Octets that are no UTF-8 become U+FFFD: JSON text is UTF-8. */
function quote(octets: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is escaped
  const escaped = octets.replaceAll(/["\\\0-\x1f]/g, (c) => {
    return escapes[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
  if (!/[\x80-\xff]/.test(escaped)) return `"${escaped}"`
  const text = Buffer.from(escaped, 'latin1').toString()
  return `"${Buffer.from(text).toString('latin1')}"`
}
