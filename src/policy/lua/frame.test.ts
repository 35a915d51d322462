/** What is read in Lua's memory is what Lua's interface says; a build that keeps it elsewhere is refused. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LuaFrame } from './frame.ts'
import { LuaState, TYPE } from './state.ts'
import type { LuaMachine } from './wasm.ts'

function newState(): LuaState {
  return new LuaState({ time: 1000, memory: 16 * 1_048_576 }, { elapsed: () => 0, processor: () => 0 })
}

test('types, numbers, booleans and strings are read where they lie', () => {
  const state = newState()
  const { L } = state.newThread()
  const { frame, lua } = state
  lua.lua_pushnumber(L, -0.25)
  state.push(L, 'a\0b\xff')
  lua.lua_pushboolean(L, 0)
  lua.lua_pushboolean(L, 1)
  lua.lua_pushnil(L)
  assert.equal(frame.top(L), 5)
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map((index) => frame.type(L, index)),
    [TYPE.number, TYPE.string, TYPE.boolean, TYPE.boolean, TYPE.nil, -1],
  )
  assert.equal(frame.number(L, 1), -0.25)
  assert.equal(state.checkString(L, 2), 'a\0b\xff')
  assert.equal(frame.boolean(L, 3), false)
  assert.equal(frame.boolean(L, 4), true)
})

test('a table is bare until something was put into it, by name or by number', () => {
  const state = newState()
  const { L } = state.newThread()
  const { frame, lua } = state
  lua.lua_createtable(L, 0, 0)
  assert.equal(frame.isBare(L, 1), true)
  state.setField(L, 1, 'name', () => lua.lua_pushboolean(L, 1))
  assert.equal(frame.isBare(L, 1), false)
  lua.lua_createtable(L, 1, 0)
  lua.lua_pushboolean(L, 1)
  lua.lua_rawseti(L, 2, 1)
  assert.equal(frame.isBare(L, 2), false)
})

test('memory that is laid out in another way is noticed', () => {
  const state = newState()
  const { L } = state.newThread()
  const lua = { ...state.lua, lua_tolstring: () => 1 }
  const machine = Object.create(state.machine, { lua: { value: lua } }) as LuaMachine
  const frame = new LuaFrame(machine)
  assert.throws(() => frame.verify(L), /another layout of its memory \(4\)/)
})
