/** Arguments of library functions: read strictly, with errors that name the function and the argument. */

import { type LuaState, REGISTRY, ScriptError, TYPE } from '../state.ts'

/** The arguments of one call. Indexes count from 1, as in Lua's own messages. */
export class Arguments {
  readonly #state: LuaState
  readonly #L: number
  readonly #name: string

  /** @param name as scripts call the function: `msys.pcre.match` */
  constructor(state: LuaState, L: number, name: string) {
    this.#state = state
    this.#L = L
    this.#name = name
  }

  has(index: number): boolean {
    return this.#type(index) > TYPE.nil
  }

  /** A byte string; numbers count as strings, as everywhere in Lua. */
  string(index: number): string {
    const type = this.#type(index)
    if (type !== TYPE.string && type !== TYPE.number) throw this.bad(index, 'string')
    return this.#state.read(this.#L, index) ?? ''
  }

  optionalString(index: number): string | undefined {
    return this.has(index) ? this.string(index) : undefined
  }

  /** A finite number in a range. */
  number(index: number, least = Number.NEGATIVE_INFINITY, most = Number.POSITIVE_INFINITY): number {
    const text = this.#type(index) === TYPE.string ? this.#state.read(this.#L, index) : undefined
    if (this.#type(index) !== TYPE.number && (text === undefined || !isNumeral(text)))
      throw this.bad(index, 'number')
    const value = text === undefined ? this.#state.lua.lua_tonumber(this.#L, index) : Number(text)
    if (!(value >= least && value <= most))
      throw this.refuse(index, `a number ${range(least, most)} expected`)
    return value
  }

  optionalNumber(index: number, least?: number, most?: number): number | undefined {
    return this.has(index) ? this.number(index, least, most) : undefined
  }

  /** Whether an argument counts as true in Lua. */
  truth(index: number): boolean {
    return this.#state.lua.lua_toboolean(this.#L, index) === 1
  }

  isText(index: number): boolean {
    const type = this.#type(index)
    return type === TYPE.string || type === TYPE.number
  }

  isTable(index: number): boolean {
    return this.#type(index) === TYPE.table
  }

  isFunction(index: number): boolean {
    return this.#type(index) === TYPE.function
  }

  /** A function, kept in the registry: the reference is the caller's to release. */
  function(index: number): number {
    if (!this.isFunction(index)) throw this.bad(index, 'function')
    return this.keep(index)
  }

  /** A table, kept in the registry. */
  table(index: number): number {
    if (!this.isTable(index)) throw this.bad(index, 'table')
    return this.keep(index)
  }

  /** A field of a table argument: text, number or boolean; undefined when it is nil. */
  field(index: number, key: string): string | number | boolean | undefined {
    const { lua } = this.#state
    this.#state.push(this.#L, key)
    lua.lua_rawget(this.#L, index)
    try {
      switch (lua.lua_type(this.#L, -1)) {
        case TYPE.nil:
          return undefined
        case TYPE.boolean:
          return lua.lua_toboolean(this.#L, -1) === 1
        case TYPE.number:
          return lua.lua_tonumber(this.#L, -1)
        case TYPE.string:
          return this.#state.read(this.#L, -1)
        default:
          throw this.refuse(index, `field "${key}" cannot be a ${this.#state.typeName(this.#L, -1)}`)
      }
    } finally {
      lua.lua_settop(this.#L, -2)
    }
  }

  textField(index: number, key: string): string | undefined {
    const value = this.field(index, key)
    if (typeof value === 'boolean') throw this.refuse(index, `field "${key}" is text`)
    return value === undefined ? undefined : String(value)
  }

  numberField(index: number, key: string, otherwise: number): number {
    const value = this.field(index, key)
    if (value === undefined) return otherwise
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw this.refuse(index, `field "${key}" is a number`)
    return value
  }

  keep(index: number): number {
    this.#state.lua.lua_pushvalue(this.#L, index)
    return this.#state.lua.luaL_ref(this.#L, REGISTRY)
  }

  /** The usual complaint about a type. */
  bad(index: number, expected: string): ScriptError {
    const type = this.#type(index)
    const got = type < TYPE.nil ? 'no value' : this.#state.typeName(this.#L, index)
    return this.refuse(index, `${expected} expected, got ${got}`)
  }

  refuse(index: number, reason: string): ScriptError {
    return new ScriptError(`bad argument #${index} to '${this.#name}' (${reason})`)
  }

  #type(index: number): number {
    return this.#state.lua.lua_type(this.#L, index)
  }
}

const isNumeral = (text: string): boolean => /^\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*$/.test(text)

function range(least: number, most: number): string {
  if (most === Number.POSITIVE_INFINITY) return `not below ${least}`
  return `from ${least} to ${most}`
}
