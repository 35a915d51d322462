/** Scripts that mean harm, or are merely wrong: each stops itself only, within its budget, and the engine goes on. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askMail, callout, load, session, temporaryIssue } from './scripts.fixture.ts'

const limits = { time: 30, memory: 16 * 1_048_576 }
/** time enough for a slow machine, where it is memory that is to run out */
const patient = { ...limits, time: 20_000 }
/** milliseconds within which a hostile callout has to be over; what runs over its budget runs for ever */
const patience = 30_000

const time = /gate\.lua:\d+: time budget of 0\.03 s exceeded/
const memory = /gate\.lua:\d+: memory budget of 16 MiB exceeded/
const either = /budget of .* exceeded/

const hostile: Readonly<Record<string, readonly [body: string, expected: RegExp]>> = {
  'an endless loop': ['while true do end', time],
  'an endless loop in pcall': ['pcall(function() while true do end end) return core.VALIDATE_CONT', time],
  'an endless loop in nested pcalls': [
    'local function nest(n) if n == 0 then while true do end end return pcall(nest, n - 1) end nest(50) return core.VALIDATE_CONT',
    time,
  ],
  'an endless loop in xpcall and its handler': [
    'local function spin() while true do end end xpcall(spin, spin) return core.VALIDATE_CONT',
    time,
  ],
  'an endless loop in a coroutine': [
    'local co = coroutine.create(function() while true do end end) coroutine.resume(co) return core.VALIDATE_CONT',
    time,
  ],
  'a loop that swallows every error': ['while true do pcall(error) end', time],
  'coroutines that swallow every error': [
    'while true do local f = coroutine.wrap(function() while true do coroutine.yield(pcall(error, "x")) end end) for i = 1, 10 do pcall(f) end end',
    time,
  ],
  'short-lived coroutines, three deep': [
    `local function fan(depth) for i = 1, 150 do coroutine.wrap(function() if depth > 0 then fan(depth - 1) end end)() end end
     while true do fan(3) end`,
    time,
  ],
  'metamethods that loop': [
    'local t = setmetatable({}, { __index = function() while true do end end }) pcall(function() return t.x end) return core.VALIDATE_CONT',
    time,
  ],
  'a comparison that loops': [
    'local t = setmetatable({}, { __lt = function() while true do end end }) pcall(function() return t < t end) return core.VALIDATE_CONT',
    time,
  ],
  'a gsub callback that loops': ['("x"):gsub(".", function() while true do end end)', time],
  'a sort comparator that loops': ['table.sort({ 3, 1, 2 }, function() while true do end end)', time],
  'a sort that never agrees with itself': [
    'local t = {} for i = 1, 20000 do t[i] = i end while true do table.sort(t, function() return true end) end',
    time,
  ],
  'a reader that never ends': ['load(function() return " " end)', either],
  'a tostring that loops': [
    'print(setmetatable({}, { __tostring = function() while true do end end }))',
    time,
  ],
  'a pattern that backtracks for ever': ['local s = ("a"):rep(500) s:find((".-"):rep(20) .. "b")', time],
  'a pattern that backtracks in gmatch': [
    'for w in ("a"):rep(500):gmatch((".-"):rep(20) .. "b") do end',
    time,
  ],
  'a pattern that backtracks in gsub': ['local s = ("a"):rep(500):gsub((".-"):rep(20) .. "b", "")', time],
  'a plain search that is quadratic': [
    'local h = ("a"):rep(2e6) local n = "b" .. ("a"):rep(2e5) while true do h:find(n:reverse(), 1, true) end',
    time,
  ],
  'long texts compared again and again': [
    'local a = ("a"):rep(4e6) local b, c = a .. "b", a .. "c" while true do local x = b < c end',
    time,
  ],
  'a long number read again and again': ['local d = ("1"):rep(2e6) while true do local x = d + 1 end', time],
  'the same long text joined again and again': [
    'local a = ("a"):rep(3e6) while true do local b = a .. "x" end',
    either,
  ],
  'a table scanned again and again': [
    'local t = {} for i = 1, 2e5 do t[i] = true end for i = 1, 2e5 do t[i] = nil end while true do next(t) end',
    time,
  ],
  'a long repetition': ['local s = ("x"):rep(1e9)', memory],
  'repetitions of nothing': ['while true do local s = (""):rep(1e9) end', time],
  'a table that grows': ['local t = {} for i = 1, 1e9 do t[i] = i end', memory],
  'a text that doubles': ['local s = "x" while true do s = s .. s end', memory],
  'a text that doubles inside pcall': [
    'while true do pcall(function() local s = "x" while true do s = s .. s end end) end',
    memory,
  ],
  'many texts': ['local t = {} for i = 1, 1e9 do t[#t + 1] = "text " .. i end', either],
  'a gsub that multiplies': ['local s = ("x"):rep(1e5) s:gsub("x", (("y"):rep(1e5)))', either],
  'a concat that multiplies': [
    'local s, t = ("x"):rep(1e6), {} for i = 1, 1000 do t[i] = s end local u = table.concat(t)',
    memory,
  ],
  'coroutines without end': [
    'local t = {} while true do local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) t[#t + 1] = co end',
    either,
  ],
  'deep recursion': ['local function f() return 1 + f() end f()', /gate\.lua:4: stack overflow/],
  'deep recursion through pcall': [
    'local function f() local ok, e = pcall(f) error(e, 0) end f()',
    /C stack overflow|stack overflow/,
  ],
  'deep recursion through metamethods': [
    'local t = {} setmetatable(t, { __index = function(t, k) return t[k .. ""] end }) local x = t.x',
    /stack overflow/,
  ],
  'deep recursion through coroutines': ['local function f() coroutine.wrap(f)() end f()', /C stack overflow/],
  'deeply nested source': [
    'assert(loadstring("return " .. ("("):rep(10000) .. "1" .. (")"):rep(10000)))',
    /too many syntax levels/,
  ],
  'deeply nested pattern': ['("a"):rep(1000):find(("a?"):rep(1000))', /pattern too complex/],
  'an exit': ['os.exit(0)', /attempt to call field 'exit' \(a nil value\)/],
  'a command': ['os.execute("true")', /attempt to call field 'execute' \(a nil value\)/],
  'a file': ['io.open("/etc/passwd")', /attempt to index global 'io' \(a nil value\)/],
  'another file': ['dofile("/etc/passwd")', /attempt to call global 'dofile' \(a nil value\)/],
  'the debug library': ['debug.getregistry()', /attempt to index global 'debug' \(a nil value\)/],
  'the package loader': ['package.loadlib("x", "y")', /attempt to call field 'loadlib' \(a nil value\)/],
  'a module by path': ['require("../../etc/passwd")', /module '..\/..\/etc\/passwd' not found/],
  bytecode: ['assert(loadstring("\\27Lua"))', /precompiled code is refused/],
  'bytecode through load': [
    'local n = 0 assert(load(function() n = n + 1 if n == 1 then return "\\27L" elseif n == 2 then return "ua" end end))',
    /precompiled code is refused/,
  ],
  'the environment of the thread': ['setfenv(0, {})', /setfenv: the thread's environment is not available/],
  'the same, by a level that is text': [
    'setfenv("0", {})',
    /setfenv: the thread's environment is not available/,
  ],
  'the same, by no number': ['setfenv(0/0, {})', /setfenv: the thread's environment is not available/],
  'an error that is a table': [
    'error(setmetatable({}, { __tostring = function() while true do end end }))',
    /error value is a table/,
  ],
  'a yield out of nowhere': ['coroutine.yield(1)', /attempt to yield from outside a coroutine/],
  'methods on the wrong object': [
    'vctx.get(ac, core.VCTX_CONN, "tls")',
    /calling a vctx method on something else/,
  ],
  'methods on no object': ['vctx.get({}, core.VCTX_CONN, "tls")', /calling a vctx method on something else/],
  'context keys without end': [
    'for i = 1, 1e6 do vctx:set(core.VCTX_CONN, "k" .. i, "v") end',
    /holds at most 500 keys/,
  ],
  'a huge context value': ['vctx:set(core.VCTX_CONN, "k", ("x"):rep(1e6))', /at most 8192 octets/],
  'a reply that is none': ['vctx:set_code(354, "go ahead")', /a reply code is 2xx, 4xx or 5xx/],
}

for (const [name, [body, expected]] of Object.entries(hostile)) {
  test(`${name} ends its own session, and the engine goes on`, async () => {
    const other = callout('return core.VALIDATE_DONE', 'validate_ehlo(str, ac, vctx)', 'other')
    const gate = await load(
      { gate: callout(body), other },
      { limits: expected === memory ? patient : limits },
    )
    assert.deepEqual(gate.diagnostics, [])
    const began = performance.now()
    assert.deepEqual(await askMail(gate), temporaryIssue)
    assert.ok(performance.now() - began < patience, `took ${performance.now() - began} ms`)
    assert.match(gate.panics[0] ?? '', expected)
    assert.match(gate.panics[0] ?? '', /^validate_mailfrom error: /)
    const ehlo = await gate.policy.ask('ehlo', { session: session(), line: 'EHLO client.example' })
    assert.deepEqual(ehlo, { kind: 'done' })
  })
}

test('a script that floods the log is cut short', async () => {
  const gate = await load({
    gate: callout('for i = 1, 1e4 do print(("x"):rep(1e4)) end return core.VALIDATE_CONT'),
  })
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
  assert.equal(gate.panics.length, 101)
  assert.ok(gate.panics.every((text) => text.length <= 4096))
})

test('a script cannot reach the glue through library tables, string methods or environments', async () => {
  const gate = await load({
    bad: callout(
      `for name, f in pairs({ pcall = pcall, gsub = string.gsub, sort = table.sort, require = require, print = print }) do
         pcall(setfenv, f, setmetatable({}, { __index = function() error("reached") end }))
       end
       string.find, string.gsub, string.sub, table.concat, table.insert = nil, nil, nil, nil, nil
       pcall, error, type, select, tostring, setmetatable, next, rawget, coroutine = nil, nil, nil, nil, nil, nil, nil, nil, nil
       assert(getmetatable("") == "string")
       return core.VALIDATE_CONT`,
      'validate_mailfrom(str, ac, vctx)',
      'bad',
    ),
    good: `local core, pcall, gsub, sort, print, coroutine = require("msys.core"), pcall, string.gsub, table.sort, print, coroutine
local mod = {}
function mod:validate_mailfrom(str, ac, vctx)
  local ok, message = pcall(function() local x = nil; return x.y end)
  local text = gsub("abc", "%w", function(c) return c .. "." end)
  local list = { 3, 1, 2 }
  sort(list, function(a, b) return a > b end)
  print(ok, message, text, list[1], list[2], list[3], coroutine.wrap(function() return "w" end)())
  return core.VALIDATE_DONE
end
msys.registerModule("good", mod)`,
  })
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(await askMail(gate), { kind: 'done' })
  assert.deepEqual(gate.panics, ["false good.lua:4: attempt to index local 'x' (a nil value) a.b.c. 3 2 1 w"])
})

test('a state that ran out of memory is replaced, and what scripts kept in it is gone', async () => {
  const gate = await load(
    {
      gate: `local core = require("msys.core")
local mod, calls, hoard = {}, 0, {}
function mod:validate_mailfrom(str, ac, vctx)
  calls = calls + 1
  print("call", calls)
  if vctx:get(core.VCTX_CONN, "greedy") ~= "" then
    for i = 1, 1e9 do hoard[i] = string.rep("x", 65536) .. i end
  end
  return core.VALIDATE_CONT
end
msys.registerModule("gate", mod)`,
    },
    { limits: patient },
  )
  await askMail(gate)
  assert.deepEqual(await askMail(gate, session({ greedy: 'yes' })), temporaryIssue)
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
  assert.equal(gate.panics[0], 'call 1')
  assert.match(gate.panics.at(-2) ?? '', /the Lua state is replaced.*memory budget/)
  assert.equal(gate.panics.at(-1), 'call 1')
})

test('globals that keep growing lead to a new state before the memory is used up', async () => {
  const gate = await load(
    {
      gate: callout(
        'hoard = hoard or {} for i = 1, 1e4 do hoard[#hoard + 1] = i end return core.VALIDATE_CONT',
      ),
    },
    { limits: { ...patient, memory: 4 * 1_048_576 } },
  )
  for (let i = 0; i < 40; i++) assert.deepEqual(await askMail(gate), { kind: 'continue' }, String(i))
  assert.ok(gate.panics.some((text) => /the Lua state is replaced.*scripts keep \d+ MiB/.test(text)))
})

test('an object that a script kept raises an error once its callout has ended', async () => {
  const gate = await load({
    gate: callout(
      'if kept then kept:set(core.VCTX_CONN, "key", "forged") end kept = vctx return core.VALIDATE_CONT',
    ),
  })
  const [first, second] = [session(), session()]
  assert.deepEqual(await askMail(gate, first), { kind: 'continue' })
  assert.deepEqual(await askMail(gate, second), temporaryIssue)
  assert.match(gate.panics[0] ?? '', /gate\.lua:4: this vctx belongs to a callout that has ended/)
  assert.equal(first.context.get('connection', 'key'), '')
})

test('an error without a position is logged with the script’s file and line', async () => {
  for (const [body, expected] of [
    ['error("no position", 0)', 'gate.lua:4: no position'],
    ['error({})', 'gate.lua:4: error value is a table'],
    ['table.sort({ 1, "x" })', 'gate.lua:4: attempt to compare string with number'],
    ['error()', 'gate.lua:4: error value is a nil'],
  ] as const) {
    const gate = await load({ gate: callout(body) })
    assert.deepEqual(await askMail(gate), temporaryIssue)
    assert.deepEqual(gate.panics, [`validate_mailfrom error: ${expected}`])
  }
})

test('a script that fails to give an answer is an error, not a pass', async () => {
  for (const [value, shown] of [
    ['', 'nil'],
    ['return nil', 'nil'],
    ['return false', 'boolean'],
    ['return true', 'boolean'],
    ['return "continue"', 'continue'],
    ['return 99', '99'],
    ['return core.VALIDATE_DNOE', 'nil'],
  ]) {
    const gate = await load({ gate: callout(value ?? '') })
    assert.deepEqual(await askMail(gate), temporaryIssue, value)
    assert.match(
      gate.panics[0] ?? '',
      new RegExp(`^validate_mailfrom error: returned ${shown}, which is none`),
    )
  }
})
