/** The `json` module (momentum: lua/ref-json-*). Metatables and the wrapper of scalars are made in `library.lua`. */

import { type LuaState, REGISTRY, ScriptError, TYPE } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family } from './family.ts'
import { JsonError, type JsonMarks, JsonParser, jsonErrors, jsonErrorTexts } from './json-parse.ts'
import { JsonWriter } from './json-write.ts'
import { pushValues } from './values.ts'

const maxText = 4 * 1_048_576

interface Marks extends JsonMarks {
  /** the metatable of wrapped scalars, and the weak table of what they hold */
  readonly scalar: number
  readonly scalars: number
}

export function jsonFamily(state: LuaState): Family {
  const { lua } = state
  const kept: { marks: Marks | undefined } = { marks: undefined }
  const marks = (): Marks => {
    if (kept.marks === undefined) throw new ScriptError('json is not ready')
    return kept.marks
  }
  return {
    constants: Object.fromEntries(Object.entries(jsonErrors).map(([name, code]) => [`json.${name}`, code])),
    functions: {
      'json.decode': (L) => decode(state, L, marks()),
      'json.strerror': (L) => {
        const code = new Arguments(state, L, 'json.strerror').number(1)
        const known = Object.entries(jsonErrors).find(([, number]) => number === code)
        state.push(
          L,
          known === undefined ? 'unknown error' : jsonErrorTexts[known[0] as keyof typeof jsonErrors],
        )
        return 1
      },
    },
    helpers: {
      // json_marks(object, array, nulls, scalar, scalars)
      json_marks: (L) => {
        lua.lua_settop(L, 5)
        const [scalars = 0, scalar = 0, nulls = 0, array = 0, object = 0] = Array.from({ length: 5 }, () =>
          lua.luaL_ref(L, REGISTRY),
        )
        kept.marks = { object, array, nulls, scalar, scalars }
        return 0
      },
      // json_write(value): its text
      json_write: (L) => {
        lua.lua_settop(L, 1)
        const unwrap = (thread: number, index: number): boolean =>
          unwrapScalar(state, thread, { index, marks: marks() })
        state.push(L, new JsonWriter(state, L, { marks: marks(), unwrap }).write())
        return 1
      },
    },
  }
}

function decode(state: LuaState, L: number, marks: Marks): number {
  const args = new Arguments(state, L, 'json.decode')
  const text = args.string(1)
  if (text.length > maxText) throw args.refuse(1, `at most ${maxText} octets`)
  const top = state.lua.lua_gettop(L)
  try {
    if (!new JsonParser(state, L, { text, marks }).parse()) state.lua.lua_pushnil(L)
    return 1
  } catch (error) {
    if (!(error instanceof JsonError)) throw error
    state.lua.lua_settop(L, top)
    return pushValues(state, L, undefined, jsonErrors[error.code], error.message)
  }
}

/** Pushes what a wrapped scalar holds; nothing for any other table. */
function unwrapScalar(
  state: LuaState,
  L: number,
  { index, marks }: { readonly index: number; readonly marks: Marks },
): boolean {
  const { lua } = state
  if (lua.lua_getmetatable(L, index) === 0) return false
  lua.lua_rawgeti(L, REGISTRY, marks.scalar)
  const wrapped = lua.lua_rawequal(L, -1, -2) === 1
  lua.lua_settop(L, -3)
  if (!wrapped) return false
  lua.lua_rawgeti(L, REGISTRY, marks.scalars)
  lua.lua_pushvalue(L, index - 1)
  lua.lua_rawget(L, -2)
  lua.lua_replace(L, -2)
  if (lua.lua_type(L, -1) === TYPE.table) throw new ScriptError('json: not a scalar')
  return true
}
