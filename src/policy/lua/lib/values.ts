/** JavaScript values → Lua values. Text is byte strings on both sides. */

import type { LuaState } from '../state.ts'

export type PlainValue =
  | undefined
  | boolean
  | number
  | string
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue }

/** Pushes one value. Arrays become tables that count from 1; objects become tables with their keys. */
export function pushValue(state: LuaState, L: number, value: PlainValue): void {
  const { lua } = state
  if (value === undefined) lua.lua_pushnil(L)
  else if (typeof value === 'boolean') lua.lua_pushboolean(L, value ? 1 : 0)
  else if (typeof value === 'number') lua.lua_pushnumber(L, value)
  else if (typeof value === 'string') state.push(L, value)
  else if (isList(value)) {
    state.checkStack(L, 3)
    lua.lua_createtable(L, value.length, 0)
    for (const [index, item] of value.entries()) {
      pushValue(state, L, item)
      lua.lua_rawseti(L, -2, index + 1)
    }
  } else {
    state.checkStack(L, 4)
    lua.lua_createtable(L, 0, Object.keys(value).length)
    for (const [key, item] of Object.entries(value)) {
      if (item !== undefined) state.setField(L, -1, key, () => pushValue(state, L, item))
    }
  }
}

/** Pushes several values; returns how many. */
export function pushValues(state: LuaState, L: number, ...values: readonly PlainValue[]): number {
  for (const value of values) pushValue(state, L, value)
  return values.length
}

const isList = (value: object): value is readonly PlainValue[] => Array.isArray(value)

/** Unicode text as its UTF-8 octets, the form in which Lua holds it. */
export const toBytes = (text: string): string => Buffer.from(text).toString('latin1')

/** Octets that are UTF-8 as Unicode text; anything that is not UTF-8 becomes U+FFFD. */
export const fromBytes = (octets: string): string => Buffer.from(octets, 'latin1').toString()
