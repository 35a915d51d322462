/** What Momentum's pages name and what is not here says so by name, instead of being nil. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  knownModules,
  unaskedDecisions,
  unbuiltFields,
  unbuiltFunctions,
  unbuiltModules,
  uncalledObservers,
} from '../../src/policy/lua/catalogue.ts'
import { errorsOf, prints } from './library.fixture.ts'
import { askMail, callout, load, message, session } from './scripts.fixture.ts'

const refusal = (name: string): string => `${name} is recognised but not implemented`

test('a function that is not built raises an error that names it', async () => {
  const calls = unbuiltFunctions.map((name) => `${name}()`)
  // one script may print so many lines only
  for (let at = 0; at < calls.length; at += 50) {
    const errors = await errorsOf(calls.slice(at, at + 50))
    for (const [call, message] of Object.entries(errors)) assert.equal(message, refusal(call.slice(0, -2)))
  }
})

test('a field that is not built raises an error that names it, whether it is read or set', async () => {
  assert.ok(unbuiltFields.includes('ac.inst'))
  for (const field of unbuiltFields) {
    const body = `  for _, use in ipairs({ function() return ${field} end, function() ${field} = 1 end }) do
    print((select(2, pcall(use)):gsub("^gate.lua:%d+: ", "")))
  end
  return core.VALIDATE_CONT`
    const gate = await load({ gate: callout(body, 'validate_data(msg, ac, vctx)') })
    const facts = { session: session(), message: message(session()) }
    assert.deepEqual(await gate.policy.ask('data', facts), { kind: 'continue' }, gate.panics.join())
    assert.deepEqual(gate.panics, [refusal(field), refusal(field)])
  }
})

test('require finds every module of Momentum, and warns of those of which nothing works', async () => {
  const requires = knownModules.map((name) => `require("${name}")`).join('\n')
  const { diagnostics } = await load({ gate: `${requires}\n${callout('')}` })
  assert.deepEqual(
    diagnostics.map(({ severity, message }) => `${severity}: ${message}`).toSorted(),
    unbuiltModules
      .map(
        (name) =>
          `warning: script "gate": ${name} is recognised, not implemented: calling into it is an error`,
      )
      .toSorted(),
  )
})

test('a callout that would decide and is never asked keeps the script out; one that observes is a warning', async () => {
  assert.ok(unaskedDecisions.includes('core_get_outbound_tls_parameters'))
  assert.deepEqual(await severities(unaskedDecisions), new Set(['error']))
  assert.deepEqual(await severities(uncalledObservers), new Set(['warning']))
})

test('the event loop of a domain is the one that there is', async () => {
  assert.deepEqual(
    await prints(
      'local inst = msys.core.scheduler_for_domain("d.example") print(msys.runInInst(inst, function() return 1, 2 end))',
    ),
    ['true 1 2'],
  )
  assert.deepEqual(await errorsOf(['msys.core.scheduler_for_domain()']), {
    'msys.core.scheduler_for_domain()':
      "bad argument #1 to 'msys.core.scheduler_for_domain' (string expected, got nil)",
  })
})

test('what one thread keeps is there for all sessions; a session keeps its own in self and vctx', async () => {
  const count = '_OSTLS.n = (_OSTLS.n or 0) + 1 print(_OSTLS.n)'
  const gate = await load({ gate: callout(`${count}\nreturn core.VALIDATE_CONT`) })
  await askMail(gate)
  await askMail(gate)
  assert.deepEqual(gate.panics, ['1', '2'])
  const message = `${refusal('_TLS')}: what a session keeps goes into self or the vctx`
  assert.deepEqual(await errorsOf(['_TLS.n', '(function() _TLS.n = 1 end)()']), {
    '_TLS.n': message,
    '(function() _TLS.n = 1 end)()': message,
  })
})

/** of what loading says first about a script with each callout */
async function severities(names: readonly string[]): Promise<Set<string>> {
  const all = new Set<string>()
  for (const name of names) {
    const { diagnostics } = await load({ gate: callout('', `${name}()`) })
    const [first] = diagnostics
    assert.match(first?.message ?? '', new RegExp(`${name} is recognised`))
    all.add(first?.severity ?? '')
  }
  return all
}
