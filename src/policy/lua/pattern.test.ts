/** Our matcher against the C matcher of the same engine, on random texts and patterns. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../../test/support/properties.ts'
import { LuaState } from './state.ts'
import { stringFunctions } from './string-library.ts'

/** A state that knows `native` (the C library) and `ours`, and a function `compare(name, …)`. */
function makeState(): (code: string) => string {
  const state = new LuaState({ time: 5000, memory: 64 * 1_048_576 }, { elapsed: () => 0, processor: () => 0 })
  const { lua, main } = state
  for (const name of ['luaopen_base', 'luaopen_string', 'luaopen_table'] as const) {
    lua.lua_pushcclosure(main, state.machine.exported(name), 0)
    state.push(main, name.slice(8))
    assert.equal(lua.lua_pcall(main, 1, 0, 0), 0)
  }
  lua.lua_createtable(main, 0, 8)
  for (const [name, f] of Object.entries(stringFunctions(state))) {
    state.setField(main, -1, name, () => lua.lua_pushcclosure(main, state.hostFunction(f), 0))
  }
  state.setField(main, -10_002, 'ours', () => lua.lua_pushvalue(main, -2))
  return (code) => {
    const { L, reference } = state.newThread()
    assert.equal(state.load(L, Buffer.from(code, 'latin1'), '=test'), undefined)
    const { result } = state.resume(L, 0, 0)
    const text =
      result.kind === 'returned'
        ? (state.read(L, 1) ?? '')
        : `error: ${result.kind === 'failed' ? result.message : ''}`
    state.release(reference)
    return text
  }
}

const setUp = `
local function show(ok, ...)
  local parts = { tostring(ok) }
  for i = 1, select("#", ...) do
    local v = select(i, ...)
    parts[#parts + 1] = type(v) .. ":" .. tostring(v)
  end
  return table.concat(parts, "|")
end
local function all(gmatch, s, p)
  local out = {}
  for a, b, c in gmatch(s, p) do
    out[#out + 1] = tostring(a) .. "," .. tostring(b) .. "," .. tostring(c)
    if #out > 100 then break end
  end
  return table.concat(out, ";")
end
`

const quote = (text: string): string =>
  `"${Array.from(text, (c) => `\\${String(c.charCodeAt(0)).padStart(3, '0')}`).join('')}"`

const pieces =
  'a b . %a %d %s %w %S %p %x %u %l %c %A %z %% %. [ab] [^a] [a-c] [%d_] [%a-z] []] [^]] [a-] %b() %bxx %f[%w] %f[^a] ^ $ -'
const piece = fc.constantFrom(' ', ...pieces.split(' '))
const suffix = fc.constantFrom('', '', '', '*', '+', '-', '?')
const item = fc.tuple(piece, suffix).map(([p, s]) => p + s)
const wild = fc.constantFrom('(', ')', '()', '%1', '%2', '[', ']', '%', '%f', '%b', 'é')
const pattern = fc
  .tuple(
    fc.constantFrom('', '', '^'),
    fc.array(
      fc.oneof(
        { weight: 6, arbitrary: item },
        { weight: 2, arbitrary: item.map((i) => `(${i})`) },
        { weight: 1, arbitrary: wild },
      ),
      {
        maxLength: 6,
      },
    ),
    fc.constantFrom('', '', '$'),
  )
  .map(([anchor, parts, end]) => anchor + parts.join('') + end)
const subject = fc.string({
  unit: fc.constantFrom('a', 'b', 'c', '1', ' ', '(', ')', 'x', '_', ']', '-', '\0', '\n', 'é', 'A'),
  maxLength: 14,
})

/** Errors carry the name of the function that the script called; ours is called through another table. */
const plain = (text: string): string =>
  text.replaceAll(/string:test:\d+: /g, 'string:').replaceAll(/(?:in pattern|malformed).*/g, '…')

test('find, match, gmatch and gsub answer as the C library does', () => {
  const run = makeState()
  holds(
    fc.property(subject, pattern, fc.integer({ min: -16, max: 16 }), (s, p, init) => {
      const one = (lib: string): string =>
        run(`${setUp}
          local lib, s, p, init = ${lib}, ${quote(s)}, ${quote(p)}, ${init}
          local gsub = lib.gsubText or lib.gsub
          return table.concat({
            show(pcall(lib.find, s, p, init)), show(pcall(lib.find, s, p, init, true)), show(pcall(lib.match, s, p, init)),
            show(pcall(all, lib.gmatch, s, p)), show(pcall(gsub, s, p, "<%0%%x>")), show(pcall(gsub, s, p, "%1", 2)),
          }, "\\n")`)
      assert.equal(plain(one('ours')), plain(one('string')))
    }),
    { numRuns: 1500 },
  )
})

test('a NUL in a pattern is an ordinary character', () => {
  const run = makeState()
  assert.equal(run('return tostring(ours.find("a\\0b", "\\0b"))'), '2')
})

test('rep repeats octets', () => {
  const run = makeState()
  assert.equal(
    run(
      'return ours.rep("a\\0b", 3) == "a\\0ba\\0ba\\0b" and ours.rep("x", -1) == "" and ours.rep("", 5) == "" and "yes"',
    ),
    'yes',
  )
})
