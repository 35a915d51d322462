/**
 * JSON text (RFC 8259, UTF-8 octets) → a value on a Lua stack, without a detour through JavaScript objects.
 *
 * Objects and arrays become tables with the metatables of `json`; what a null stands at is kept beside the table, so
 * that it comes out again. Depth and size are bounded; long texts spend the callout's budget.
 */

import { type LuaState, REGISTRY } from '../state.ts'

/** Error codes by the names that scripts know (momentum: lua/ref-json-strerror); the numbers are ours. */
export const jsonErrors = {
  ERROR_DEPTH: 1,
  ERROR_PARSE_EOF: 2,
  ERROR_PARSE_UNEXPECTED: 3,
  ERROR_PARSE_NULL: 4,
  ERROR_PARSE_BOOLEAN: 5,
  ERROR_PARSE_NUMBER: 6,
  ERROR_PARSE_ARRAY: 7,
  ERROR_PARSE_OBJECT_KEY_NAME: 8,
  ERROR_PARSE_OBJECT_KEY_SEP: 9,
  ERROR_PARSE_OBJECT_VALUE_SEP: 10,
  ERROR_PARSE_STRING: 11,
  ERROR_PARSE_COMMENT: 12,
} as const

export const jsonErrorTexts: Readonly<Record<keyof typeof jsonErrors, string>> = {
  ERROR_DEPTH: 'nested too deeply',
  ERROR_PARSE_EOF: 'unexpected end of the text',
  ERROR_PARSE_UNEXPECTED: 'unexpected character',
  ERROR_PARSE_NULL: 'null expected',
  ERROR_PARSE_BOOLEAN: 'true or false expected',
  ERROR_PARSE_NUMBER: 'number expected',
  ERROR_PARSE_ARRAY: 'array element or its end expected',
  ERROR_PARSE_OBJECT_KEY_NAME: 'quoted name of a member expected',
  ERROR_PARSE_OBJECT_KEY_SEP: 'colon after the name of a member expected',
  ERROR_PARSE_OBJECT_VALUE_SEP: 'comma or end of the object expected',
  ERROR_PARSE_STRING: 'end of a string or a valid escape expected',
  ERROR_PARSE_COMMENT: 'comments are not allowed',
}

export const maxJsonDepth = 100
const tokensBetweenChecks = 10_000

export class JsonError extends Error {
  readonly code: keyof typeof jsonErrors

  constructor(code: keyof typeof jsonErrors, at: number) {
    super(`${jsonErrorTexts[code]} at offset ${at}`)
    this.name = 'JsonError'
    this.code = code
  }
}

/** What tables of JSON are marked with: registry references. */
export interface JsonMarks {
  readonly object: number
  readonly array: number
  /** weak table: table → what its nulls stand at, or an array's length */
  readonly nulls: number
}

export class JsonParser {
  readonly #state: LuaState
  readonly #L: number
  readonly #text: string
  readonly #marks: JsonMarks
  #at = 0
  #tokens = 0

  constructor(state: LuaState, L: number, of: { readonly text: string; readonly marks: JsonMarks }) {
    this.#state = state
    this.#L = L
    this.#text = of.text
    this.#marks = of.marks
  }

