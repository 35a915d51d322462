/** Loading scripts: diagnostics, modules, and what a script may use of Lua's own library. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { createPolicy } from '../../src/policy/run.ts'
import { askMail, callout, load, mail, temporaryIssue } from './scripts.fixture.ts'

const shown = ({ diagnostics }: Awaited<ReturnType<typeof load>>) =>
  diagnostics.map(({ severity, message }) => `${severity}: ${message}`)

test('syntax and load errors name the script’s line, stand at the stanza, and close the gate', async () => {
  const cases = [
    ['local x =\n= 1', "gate.lua:2: unexpected symbol near '='"],
    [
      'local x = 1\nif ! x then end',
      'gate.lua:2: unexpected symbol near \'!\' (Lua 5.1 writes not for !, and ~= for "not equal")',
    ],
    [
      'local x = 6 & 3',
      "gate.lua:1: unexpected symbol near '&' (Lua 5.1 has no operators on bits: bit.band(a, b))",
    ],
    [
      'local x = 6 | 3',
      "gate.lua:1: unexpected symbol near '|' (Lua 5.1 has no operators on bits: bit.bor(a, b))",
    ],
    [
      'local x = 6 ^^ 3',
      "gate.lua:1: unexpected symbol near '^' (Lua 5.1 has no operators on bits: bit.bxor(a, b))",
    ],
    [
      'local x = ~3',
      "gate.lua:1: unexpected symbol near '~' (Lua 5.1 has no operators on bits: bit.bnot(a))",
    ],
    ['local x = 1 << 3', "gate.lua:1: unexpected symbol near '<' (Lua 5.1 has no shifts: bit.lshift(a, n))"],
    ['local x = 8 >> 3', "gate.lua:1: unexpected symbol near '>' (Lua 5.1 has no shifts: bit.rshift(a, n))"],
    [
      'local x = 7 \\ 2',
      "gate.lua:1: unexpected symbol near '\\' (Lua 5.1 has no integer division: math.floor(a / b))",
    ],
    ['error("oops")', 'gate.lua:1: oops'],
    ['local t = nil\n\nt.x = 1', "gate.lua:3: attempt to index local 't' (a nil value)"],
    ['msys.sleep(1)', 'gate.lua:1: msys.sleep works only in a callout'],
    ['while true do end', 'gate.lua:1: time budget of 0.1 s exceeded'],
    ['require("nowhere")', "gate.lua:1: module 'nowhere' not found beside the script"],
    [`${callout('')}function mod:init() end`, 'init did not return true'],
    [`${callout('')}function mod:init() error("no") end`, 'init error: gate.lua:6: no'],
    [
      callout('', 'core_pre_ec_can_relay_to(domain, rv, cont)'),
      'the callout core_pre_ec_can_relay_to is recognised but not implemented, and it would decide',
    ],
  ] as const
  for (const [text, expected] of cases) {
    // init has to be part of the table when it is registered
    const source = text.includes('init()')
      ? text.replace(/msys\.registerModule.*\n([^]*)/, '$1\nmsys.registerModule("gate", mod)')
      : text
    const gate = await load({ gate: source }, { limits: { time: 100 } })
    assert.equal(shown(gate)[0], `error: script "gate": ${expected}`)
    assert.deepEqual(gate.diagnostics[0]?.at, { file: 'gate.conf', line: 1, column: 1, length: 6 })
    assert.deepEqual(await askMail(gate), temporaryIssue)
  }
})

test('!= is read as ~=, in scripts and their modules, and nowhere inside strings and comments', async () => {
  const module = 'return { differ = function(a, b) return a!=b end }'
  const body = `  -- a != b, "
  --[==[ " ]] ' != ]==] local long = [[ -- != ]] .. [=[ ]] != ]=]
  local quoted = "\\" != " .. 'it\\'s != \\\\'
  print(long .. quoted, 1 != 2, 1 !=1, not(nil!=nil), require("other").differ(1, 2))
  return core.VALIDATE_CONT`
  const gate = await load({ gate: callout(body) }, { modules: { 'other.lua': module } })
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(await askMail(gate), { kind: 'continue' }, gate.panics.join())
  assert.deepEqual(gate.panics, [` -- !=  ]] != " != it's != \\ true false true true`])
  const after = await load({ gate: 'local x = 1 != 2\nlocal s = "!="\nlocal y = = 1' })
  assert.equal(shown(after)[0], `error: script "gate": gate.lua:3: unexpected symbol near '='`)
})

test('init runs once and must return true', async () => {
  const gate = await load({
    gate: `local mod = {}\nfunction mod:init() print("init", self == mod) return true end\nfunction mod:validate_mailfrom() return msys.core.VALIDATE_DONE end\nmsys.registerModule("gate", mod)`,
  })
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(gate.panics, ['init true'])
  assert.deepEqual(await askMail(gate), { kind: 'done' })
})

const setUp = (answer: string): string => `local mod = {}
function mod:rsrc_setup() msys.registerControl("hello", function() print("hi") end) print("set up") return ${answer} end
function mod:init() print("init") return true end
msys.registerModule("gate", mod)`

test('rsrc_setup runs after init and must return true; a script that only sets things up is fine', async () => {
  const gate = await load({ gate: setUp('true') })
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(gate.panics, ['init', 'set up'])
  assert.deepEqual(await gate.policy.offers?.command(['hello']), { kind: 'done', output: 'hi\n' })
  assert.equal(
    shown(await load({ gate: setUp('nil') }))[0],
    'error: script "gate": rsrc_setup did not return true',
  )
})

test('a script that would never run is a warning', async () => {
  const none = await load({ gate: 'local x = 1' })
  assert.deepEqual(shown(none), [
    'warning: script "gate": the script "gate" never runs: it does not call msys.registerModule("gate", …)',
  ])
  const other = await load({ gate: callout('', undefined, 'gaet') })
  assert.deepEqual(shown(other), [
    'warning: script "gate": the script "gate" never runs: it registers "gaet", and the names must be equal',
  ])
  assert.equal(other.policy.wants('mailfrom'), false)
  const empty = await load({ gate: 'msys.registerModule("gate", { helper = function() end })' })
  assert.deepEqual(shown(empty), [
    'warning: script "gate": no usable methods found for module gate in registerModule call',
  ])
  assert.deepEqual(empty.panics, ['no usable methods found for module gate in registerModule call'])
})

test('callout names that look like one are pointed out', async () => {
  const gate = await load({
    gate: `local mod = {}
function mod:validate_mailform() end
function mod:core_validate_auth_hok() end
function mod:core_something_else() end
function mod:core_ec_ssl_SSL_CTX_fixup() end
function mod:helper() end
function mod:validate_connect() end
msys.registerModule("gate", mod)`,
  })
  assert.deepEqual(shown(gate).toSorted(), [
    'warning: script "gate": no callout is named core_something_else: it is never called',
    'warning: script "gate": no callout is named core_validate_auth_hok: it is never called; did you mean "core_validate_auth_hook"?',
    'warning: script "gate": no callout is named validate_mailform: it is never called; did you mean "validate_mailfrom"?',
    'warning: script "gate": the callout core_ec_ssl_SSL_CTX_fixup is recognised, not implemented: it is never called',
  ])
})

test('scripts that are missing are errors, in either language', async () => {
  const at = { file: 'gate.conf', line: 3, column: 5, length: 4 }
  const ask = async (source: string, path: string | undefined) => {
    const made = await createPolicy({
      scripts: [{ name: 'gate', source, path, at }],
      hostname: 'mx.example',
      events: { emit: () => undefined },
    })
    assert.deepEqual(await made.policy.ask('mailfrom', mail()), temporaryIssue)
    return made.diagnostics.map(({ message }) => message)
  }
  assert.deepEqual(await ask('scripts.gate', undefined), [
    `script "gate": Unable to open 'scripts.gate', errno=2 No such file or directory`,
  ])
  assert.match(
    (await ask('./none.lua', '/nowhere/none.lua'))[0] ?? '',
    /Unable to open '\/nowhere\/none\.lua': no such file$/,
  )
  assert.match(
    (await ask('./none.ts', '/nowhere/none.ts'))[0] ?? '',
    /Unable to open '\/nowhere\/none\.ts': no such file$/,
  )
})

test('what is no file is no script: a named pipe holds nobody, and a device fills no memory', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-pipe-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const pipe = path.join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const at = { file: 'gate.conf', line: 3, column: 5, length: 4 }
  for (const source of [pipe, '/dev/zero', folder]) {
    const scripts = [{ name: 'gate', source, path: source, at }]
    const { diagnostics } = await createPolicy({
      scripts,
      hostname: 'mx.example',
      events: { emit: () => undefined },
    })
    assert.match(diagnostics[0]?.message ?? '', /not a regular file$/)
  }
})

test('modules beside the script are loaded once; names of Momentum give way to files only outside msys', async () => {
  const gate = await load(
    {
      gate: callout(
        `local a, b, old, json, core2 = require("lib.util"), require("lib/util"), require("old"), require("json"), require("msys.core")
         print(a == b, a.name, a.arg, old.f(), old._NAME, package.loaded.old == old, json.mine, core2 == core)
         print(pcall(require, "broken"), pcall(require, "broken"))
         return core.VALIDATE_CONT`,
      ),
    },
    {
      modules: {
        'lib/util.lua': 'print("once") return { name = "util", arg = ... }',
        'old.lua': 'module(..., package.seeall) function f() return type(print) end',
        'json.lua': 'return { mine = true }',
        'broken.lua': 'local x = \n=',
      },
    },
  )
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
  assert.deepEqual(gate.panics.slice(0, 2), ['once', 'true util lib.util function old true true true'])
  assert.match(gate.panics[2] ?? '', /^false false .*broken\.lua:2: unexpected symbol near '='$/)
})

test('Lua 5.1 as scripts know it', async () => {
  const body = String.raw`
    local checks = {
      version = _VERSION == "Lua 5.1",
      unpack = select("#", unpack({ 1, 2, 3 })) == 3,
      fenv = getfenv(1) == _G and getfenv() == _G,
      setfenv = (function() local env = { y = 5 } local f = setfenv(function() return y end, env) return f() == 5 and getfenv(f) == env end)(),
      module_env = (function() local function f() setfenv(1, { z = 7 }) return z end return f() == 7 end)(),
      loadstring = loadstring("return 1 + 1")() == 2 and select(2, loadstring("x =", "=chunk")) == "chunk:1: unexpected symbol near '<eof>'",
      load = (function() local parts, i = { "return ", "4", "2" }, 0 return load(function() i = i + 1 return parts[i] end)() == 42 end)(),
      pcall = (function() local ok, e = pcall(error, { 1 }) return not ok and e[1] == 1 end)(),
      pcall_values = select("#", pcall(function() return nil, nil end)) == 3 and select("#", pcall(function() end)) == 1,
      pcall_nil = select(2, pcall(nil)) == "attempt to call a nil value",
      pcall_position = select(2, pcall(function() error("here") end)):find("^gate%.lua:%d+: here$") == 1,
      xpcall = select(2, xpcall(function() error("a", 0) end, function(m) return m .. "b" end)) == "ab",
      xpcall_ok = select(2, xpcall(function() return 7 end, print)) == 7,
      gsub_function = ("hello world"):gsub("o", function(c) return c:upper() end) == "hellO wOrld",
      gsub_table = ("$a $b"):gsub("%$(%w)", { a = "1" }) == "1 $b",
      gsub_text = ("abc"):gsub("%w", "%0%0", 2) == "aabbc" and select(2, ("abc"):gsub("", "-")) == 4,
      gsub_empty = ("abc"):gsub("%w*", function() return "x" end) == "xx",
      gsub_anchor = ("aaa"):gsub("^a", function() return "b" end) == "baa",
      gsub_error = select(2, pcall(string.gsub, "a", "a", function() return {} end)):find("invalid replacement value %(a table%)") ~= nil,
      gmatch = (function() local n = 0 for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do n = n + v end return n == 3 end)(),
      find = ("a.b"):find(".", 1, true) == 2 and select(3, ("key=v"):find("(%w+)=")) == "key",
      frontier = ("THE (quick) fox"):find("%f[%a]%a+%f[%A]") == 1,
      balance = ("f(a(b)c)d"):match("%b()") == "(a(b)c)",
      format = ("%5.2f|%d|%s|%q"):format(1.5, 3, "x", "a\nb") == " 1.50|3|x|\"a\\\nb\"",
      rep = ("ab"):rep(3) == "ababab" and ("x"):rep(0) == "" and ("x"):rep(-1) == "",
      bytes = #"a\0b" == 3 and ("\255"):byte() == 255,
      sort = (function() local t = {} for i = 1, 100 do t[i] = (i * 37) % 101 end table.sort(t, function(a, b) return a > b end) for i = 2, 100 do if t[i - 1] < t[i] then return false end end return true end)(),
      sort_error = not pcall(table.sort, { 1, "x", 2 }),
      concat = table.concat({ 1, 2, 3 }, ", ") == "1, 2, 3",
      foreach = (function() local n = 0 table.foreachi({ 1, 2 }, function(i, v) n = n + v end) table.foreach({ a = 5 }, function(k, v) n = n + v end) return n == 8 end)(),
      coroutine = (function() local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) return b * 2 end)
        local _, x = coroutine.resume(co, 1) local _, y = coroutine.resume(co, 10) return x == 2 and y == 20 and coroutine.status(co) == "dead" end)(),
      yield_in_pcall = (function() local co = coroutine.wrap(function() local ok, v = pcall(function() return coroutine.yield("up") + 1 end) return v end) return co() == "up" and co(41) == 42 end)(),
      running_in_pcall = (function() local co co = coroutine.create(function() return select(2, pcall(function() return coroutine.running() == co and coroutine.status(co) == "running" end)) end) return select(2, coroutine.resume(co)) end)(),
      wrap_error = select(2, pcall(coroutine.wrap(function() error("w") end))):find("w$") ~= nil,
      os = os.time({ year = 2020, month = 1, day = 2, hour = 12 }) > 1577000000 and os.date("!%Y-%m-%d %H:%M:%S", 0) == "1970-01-01 00:00:00" and os.date("!*t", 86399).hour == 23 and type(os.clock()) == "number",
      gone = io == nil and debug == nil and dofile == nil and loadfile == nil and newproxy == nil and os.exit == nil and os.getenv == nil and string.dump == nil and package.loadlib == nil,
      collectgarbage = collectgarbage("count") > 10 and collectgarbage() == 0 and not pcall(collectgarbage, "quux"),
      tostring = tostring(1e15) == "1e+15" and tostring(0.1) == "0.1" and 10 / 2 == 5 and tostring(2^53) == "9.007199254741e+15",
    }
    for name, fine in pairs(checks) do if fine ~= true then print(name, fine) end end
    return core.VALIDATE_CONT`
  const gate = await load({ gate: callout(body) })
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(await askMail(gate), { kind: 'continue' }, gate.panics.join('\n'))
  assert.deepEqual(gate.panics, [])
})
