/** What scripts read of the context is what it holds at that moment: nothing that is kept between reads may be older. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holdsAsync } from '../support/properties.ts'
import { askMail, callout, load, mail, session } from './scripts.fixture.ts'

/** Reads the keys that `names` lists, writes some of them, and says what it read. */
const reader = callout(`
  local said = {}
  for name in vctx:get(core.VCTX_CONN, "names"):gmatch("[^ ]+") do
    said[#said + 1] = vctx:get(core.VCTX_CONN, name)
    if #said % 3 == 0 then vctx:set(core.VCTX_CONN, name, name .. #said) end
    said[#said + 1] = vctx:get(core.VCTX_CONN, name)
    said[#said + 1] = vctx:get(core.VCTX_MESS, name)
  end
  vctx:set(core.VCTX_CONN, "said", table.concat(said, "|"))
  for i = 1, 500 do local garbage = "garbage " .. i .. str end
  return core.VALIDATE_CONT`)

/** Another script, which writes one key of each dictionary after it. */
const writer = callout(
  `
  vctx:set(core.VCTX_CONN, "key 7", "by the second")
  vctx:set(core.VCTX_MESS, "key 8", vctx:get(core.VCTX_CONN, "key 7"))
  return core.VALIDATE_CONT`,
  undefined,
  'second',
)

/** What the two scripts read and write. */
function expected(connection: Map<string, string>, messageKeys: ReadonlyMap<string, string>): string {
  const said: string[] = []
  for (const name of (connection.get('names') ?? '').split(' ').filter((text) => text !== '')) {
    said.push(connection.get(name) ?? '')
    if (said.length % 3 === 0) connection.set(name, `${name}${said.length}`)
    said.push(connection.get(name) ?? '', messageKeys.get(name) ?? '')
  }
  return said.join('|')
}

test('scripts read what the context holds, whoever wrote it last, however many keys and values there are', async () => {
  const gate = await load({ gate: reader, second: writer })
  assert.deepEqual(gate.diagnostics, [])
  const names = Array.from({ length: 400 }, (_, n) => (n % 50 === 0 ? `${n}`.repeat(60) : `key_${n}`))
  const name = fc.oneof(fc.constantFrom(...names.slice(0, 5)), fc.constantFrom(...names))
  const octet = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code))
  const value = fc.string({ unit: octet, maxLength: 140 })
  const kind = fc.constantFrom('connection' as const, 'message' as const)
  const step = fc.oneof(
    fc.record({
      does: fc.constant('set' as const),
      kind,
      name,
      value: fc.oneof(value, fc.constantFrom('on', 'yes')),
    }),
    fc.record({ does: fc.constant('delete' as const), kind, name }),
    fc.record({ does: fc.constantFrom('forget' as const, 'reset' as const) }),
    fc.record({ does: fc.constant('ask' as const), names: fc.array(name, { minLength: 1, maxLength: 12 }) }),
  )
  await holdsAsync(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const facts = session()
      const { context } = facts
      for (const one of steps) {
        if (one.does === 'set') context.set(one.kind, one.name, one.value)
        else if (one.does === 'delete') context.delete(one.kind, one.name)
        else if (one.does === 'reset') context.clearMessage()
        else if (one.does === 'forget') context.connection.clear()
        else if (one.does === 'ask') {
          context.set('connection', 'names', one.names.join(' '))
          const model = expected(new Map(context.connection), context.message)
          assert.deepEqual(await askMail(gate, facts), { kind: 'continue' })
          assert.equal(context.get('connection', 'said'), model)
          assert.equal(context.get('message', 'key 8'), 'by the second')
        }
      }
    }),
    { numRuns: 60 },
  )
  assert.deepEqual(gate.panics, [])
})

test('a script that waited reads what was written meanwhile', async () => {
  const gate = await load({
    gate: callout(`
      local before = vctx:get(core.VCTX_CONN, "key")
      msys.sleep(0.001)
      vctx:set(core.VCTX_CONN, "said", before .. " " .. vctx:get(core.VCTX_CONN, "key"))
      return core.VALIDATE_CONT`),
  })
  const facts = session({ key: 'first' })
  const asked = gate.policy.ask('mailfrom', mail(facts))
  facts.context.set('connection', 'key', 'second')
  assert.deepEqual(await askMail(gate, session({ key: 'other' })), { kind: 'continue' })
  assert.deepEqual(await asked, { kind: 'continue' })
  assert.equal(facts.context.get('connection', 'said'), 'first second')
})
