/** What is read in Lua's memory is what Lua's interface says; a build that keeps it elsewhere is refused. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LuaFrame } from './frame.ts'
import { KnownStrings } from './known-strings.ts'
import { kindNumber, kinds } from './object-kinds.ts'
import { Spares } from './spares.ts'
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

test('each kind of object has the number of its place', () => {
  assert.deepEqual(kinds.map(kindNumber), [...kinds.keys()])
})

/** Strings of all kinds come and go, and the collector frees what nothing holds. */
function churn(state: LuaState, L: number, each: (text: string) => void = () => undefined): void {
  for (let round = 0; round < 3; round++) {
    for (let n = 0; n < 700; n++) {
      const text = `${round} other ${n}`
      state.push(L, text)
      each(text)
      state.frame.clear(L)
    }
    state.collect()
  }
}

test('names and values that are kept outlive a collection; an address that is used again is another name', () => {
  const state = newState()
  const { L } = state.newThread()
  const { frame } = state
  const known = new KnownStrings(state)
  const read = (n: number) => {
    state.push(L, `name ${n}`)
    const name = known.nameAt(L, 1)
    assert.ok(name)
    known.pushValue(L, name, `value ${n}`)
    const value = state.read(L, 2)
    frame.clear(L)
    return { name, value }
  }
  const before = Array.from({ length: 300 }, (_, n) => read(n).name)
  churn(state, L)
  for (let n = 44; n < 300; n++) {
    const { name, value } = read(n)
    assert.equal(name, before[n])
    assert.deepEqual([name.text, value], [`name ${n}`, `value ${n}`])
  }
  churn(state, L, (text) => assert.equal(known.nameAt(L, 1)?.text, text))
  for (let n = 0; n < 300; n++) {
    const { name, value } = read(n)
    assert.deepEqual([name.text, value], [`name ${n}`, `value ${n}`])
  }
})

test('a value that changes is another text, also when it is long, empty or the same again', () => {
  const state = newState()
  const { L } = state.newThread()
  const known = new KnownStrings(state)
  state.push(L, 'key')
  const name = known.nameAt(L, 1)
  assert.ok(name)
  for (const value of ['', 'a', 'a', '', 'x'.repeat(5000), 'a', '\0\xff', 'x'.repeat(129), '']) {
    known.pushValue(L, name, value)
    assert.equal(state.read(L, 2), value)
    state.lua.lua_settop(L, 1)
    state.collect()
  }
})

test('spare objects outlive a collection, each is given away once, and there is an end to them', () => {
  const state = newState()
  const { L } = state.newThread()
  const { lua, frame } = state
  const spares = new Spares(state)
  assert.deepEqual([spares.userdata(), spares.table()], [0, 0])
  spares.refill()
  churn(state, L)
  const addresses = new Set<number>()
  for (let address = spares.table(); address !== 0; address = spares.table()) {
    addresses.add(address)
    frame.pushObject(L, address, TYPE.table)
    lua.lua_pushnil(L)
    assert.equal(lua.lua_next(L, 1), 0)
    frame.clear(L)
  }
  assert.equal(addresses.size, 32)
  spares.refill()
  assert.notEqual(spares.table(), 0)
})
