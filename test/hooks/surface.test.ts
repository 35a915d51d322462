/** The table of Momentum's functions says what a running state says. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { unbuiltFunctions, unbuiltMethods } from '../../src/policy/lua/catalogue.ts'
import { surface, surfaceNames } from '../../src/policy/lua/surface.ts'
import { callout, load, message, session } from './scripts.fixture.ts'

const built = [...surfaceNames('same'), ...surfaceNames('differs')]
const missing = [...surfaceNames('not yet'), ...surfaceNames('never')]

/** What a callout prints about each name. */
async function ask(names: readonly string[], expression: (name: string) => string): Promise<string[]> {
  const answers: string[] = []
  for (let at = 0; at < names.length; at += 50) {
    const lines = names.slice(at, at + 50).map((name) => `print(${expression(name)})`)
    const body = `local client = msys.http.client.new()\n${lines.join('\n')}\nreturn core.VALIDATE_CONT`
    const gate = await load({ gate: callout(body, 'validate_data_spool_each_rcpt(msg, ac, vctx)') })
    assert.deepEqual(gate.diagnostics, [])
    const facts = session()
    await gate.policy.ask('data_spool_each_rcpt', { session: facts, message: message(facts) })
    answers.push(...gate.panics)
  }
  return answers
}

const isField = (name: string): boolean => name.startsWith('msg.')

test('what is listed as same or different is there', async () => {
  const functions = built.filter((name) => !isField(name))
  const types = await ask(functions, (name) => `type(${name.replace(':', '.')})`)
  assert.deepEqual(
    functions.map((name, index) => `${name}: ${types[index]}`),
    functions.map((name) => `${name}: function`),
  )
  const fields = built.filter(isField)
  const read = await ask(fields, (name) => `pcall(function() return ${name} end)`)
  for (const [index, name] of fields.entries()) assert.match(read[index] ?? '', /^true/, name)
})

test('what is listed as same or different is not one of those that raise an error instead', () => {
  const unbuilt = new Set([
    ...unbuiltFunctions,
    ...Object.entries(unbuiltMethods).flatMap(([kind, names]) => names.map((name) => `${kind}:${name}`)),
  ])
  assert.deepEqual(
    built.filter((name) => unbuilt.has(name)),
    [],
  )
})

test('what is listed as not there raises an error that names it', async () => {
  const errors = await ask(missing, (name) => `select(2, pcall(${name.replace(':', '.')}))`)
  assert.deepEqual(
    errors.map((text) => text.replace(/^gate\.lua:\d+: /, '')),
    missing.map((name) => `${name} is recognised but not implemented`),
  )
})

test('no function is listed twice, and every difference has its reason', () => {
  const all = [...built, ...missing]
  assert.equal(new Set(all).size, all.length)
  for (const { rows } of surface) {
    for (const { status, note, names } of rows) {
      if (status === 'differs' || status === 'never') assert.ok((note ?? '').length > 5, names)
    }
  }
})

test('every function of ours is in the table: what the state holds and the table does not is an addition', async () => {
  const gate = await load({
    gate: `local found = {}
local function walk(path, t, seen)
  if seen[t] then return end
  seen[t] = true
  for k, v in pairs(t) do
    if type(k) == "string" then
      if type(v) == "function" then found[#found + 1] = path .. k
      elseif type(v) == "table" then walk(path .. k .. ".", v, seen) end
    end
  end
end
local seen = {}
for _, name in ipairs({ "msys", "json", "thread", "xml", "curl" }) do walk(name .. ".", _G[name], seen) end
table.sort(found)
for i = 1, #found, 40 do print(table.concat(found, " ", i, math.min(i + 39, #found))) end
${callout('return core.VALIDATE_CONT')}`,
  })
  const listed = new Set([...built, ...missing, ...unbuiltFunctions])
  const found = gate.panics.join(' ').split(' ')
  assert.ok(found.length > 60)
  assert.deepEqual(
    found.filter((name) => !listed.has(name)),
    [],
  )
})
