/** Waiting suspends the script and nothing else, wherever Lua can be suspended; elsewhere the error names the place. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { errorsOf, gateOf, MockRecords, prints } from './library.fixture.ts'
import { askMail, callout, type Gate, load, session, temporaryIssue } from './scripts.fixture.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Octets that are in use, garbage apart. */
function memory(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const records = () => new MockRecords({ 'A one.example': ['192.0.2.1'], 'A two.example': ['192.0.2.2'] })
const lookup = 'msys.dnsLookup("one.example")[1]'

const places: Readonly<Record<string, readonly [body: string, printed: string]>> = {
  'the callout itself': [`print(${lookup})`, '192.0.2.1'],
  'a function called deep down': [
    `local function down(n) if n == 0 then return ${lookup} end return (down(n - 1)) end print(down(50))`,
    '192.0.2.1',
  ],
  pcall: [`print(pcall(function() return ${lookup} end))`, 'true 192.0.2.1'],
  'pcall in pcall, with an error behind the wait': [
    `print(pcall(pcall, function() local x = ${lookup} error(x, 0) end))`,
    'true false 192.0.2.1',
  ],
  xpcall: [`print(xpcall(function() return ${lookup} end, print))`, 'true 192.0.2.1'],
  'the handler of xpcall': [
    `print(xpcall(function() error("e", 0) end, function(e) return e .. ${lookup} end))`,
    'false e192.0.2.1',
  ],
  'a coroutine': [
    `local co = coroutine.create(function(a) local b = coroutine.yield(a .. ${lookup}) return b .. ${lookup} end)
     print(select(2, coroutine.resume(co, "a")), select(2, coroutine.resume(co, "b")), coroutine.status(co))`,
    'a192.0.2.1 b192.0.2.1 dead',
  ],
  'a wrapped coroutine in a coroutine': [
    `local f = coroutine.wrap(function() local g = coroutine.wrap(function() coroutine.yield(${lookup}) end) coroutine.yield(g()) end) print(f())`,
    '192.0.2.1',
  ],
  'a gsub callback': [
    `print((("a-b"):gsub("%w", function(c) return c .. ${lookup} end)))`,
    'a192.0.2.1-b192.0.2.1',
  ],
  'a sort comparison': [
    `local t = { 3, 1, 2 } table.sort(t, function(a, b) msys.dnsLookup("one.example") return a < b end) print(t[1], t[2], t[3])`,
    '1 2 3',
  ],
  'foreach and foreachi': [
    `table.foreach({ a = 1 }, function() print(${lookup}) end) table.foreachi({ 1 }, function() print(msys.dnsLookup("two.example")[1]) end)`,
    '192.0.2.1\n192.0.2.2',
  ],
  'a reader of load': [
    `local n = 0 print(load(function() n = n + 1 if n == 1 then return "return '" .. ${lookup} .. "'" end end)())`,
    '192.0.2.1',
  ],
  'the body of a loop over an iterator': [
    `for w in ("one two"):gmatch("%w+") do print(msys.dnsLookup(w .. ".example")[1]) end`,
    '192.0.2.1\n192.0.2.2',
  ],
  'a pool': [`print(msys.runInPool("IO", function() return ${lookup} end))`, 'true 192.0.2.1'],
  'a tail call': [`local function f() return msys.dnsLookup("one.example") end print(f()[1])`, '192.0.2.1'],
}

for (const [place, [body, printed]] of Object.entries(places)) {
  test(`a script can wait in ${place}`, async () => {
    assert.deepEqual(await prints(body, { library: { records: records() } }), printed.split('\n'))
  })
}

test('where Lua cannot be suspended, the error names the place, and nothing was asked', async () => {
  const mock = records()
  const tail = '(setmetatable({}, { __index = function() return msys.dnsLookup("one.example") end })).x'
  const added = 'setmetatable({}, { __add = function() msys.sleep(0) return 1 end }) + 1'
  const iterated = '(function() for _ in function() msys.sleep(0) end do end end)()'
  const shown = 'tostring(setmetatable({}, { __tostring = function() msys.sleep(0) return "" end }))'
  const inside =
    '(setmetatable({}, { __index = function() local r = { pcall(function() coroutine.wrap(function() msys.readfile("/x") end)() end) } return r[2] end })).x'
  const errors = await errorsOf([tail, added, iterated, shown], { library: { records: mock } })
  assert.match(
    errors[tail] ?? '',
    /^msys\.dnsLookup cannot wait inside a metamethod or an iterator \(gate\.lua:\d+\)$/,
  )
  assert.match(errors[added] ?? '', /^msys\.sleep cannot wait inside a metamethod \(gate\.lua:\d+\)$/)
  assert.match(
    errors[iterated] ?? '',
    /^msys\.sleep cannot wait inside the iterator of a for loop \(gate\.lua:\d+\)$/,
  )
  assert.match(
    errors[shown] ?? '',
    /^msys\.sleep cannot wait inside a function that tostring calls \(gate\.lua:\d+\)$/,
  )
  const [nested] = await prints(`print(${inside})`)
  assert.match(nested ?? '', /msys\.readfile cannot wait inside a metamethod \(gate\.lua:\d+\)/)
  assert.deepEqual(mock.asked, [])
})

test('asyncOk says whether a script can wait here', async () => {
  assert.deepEqual(
    await prints(
      `print(msys.asyncOk(), pcall(msys.asyncOk), (setmetatable({}, { __index = function() return msys.asyncOk() end })).x)
       print(at_load)`,
      { before: 'at_load = msys.asyncOk()' },
    ),
    ['true true false', 'false'],
  )
})

test('nothing waits while a script loads', async () => {
  const gate = await gateOf('', { before: 'msys.dnsLookup("one.example")' })
  assert.match(gate.diagnostics[0]?.message ?? '', /gate\.lua:1: msys\.dnsLookup works only in a callout/)
})

test('other sessions go on while one waits, and the wait costs no time budget', async () => {
  const mock = records()
  mock.hold = true
  const gate = await gateOf(
    `if vctx:get(core.VCTX_CONN, "slow") == "yes" then print(${lookup}) else print("fast") end`,
    { library: { records: mock }, limits: { time: 40 } },
  )
  const slow = askMail(gate, session({ slow: 'yes' }))
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
  await new Promise((resolve) => setTimeout(resolve, 120))
  mock.release()
  assert.deepEqual(await slow, { kind: 'continue' })
  assert.deepEqual(gate.panics, ['fast', '192.0.2.1'])
})

test('a budget error behind a wait is as final as one before it', async () => {
  const gate = await gateOf(`pcall(function() local x = ${lookup} while true do end end)`, {
    library: { records: records() },
    limits: { time: 50 },
  })
  assert.deepEqual(await askMail(gate), temporaryIssue)
  assert.match(gate.panics[0] ?? '', /time budget of 0\.05 s exceeded/)
})

test('a wait ends when its session does; the look-up is given up and the panic log stays silent', async () => {
  const mock = records()
  mock.hold = true
  const gone = new AbortController()
  const gate = await gateOf(`msys.lock("mine") print(${lookup})`, { library: { records: mock } })
  const first = askMail(gate, { ...session(), gone: gone.signal })
  assert.equal(mock.waiting, 1)
  gone.abort()
  assert.deepEqual(await first, temporaryIssue)
  assert.equal(mock.aborted, 1)
  assert.deepEqual(gate.panics, [])
  // the lock that it held is free
  mock.hold = false
  assert.deepEqual(await askMail(gate), { kind: 'continue' })
})

test('a coroutine that waits in one session cannot be resumed by another', async () => {
  const mock = records()
  mock.hold = true
  const gate = await gateOf(
    `if shared == nil then
       shared = coroutine.create(function() return ${lookup} end)
       print("first", coroutine.resume(shared))
     else
       print("second", coroutine.resume(shared))
     end`,
    { library: { records: mock } },
  )
  const first = askMail(gate)
  await askMail(gate)
  mock.release()
  await first
  assert.match(gate.panics[0] ?? '', /^second false .*cannot be resumed by another/)
  assert.match(gate.panics[1] ?? '', /^first false cannot resume dead coroutine/)
})

test('2,000 sessions wait in look-ups at once with flat memory', async () => {
  const mock = records()
  mock.hold = true
  const gate = await load(
    { gate: callout(`return (${lookup}) == "192.0.2.1" and core.VALIDATE_DONE or core.VALIDATE_CONT`) },
    { library: { records: mock } },
  )
  const round = async (): Promise<number> => {
    const answers = Array.from({ length: 2000 }, () => askMail(gate))
    assert.equal(mock.waiting, 2000)
    const held = memory()
    mock.release()
    for (const answer of await Promise.all(answers)) assert.deepEqual(answer, { kind: 'done' })
    return held
  }
  const idle = memory()
  const first = await round()
  for (let i = 0; i < 4; i++) await round()
  const last = await round()
  const shown = `${idle >> 10} KiB idle, ${first >> 10} KiB, then ${last >> 10} KiB with 2,000 sessions waiting`
  assert.ok(first - idle < 32 * 1_048_576, shown)
  assert.ok(last - first < 4 * 1_048_576, shown)
  assert.deepEqual(gate.panics, [])
})

test('a lock keeps others out across a wait, in order, and does not outlive its callout', async () => {
  const mock = records()
  mock.hold = true
  const gate: Gate = await gateOf(
    `msys.lock("one") local who = vctx:get(core.VCTX_CONN, "who") print(who, "in") local x = ${lookup} print(who, "out")
     if who ~= "a" then msys.unlock("one") end`,
    { library: { records: mock } },
  )
  const all = ['a', 'b', 'c'].map((who) => askMail(gate, session({ who })))
  for (let i = 0; i < 3; i++) {
    assert.equal(mock.waiting, 1)
    mock.release()
    await new Promise((resolve) => setImmediate(resolve))
  }
  await Promise.all(all)
  assert.deepEqual(gate.panics, ['a in', 'a out', 'b in', 'b out', 'c in', 'c out'])
})

test('locks and mutexes: what is a mistake, and what is not', async () => {
  assert.deepEqual(
    await prints(
      `local m = thread.mutex()
       print(m:trylock(), m:trylock(), pcall(m.lock, m)) m:unlock() print(pcall(m.unlock, m))
       local r = thread.mutex(thread.MUTEX_RECURSIVE) r:lock() r:lock() r:unlock() r:unlock() print(pcall(r.unlock, r))
       msys.lock("x") print(pcall(msys.lock, "x")) msys.unlock("x") print(pcall(msys.unlock, "x"))
       print(pcall(thread.mutex, 7), pcall(msys.lock), pcall(m.lock, "no mutex"))`,
      { before: 'local m = thread.mutex() m:lock() m:unlock()' },
    ),
    [
      'true false false mutex:lock: this callout holds the lock already',
      'false mutex:unlock: this callout does not hold the mutex',
      'false mutex:unlock: this callout does not hold the mutex',
      'false msys.lock: this callout holds the lock already',
      'false msys.unlock: this callout does not hold "x"',
      "false false false a mutex expected; use ':' to call its methods",
    ],
  )
})

test('a wait that has just begun when the budget runs out is given up', async () => {
  const signals: AbortSignal[] = []
  const sleep = async (_: number, signal: AbortSignal): Promise<void> => {
    signals.push(signal)
    const end = performance.now() + 250
    while (performance.now() < end) continue
  }
  const gate = await gateOf('coroutine.wrap(function() msys.sleep(1) end)()', {
    limits: { time: 50 },
    library: { sleep },
  })
  assert.deepEqual(await askMail(gate), temporaryIssue)
  assert.match(gate.panics[0] ?? '', /time budget/)
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true],
  )
})

test('what sleeps sleeps so long, and only so long as is reasonable', async () => {
  const asked: number[] = []
  const library = { sleep: async (milliseconds: number) => void asked.push(milliseconds) }
  assert.deepEqual(await prints('msys.sleep(0.2) print(msys.sleep(0))', { library }), [''])
  assert.deepEqual(asked, [200, 0])
  assert.deepEqual(await errorsOf(['msys.sleep(-1)', 'msys.sleep(301)', 'msys.sleep("x")', 'msys.sleep()']), {
    'msys.sleep(-1)': "bad argument #1 to 'msys.sleep' (a number from 0 to 300 expected)",
    'msys.sleep(301)': "bad argument #1 to 'msys.sleep' (a number from 0 to 300 expected)",
    'msys.sleep("x")': "bad argument #1 to 'msys.sleep' (number expected, got string)",
    'msys.sleep()': "bad argument #1 to 'msys.sleep' (number expected, got no value)",
  })
})