  /** Pushes the value of the whole text. Returns false for a null. @throws JsonError */
  parse(): boolean {
    const present = this.#value(0)
    this.#skip()
    if (this.#at < this.#text.length) throw this.#error('ERROR_PARSE_UNEXPECTED')
    return present
  }

  /** Pushes a value; false and nothing pushed for a null. */
  #value(depth: number): boolean {
    if (++this.#tokens % tokensBetweenChecks === 0) this.#state.spend()
    this.#skip()
    const { lua } = this.#state
    switch (this.#text[this.#at]) {
      case undefined:
        throw this.#error('ERROR_PARSE_EOF')
      case '{':
        this.#object(depth + 1)
        return true
      case '[':
        this.#array(depth + 1)
        return true
      case '"':
        this.#state.push(this.#L, this.#string())
        return true
      case 't':
        this.#word('true', 'ERROR_PARSE_BOOLEAN')
        lua.lua_pushboolean(this.#L, 1)
        return true
      case 'f':
        this.#word('false', 'ERROR_PARSE_BOOLEAN')
        lua.lua_pushboolean(this.#L, 0)
        return true
      case 'n':
        this.#word('null', 'ERROR_PARSE_NULL')
        return false
      case '/':
        throw this.#error('ERROR_PARSE_COMMENT')
      default:
        lua.lua_pushnumber(this.#L, this.#number())
        return true
    }
  }

  #open(depth: number, mark: number): void {
    if (depth > maxJsonDepth) throw this.#error('ERROR_DEPTH')
    const { lua } = this.#state
    this.#state.checkStack(this.#L, 6)
    lua.lua_createtable(this.#L, 0, 0)
    lua.lua_rawgeti(this.#L, REGISTRY, mark)
    lua.lua_setmetatable(this.#L, -2)
    this.#at++
    this.#skip()
  }

  #object(depth: number): void {
    const { lua } = this.#state
    this.#open(depth, this.#marks.object)
    if (this.#take('}')) return
    const nulls = new Set<string>()
    for (;;) {
      this.#skip()
      if (this.#text[this.#at] !== '"') throw this.#error('ERROR_PARSE_OBJECT_KEY_NAME')
      const key = this.#string()
      this.#skip()
      if (!this.#take(':')) throw this.#error('ERROR_PARSE_OBJECT_KEY_SEP')
      this.#state.push(this.#L, key)
      // of members with the same name the last one counts, a null as well
      if (this.#value(depth)) nulls.delete(key)
      else {
        nulls.add(key)
        lua.lua_pushnil(this.#L)
      }
      lua.lua_rawset(this.#L, -3)
      this.#skip()
      if (this.#take('}')) break
      if (!this.#take(',')) throw this.#error('ERROR_PARSE_OBJECT_VALUE_SEP')
    }
    if (nulls.size > 0) this.#keepNulls(nulls)
  }

  /** nulls[table] = { key = true, … } */
  #keepNulls(keys: ReadonlySet<string>): void {
    const { lua } = this.#state
    lua.lua_rawgeti(this.#L, REGISTRY, this.#marks.nulls)
    lua.lua_pushvalue(this.#L, -2)
    lua.lua_createtable(this.#L, 0, keys.size)
    for (const key of keys) this.#state.setField(this.#L, -1, key, () => lua.lua_pushboolean(this.#L, 1))
    lua.lua_rawset(this.#L, -3)
    lua.lua_settop(this.#L, -2)
  }

  #array(depth: number): void {
    const { lua } = this.#state
    this.#open(depth, this.#marks.array)
    if (this.#take(']')) return
    let length = 0
    let nulls = false
    for (;;) {
      length++
      if (this.#value(depth)) lua.lua_rawseti(this.#L, -2, length)
      else nulls = true
      this.#skip()
      if (this.#take(']')) break
      if (!this.#take(',')) throw this.#error('ERROR_PARSE_ARRAY')
    }
    if (!nulls) return
    // nulls[table] = length
    lua.lua_rawgeti(this.#L, REGISTRY, this.#marks.nulls)
    lua.lua_pushvalue(this.#L, -2)
    lua.lua_pushnumber(this.#L, length)
    lua.lua_rawset(this.#L, -3)
    lua.lua_settop(this.#L, -2)
  }

  #string(): string {
    const start = this.#at + 1
    let end = start
    let plain = true
    for (; ; end++) {
      const c = this.#text.charCodeAt(end)
      if (c === 34) break
      if (Number.isNaN(c)) throw this.#error('ERROR_PARSE_EOF')
      if (c < 32) throw this.#error('ERROR_PARSE_STRING')
      if (c !== 92) continue
      plain = false
      end++
    }
    const raw = this.#text.slice(start, end)
    if (plain) {
      this.#at = end + 1
      return raw
    }
    const text = unescape(raw)
    if (text === undefined) throw this.#error('ERROR_PARSE_STRING')
    this.#at = end + 1
    return text
  }

  #number(): number {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y
    pattern.lastIndex = this.#at
    const [found] = pattern.exec(this.#text) ?? []
    if (found === undefined)
      throw this.#error(
        /[-\d]/.test(this.#text[this.#at] ?? '') ? 'ERROR_PARSE_NUMBER' : 'ERROR_PARSE_UNEXPECTED',
      )
    this.#at += found.length
    return Number(found)
  }

  #word(word: string, code: keyof typeof jsonErrors): void {
    if (!this.#text.startsWith(word, this.#at)) throw this.#error(code)
    this.#at += word.length
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #skip(): void {
    for (; ; this.#at++) {
      const c = this.#text.charCodeAt(this.#at)
      if (c !== 32 && c !== 9 && c !== 10 && c !== 13) return
    }
  }

  #error(code: keyof typeof jsonErrors): JsonError {
    return new JsonError(this.#at >= this.#text.length ? 'ERROR_PARSE_EOF' : code, this.#at)
  }
}

const simple: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/** Undefined when an escape is none. `\u` escapes become UTF-8 octets; half a surrogate pair becomes U+FFFD. */
function unescape(raw: string): string | undefined {
  let broken = false
  const text = raw.replaceAll(
    /\\(?:((?:u[0-9A-Fa-f]{4})(?:\\u[0-9A-Fa-f]{4})*)|(.|$))/gs,
    (_, units, one) => {
      if (typeof units === 'string') return fromUnits(units)
      const character = simple[String(one)]
      broken ||= character === undefined
      return character ?? ''
    },
  )
  return broken ? undefined : text
}

function fromUnits(units: string): string {
  const codes = units.split('\\').map((unit) => Number.parseInt(unit.slice(1), 16))
  let text = ''
  for (const code of codes) text += String.fromCharCode(code)
  return Buffer.from(text).toString('latin1')
}
