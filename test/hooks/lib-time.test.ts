/** What runs by itself or for others: timers, pools, console commands, authentication schemes. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuthAttempt } from '../../src/policy/offers.ts'
import { errorsOf, gateOf, MockRecords, prints } from './library.fixture.ts'
import { askMail, callout, load } from './scripts.fixture.ts'

/** Time that passes when a test says so. */
class Timers {
  #now = 1_700_000_000_000
  readonly #calls = new Set<{ readonly at: number; readonly call: () => void }>()

  readonly now = (): number => this.#now
  readonly after = (milliseconds: number, call: () => void): (() => void) => {
    const entry = { at: this.#now + milliseconds, call }
    this.#calls.add(entry)
    return () => this.#calls.delete(entry)
  }

  get pending(): number {
    return this.#calls.size
  }

  async pass(milliseconds: number): Promise<void> {
    const end = this.#now + milliseconds
    for (;;) {
      const [next] = [...this.#calls].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#calls.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.call()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#now = end
  }
}

test('after, at and every: each run has a callout of its own', async () => {
  const timers = new Timers()
  const gate = await gateOf('local x = vctx', {
    library: timers,
    before: `
      a = msys.timer.after(10, function() print("after", msys.core.get_now_ts()) end, "one")
      b = msys.timer.at(1700000005, function() print("at", msys.core.get_now_ts()) end)
      n = 0
      c = msys.timer.every(4, function() n = n + 1 print("every", n) if n == 3 then c:stop() end end)
      print(a:name(), b:name() == "", msys.type(a))`,
  })
  assert.deepEqual(gate.diagnostics, [])
  await timers.pass(30_000)
  assert.deepEqual(gate.panics, [
    'one true timer',
    'every 1',
    'at 1700000005',
    'every 2',
    'after 1700000010',
    'every 3',
  ])
})

test('a timer can be stopped and started again; its function may wait; its errors are logged', async () => {
  const timers = new Timers()
  const records = new MockRecords({ 'A one.example': ['192.0.2.1'] })
  const gate = await gateOf('a:start() b:stop()', {
    library: { now: timers.now, after: timers.after, records },
    before: `
      a = msys.timer.after(1, function() print(msys.dnsLookup("one.example")[1]) end)
      b = msys.timer.every(5, function() print("b") end)
      e = msys.timer.after(2, function() error("broken") end, "bad")
      v = msys.timer.after(3, function() print(msys.cidr.query("none")) end)`,
  })
  await timers.pass(6000)
  await askMail(gate)
  await timers.pass(10_000)
  assert.deepEqual(gate.panics.slice(0, 2), ['192.0.2.1', 'timer "bad" error: gate.lua:4: broken'])
  assert.match(gate.panics[2] ?? '', /^timer "" error: gate\.lua:5: bad argument #1 to 'msys\.cidr\.query'/)
  assert.deepEqual(gate.panics.slice(3), ['b', '192.0.2.1'])
})

test('a timer has a budget of its own, and a repeating one skips a turn while it still waits', async () => {
  const timers = new Timers()
  const records = new MockRecords({ 'A one.example': ['192.0.2.1'] })
  records.hold = true
  const gate = await gateOf('', {
    library: { now: timers.now, after: timers.after, records },
    limits: { time: 50 },
    before: `
      w = msys.timer.every(1, function() print("begin") msys.dnsLookup("one.example") print("end") end)
      spin = msys.timer.after(1, function() while true do end end)`,
  })
  await timers.pass(3500)
  assert.equal(gate.panics.filter((text) => text === 'begin').length, 1)
  records.release()
  await new Promise((resolve) => setImmediate(resolve))
  await timers.pass(1000)
  assert.equal(gate.panics.filter((text) => text === 'begin').length, 2)
  assert.ok(
    gate.panics.some((text) => /^timer "" error: gate\.lua:\d+: time budget of 0\.05 s exceeded/.test(text)),
  )
})

test('timers stop when the policy is retired, and when nothing refers to them any more', async () => {
  const timers = new Timers()
  const gate = await gateOf('for i = 1, 5000 do msys.timer.after(100, print) end print("fine")', {
    library: { now: timers.now, after: timers.after },
    before: 'kept = msys.timer.every(10, function() print("kept") end)',
  })
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
  assert.ok(timers.pending <= 1000, String(timers.pending))
  assert.deepEqual(gate.panics, ['fine'])
  await timers.pass(10_000)
  assert.deepEqual(gate.panics, ['fine', 'kept'])
  gate.policy.retire?.()
  assert.equal(timers.pending, 0)
  await timers.pass(100_000)
  assert.deepEqual(gate.panics, ['fine', 'kept'])
})

test('so many timers, and not more', async () => {
  const timers = new Timers()
  const { pending } = timers
  assert.equal(pending, 0)
  assert.deepEqual(
    Object.values(
      await errorsOf(
        [
          '(function() all = {} for i = 1, 2000 do all[i] = msys.timer.after(100, print) end end)()',
          'msys.timer.after("x", print)',
          'msys.timer.after(1)',
          'msys.timer.every(0, print)',
          'msys.timer.after(-1, print)',
          'all[1].stop("x")',
        ],
        { library: { now: timers.now, after: timers.after } },
      ),
    ),
    [
      'scripts have at most 1000 timers',
      "bad argument #1 to 'msys.timer.after' (number expected, got string)",
      "bad argument #2 to 'msys.timer.after' (function expected, got no value)",
      "bad argument #1 to 'msys.timer.every' (a number from 0.01 to 2147483 expected)",
      "bad argument #1 to 'msys.timer.after' (a number from 0 to 2147483 expected)",
      "a timer expected; use ':' to call its methods",
    ],
  )
})

test('pools: a protected call now, or later, with a completion', async () => {
  const timers = new Timers()
  const gate = await gateOf(
    `print(msys.runInPool("IO", function() return 1, nil, 3 end)) print(msys.runInPool(5, function() error("no", 0) end))
     print(msys.runInInst(nil, function() return "inst" end))
     print(msys.runInPool("IO", function() print("later", pcall(vctx.get, vctx, 1, "k")) end, true))
     msys.runInPool("IO", function() print("first") error("oops") end, function() print("done") end, 1)
     print("end")`,
    { library: { now: timers.now, after: timers.after } },
  )
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
  assert.deepEqual(gate.panics.splice(0), ['true 1 nil 3', 'false no', 'true inst', '', 'end'])
  await timers.pass(0)
  await new Promise((resolve) => setImmediate(resolve))
  assert.match(gate.panics[0] ?? '', /^later false .*this vctx belongs to a callout that has ended$/)
  assert.equal(gate.panics[1], 'first')
  assert.match(gate.panics[2] ?? '', /^msys\.runInPool error: gate\.lua:\d+: oops$/)
  assert.equal(gate.panics[3], 'done')
  assert.deepEqual(
    Object.values(
      await errorsOf(
        [
          'msys.runInPool({}, print)',
          'msys.runInPool("IO", 5)',
          'msys.runInPool("IO", print, "x")',
          'msys.runInInst(nil)',
          '(function() for i = 1, 2000 do msys.runInPool("IO", function() end, true) end end)()',
        ],
        { library: { now: timers.now, after: timers.after } },
      ),
    ),
    [
      "bad argument #1 to 'msys.runInPool' (string or number expected, got table)",
      "bad argument #2 to 'msys.runInPool' (function expected, got number)",
      "bad argument #3 to 'msys.runInPool' (boolean or function expected, got string)",
      "bad argument #2 to 'msys.runInInst' (function expected, got nil)",
      'msys.runInPool: 1000 functions wait to be run',
    ],
  )
})

test('a console command gets its words and prints to the console', async () => {
  const records = new MockRecords({ 'A one.example': ['192.0.2.1'] })
  const { policy, panics } = await gateOf('', {
    library: { records },
    before: `
      msys.registerControl("show", function(cc) print(cc.argc, cc.argv[0], cc.argv[1], cc.argv[2]) print(msys.dnsLookup("one.example")[1]) end)
      msys.registerControl("fail", function(cc) print("before") error("no such thing") end)
      msys.registerControl("flood", function(cc) while true do print(("x"):rep(1000)) end end)
      print("loaded")`,
  })
  assert.deepEqual(policy.offers?.commands, ['show', 'fail', 'flood'])
  assert.deepEqual(await policy.offers?.command(['show', 'a b']), {
    kind: 'done',
    output: '2 show a b nil\n192.0.2.1\n',
  })
  assert.deepEqual(await policy.offers?.command(['fail']), {
    kind: 'failed',
    output: 'before\n',
    message: 'gate.lua:3: no such thing',
  })
  const flood = await policy.offers?.command(['flood'])
  assert.ok(flood?.kind === 'failed' && flood.output.length <= 1_048_576)
  assert.equal(await policy.offers?.command(['other']), undefined)
  assert.equal(await policy.offers?.command([]), undefined)
  assert.deepEqual(panics, ['loaded'])
  assert.deepEqual(await errorsOf(['msys.registerControl("x")', 'msys.registerControl("a b", print)']), {
    'msys.registerControl("x")':
      "bad argument #2 to 'msys.registerControl' (function expected, got no value)",
    'msys.registerControl("a b", print)': 'a console command is named with letters, digits and _ . - only',
  })
})

const attempt: AuthAttempt = {
  path: 'here',
  parameters: { uri: 'my://here' },
  user: 'alice',
  password: 's\0\xff',
}

test('a script authenticates a scheme of its own', async () => {
  const { policy, panics, diagnostics } = await load({
    gate: `local core, mod, auth = require("msys.core"), {}, { good = "alice" }
function auth:authenticate(path, params, user, pass)
  if user == "boom" then error("boom") end
  if user == "odd" then return "yes" end
  if user == "sick" then return core.EC_AUTH_ERROR end
  if path ~= "here" or params.uri ~= "my://here" or #pass ~= 3 then return core.EC_AUTH_ERROR end
  return user == self.good and core.EC_AUTH_OK or core.EC_AUTH_FAIL
end
function mod:init() msys.registerAuth("my", auth) msys.registerAuth("empty", {}) return true end
function mod:validate_connect() end
msys.registerModule("gate", mod)`,
  })
  assert.deepEqual(diagnostics, [])
  const ask = (user: string, scheme = 'my') => policy.offers?.authenticate(scheme, { ...attempt, user })
  assert.deepEqual(policy.offers?.schemes, ['my', 'empty'])
  assert.equal(await ask('alice'), 'ok')
  assert.equal(await ask('bob'), 'fail')
  assert.equal(await ask('sick'), 'error')
  assert.deepEqual(panics, [])
  assert.equal(await ask('boom'), 'error')
  assert.equal(await ask('odd'), 'error')
  assert.equal(await ask('alice', 'empty'), 'error')
  assert.equal(await ask('alice', 'other'), undefined)
  assert.deepEqual(panics, [
    'my authenticate error: gate.lua:3: boom',
    'my authenticate error: returned yes, which is none of the answers that it may give',
    'the authentication scheme empty has no function "authenticate"',
  ])
})

test('a scheme is registered while scripts load, once', async () => {
  assert.deepEqual(await errorsOf(['msys.registerAuth("x", {})', 'msys.registerAuth("x")']), {
    'msys.registerAuth("x", {})': 'msys.registerAuth works only in init and while a script loads',
    'msys.registerAuth("x")': 'msys.registerAuth works only in init and while a script loads',
  })
  const gate = await load({
    gate: `msys.registerAuth("x", {}) msys.registerAuth("x", {})\n${callout('')}`,
  })
  assert.match(gate.diagnostics[0]?.message ?? '', /the authentication scheme "x" is registered already/)
})

test('print in a session still goes to the panic log', async () => {
  assert.deepEqual(await prints('print("here")'), ['here'])
})
