/** A verdict names the script that answered, the function that was asked, and the line of the call. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Verdict } from '../../src/policy/verdict.ts'
import { PolicyFolder, policyText } from './modules.fixture.ts'
import { callout, load, mail, message, session } from './scripts.fixture.ts'

/** `name callout from` of a verdict about MAIL. */
async function mailBy(scripts: Record<string, string>, modules = {}): Promise<string> {
  const gate = await load(scripts, { modules })
  return shown(await gate.signed.ask('mailfrom', mail()))
}

function shown(verdict: Verdict): string {
  if (!('by' in verdict) || verdict.by === undefined) return `${verdict.kind} by nobody`
  const { name, callout: asked, from, defined } = verdict.by
  return `${verdict.kind} by ${name} ${asked} ${from ?? '-'}${defined === undefined ? '' : ` of ${defined}`}`
}

suite('a Lua script', () => {
  const answers: readonly (readonly [string, string])[] = [
    [
      'vctx:set_code(550, "no")\nreturn msys.core.VALIDATE_CONT',
      'reply by gate validate_mailfrom gate.lua:4',
    ],
    [
      'vctx:disconnect(421, "no")\nreturn msys.core.VALIDATE_DONE',
      'disconnect by gate validate_mailfrom gate.lua:4',
    ],
    ['\n\nreturn vctx:pbp_action(550, "no")', 'reply by gate validate_mailfrom gate.lua:6'],
    ['vctx:tarpit(1)\nreturn msys.core.VALIDATE_CONT', 'tarpit by gate validate_mailfrom gate.lua:4'],
    // the one that stands, not the last one that spoke
    [
      'vctx:set_code(550, "no")\nvctx:set(msys.core.VCTX_CONN, "a", "b")\nreturn msys.core.VALIDATE_CONT',
      'reply by gate validate_mailfrom gate.lua:4',
    ],
    [
      'vctx.code = 550\nvctx.note = "x"\nreturn msys.core.VALIDATE_CONT',
      'reply by gate validate_mailfrom gate.lua:5',
    ],
    ['error("oops")', 'disconnect by gate validate_mailfrom gate.lua:4'],
    ['return 99', 'disconnect by gate validate_mailfrom - of gate.lua:3'],
    ['return msys.core.VALIDATE_CONT', 'continue by nobody'],
  ]
  for (const [body, expected] of answers) {
    test(`${expected}: ${body.replaceAll('\n', ' ').trim()}`, async () => {
      assert.equal(await mailBy({ gate: callout(body) }), expected)
    })
  }

  test('a helper in another file is named by its own line', async () => {
    const helper = 'local M = {}\nfunction M.refuse(vctx)\n\n  vctx:set_code(550, "no")\nend\nreturn M'
    const body = 'require("helper").refuse(vctx)\nreturn msys.core.VALIDATE_CONT'
    assert.equal(
      await mailBy({ gate: callout(body) }, { 'helper.lua': helper }),
      'reply by gate validate_mailfrom helper.lua:4',
    )
  })

  test('an answer that is nothing but a return value is named by the line on which its function begins', async () => {
    const parameters = 'core_final_validation2(msg, ac, vctx)'
    const gate = await load({ gate: callout('local x = 1\nreturn msys.core.EC_HOOK_DONE', parameters) })
    const facts = { session: session(), message: message(session()) }
    assert.equal(
      shown(await gate.signed.ask('final_validation2', facts)),
      'reply by gate core_final_validation2 - of gate.lua:3',
    )
    // a script that finds its own words is named by the call
    const own = await load({
      gate: callout('vctx:set_code(550, "no")\nreturn msys.core.EC_HOOK_DONE', parameters),
    })
    assert.equal(
      shown(await own.signed.ask('final_validation2', facts)),
      'reply by gate core_final_validation2 gate.lua:4',
    )
  })

  test('a function that several names stand for is where it was written, also in another file', async () => {
    const helper = 'local M = {}\n\nM.no = function() return msys.core.EC_HOOK_RETRY end\nreturn M'
    const script = `local mod = {}\nmod.core_final_validation2 = require("helper").no\nmsys.registerModule("gate", mod)`
    const gate = await load({ gate: script }, { modules: { 'helper.lua': helper } })
    const facts = { session: session(), message: message(session()) }
    assert.equal(
      shown(await gate.signed.ask('final_validation2', facts)),
      'reply by gate core_final_validation2 - of helper.lua:3',
    )
  })

  test('of two scripts the one whose answer stands', async () => {
    const goOn = 'return msys.core.VALIDATE_CONT'
    const scripts = {
      first: callout(`vctx:set_code(550, "no")\n${goOn}`, undefined, 'first'),
      second: callout(goOn, undefined, 'second'),
    }
    assert.equal(await mailBy(scripts), 'reply by first validate_mailfrom first.lua:4')
  })

  test('a discarded message', async () => {
    const body = 'msg:discard("550 gone")\nreturn msys.core.VALIDATE_CONT'
    const gate = await load({ gate: callout(body, 'validate_data(msg, ac, vctx)') })
    const facts = { session: session(), message: message(session()) }
    assert.equal(shown(await gate.signed.ask('data', facts)), 'discard by gate validate_data gate.lua:4')
  })
})

test('a policy in TypeScript is named with the place of its method', async () => {
  const folder = new PolicyFolder()
  folder.write({
    'gate.ts': policyText(`  name: 'gate',
  mailFrom: () => reject(550, 'no'),
  ehlo: () => { throw new Error('oops') },`),
  })
  const loaded = await folder.load(['gate.ts'])
  assert.deepEqual(folder.shown(loaded), [])
  const { signed } = loaded
  const file = `${folder.path}/gate.ts`
  assert.equal(shown(await signed.ask('mailfrom', mail())), `reply by gate mailFrom ${file}:6`)
  const hello = { session: session(), line: 'EHLO a' }
  assert.equal(shown(await signed.ask('ehlo', hello)), `disconnect by gate ehlo ${file}:7`)
})
