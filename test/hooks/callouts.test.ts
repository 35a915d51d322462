/** What each callout gets, what it may answer, and the verdict that the answers of several scripts come to. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SessionFacts } from '../../src/policy/phases.ts'
import {
  askMail,
  callout,
  load,
  mail as mailFacts,
  message,
  session,
  temporaryIssue,
} from './scripts.fixture.ts'

const reply = (code: number, text: string) => ({ kind: 'reply', code, text, module: 'scriptlet' })
const close = (code: number, text: string) => ({ kind: 'disconnect', code, text, module: 'scriptlet' })

async function mail(body: string, facts: SessionFacts = session()) {
  const gate = await load({ gate: callout(body) })
  assert.deepEqual(gate.diagnostics, [])
  return { verdict: await askMail(gate, facts), panics: gate.panics, facts }
}

test('a phase is wanted only when a script has a callout for it', async () => {
  const { policy } = await load({ gate: callout('return core.VALIDATE_CONT') })
  assert.equal(policy.wants('mailfrom'), true)
  assert.equal(policy.wants('rcptto'), false)
  assert.deepEqual(policy.ask('rcptto', { session: session(), message: message(session()), line: '' }), {
    kind: 'continue',
  })
})

test('every callout gets the documented arguments', async () => {
  const facts = session({ auth_user: 'alice', auth_name: 'PLAIN' })
  const all = { session: facts, message: message(facts) }
  const cases = [
    ['connect', 'validate_connect(ac, vctx)', 'ac, vctx', 'ac vctx', { session: facts }],
    [
      'ehlo',
      'validate_ehlo(str, ac, vctx)',
      '#str, str:sub(-2) == "\\r\\n", ac, vctx',
      '10 true ac vctx',
      { session: facts, line: 'EHLO one' },
    ],
    [
      'tls',
      'core_inbound_smtp_tls_post_accept(mc, e, t, c, now)',
      'mc, mc.ctx, e, t, c, now > 0',
      'mc vctx nil nil nil true',
      { session: facts },
    ],
    [
      'auth',
      'core_validate_auth(vctx, i, s)',
      'vctx, i.user, i.name, s == core.EC_AUTH_OK',
      'vctx alice PLAIN true',
      { session: facts, status: 'pass' },
    ],
    [
      'auth',
      'core_validate_auth_hook(vctx, i, s)',
      'vctx, s == core.EC_AUTH_FAIL',
      'vctx true',
      { session: facts, status: 'fail' },
    ],
    [
      'mailfrom',
      'validate_mailfrom(str, ac, vctx)',
      'str:sub(1, -3), ac, vctx',
      'MAIL FROM:<> ac vctx',
      { session: facts, line: 'MAIL FROM:<>' },
    ],
    [
      'rcptto',
      'validate_rcptto(msg, str, ac, vctx)',
      'msg, str:sub(1, 4), ac, vctx',
      'msg RCPT ac vctx',
      { ...all, line: 'RCPT TO:<a@b>' },
    ],
    ['data', 'validate_data(msg, ac, vctx)', 'msg, ac, vctx', 'msg ac vctx', all],
    ['data_spool', 'validate_data_spool(msg, ac, vctx)', 'msg, ac, vctx', 'msg ac vctx', all],
    [
      'data_spool_each_rcpt',
      'validate_data_spool_each_rcpt(msg, ac, vctx)',
      'msg, ac, vctx',
      'msg ac vctx',
      all,
    ],
    ['set_binding', 'validate_set_binding(msg)', 'msg', 'msg', all],
  ] as const
  for (const [phase, signature, shown, expected, asked] of cases) {
    const gate = await load({ gate: callout(`print(${shown}) return core.VALIDATE_CONT`, signature) })
    assert.deepEqual(gate.diagnostics, [], signature)
    assert.deepEqual(await gate.policy.ask(phase, asked as never), { kind: 'continue' }, signature)
    assert.deepEqual(gate.panics, [expected], signature)
  }
})

test('DONE stops the phase, CONT asks the next script, in the order of the configuration', async () => {
  const first = callout('print("first") return core[vctx:get(core.VCTX_CONN, "answer")]', undefined, 'first')
  const second = callout('print("second") return core.VALIDATE_CONT', undefined, 'second')
  const going = await load({ first, second })
  assert.deepEqual(await askMail(going, session({ answer: 'VALIDATE_CONT' })), { kind: 'continue' })
  assert.deepEqual(going.panics, ['first', 'second'])
  const stopping = await load({ first, second })
  assert.deepEqual(await askMail(stopping, session({ answer: 'VALIDATE_DONE' })), { kind: 'done' })
  assert.deepEqual(stopping.panics, ['first'])
})

test('a code stands when the script goes on, and a later script may replace it', async () => {
  const first = callout('vctx:set_code(550, "5.7.1 no") return core.VALIDATE_CONT', undefined, 'first')
  const passing = callout('return core.VALIDATE_CONT', undefined, 'second')
  const replacing = callout(
    'vctx:set_code("451", "4.7.1 later") return core.VALIDATE_DONE',
    undefined,
    'second',
  )
  assert.deepEqual(await askMail(await load({ first, second: passing })), reply(550, '5.7.1 no'))
  assert.deepEqual(await askMail(await load({ first, second: replacing })), reply(451, '4.7.1 later'))
})

test('an error after a code is still an error', async () => {
  assert.deepEqual((await mail('vctx:set_code(250, "fine") error("oops")')).verdict, temporaryIssue)
})

test('replies, disconnects, tarpits and success texts', async () => {
  const cases = [
    ['vctx:set_code(530, "5.7.0 TLS needed") return core.VALIDATE_DONE', reply(530, '5.7.0 TLS needed')],
    ['vctx:set_code(250, "2.1.0 welcome") return core.VALIDATE_CONT', reply(250, '2.1.0 welcome')],
    ['vctx:set_code(550) return core.VALIDATE_DONE', reply(550, '5.7.1 refused by policy')],
    [
      'vctx:set_code(550, "one\\r\\ntwo\\rthree\\n\\0four\\n") return core.VALIDATE_DONE',
      reply(550, 'one\ntwo\nthree\nfour'),
    ],
    ['vctx.code = 551; vctx.note = "5.7.1 field" return core.VALIDATE_DONE', reply(551, '5.7.1 field')],
    ['vctx:disconnect(421, "4.7.0 bye") return core.VALIDATE_DONE', close(421, '4.7.0 bye')],
    ['vctx:disconnect(550, "5.7.1 bye") return core.VALIDATE_CONT', close(550, '5.7.1 bye')],
    [
      'vctx.disconnect = 1 return core.VALIDATE_CONT',
      close(421, '4.7.1 refused by policy, please try again later'),
    ],
    [
      'vctx:tarpit(2) vctx:tarpit(0.5) return core.VALIDATE_CONT',
      // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field
      { kind: 'tarpit', seconds: 2.5, then: { kind: 'continue' } },
    ],
    [
      'vctx:tarpit(1) vctx:set_code(550, "5.7.1 no") return core.VALIDATE_DONE',
      // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field
      { kind: 'tarpit', seconds: 1, then: reply(550, '5.7.1 no') },
    ],
    ['print(vctx.code, vctx.note == "") return core.VALIDATE_CONT', { kind: 'continue' }],
  ] as const
  for (const [body, expected] of cases) assert.deepEqual((await mail(body)).verdict, expected, body)
})

test('codes and delays that make no sense are errors', async () => {
  for (const body of [
    'vctx:set_code(99)',
    'vctx:set_code("x")',
    'vctx:set_code()',
    'vctx:set_code(600, "")',
    'vctx:disconnect(354)',
    'vctx:tarpit(-1)',
    'vctx:tarpit(1/0)',
    'vctx:tarpit(0/0)',
    'vctx.code = 1',
    'vctx.unknown = 1',
  ]) {
    assert.deepEqual((await mail(`${body} return core.VALIDATE_CONT`)).verdict, temporaryIssue, body)
  }
})

test('the context is read and written as byte strings', async () => {
  const facts = session({ tls: 'on', raw: 'a\0b\u00ff' })
  const { verdict, panics } = await mail(
    `assert(vctx:get(core.VCTX_CONN, "tls") == "on" and vctx:get(core.VCTX_CONN, "missing") == "" and vctx:get(core.VCTX_MESS, "tls") == "")
     assert(vctx:get(core.VCTX_CONN, "raw") == "a\\0b\\255")
     vctx:set(core.VCTX_CONN, "n", 12) vctx:set(core.VCTX_MESS, "m", "\\0\\254")
     vctx:set(core.VCTX_CONN, nil, "x") vctx:set(core.VCTX_MESS, "x", nil)
     return core.VALIDATE_CONT`,
    facts,
  )
  assert.deepEqual(verdict, { kind: 'continue' })
  assert.equal(facts.context.get('connection', 'n'), '12')
  assert.equal(facts.context.get('message', 'm'), '\0\u00fe')
  assert.equal(facts.context.message.size, 1)
  assert.deepEqual(panics, [
    'Attempt to set null key or value in validate context connection dictionary.',
    'Attempt to set null key or value in validate context message dictionary.',
  ])
  for (const body of [
    'vctx:get(nil, "tls")',
    'vctx:get(7, "tls")',
    'vctx:set(core.VCTX_CON, "a", "b")',
    'vctx:set(core.VCTX_CONN, "a", true)',
    'vctx:get(core.VCTX_CONN, {})',
  ]) {
    assert.deepEqual((await mail(`${body} return core.VALIDATE_CONT`)).verdict, temporaryIssue, body)
  }
})

async function askAuth(body: string) {
  const gate = await load({ gate: callout(body, 'core_validate_auth_hook(vctx, info, status)') })
  return gate.policy.ask('auth', { session: session(), status: 'pass' })
}

test('a hook may return nothing; an authentication is refused by EC_AUTH_FAIL; other values are errors', async () => {
  for (const body of ['', 'return true', 'return core.EC_AUTH_OK', 'return core.VALIDATE_CONT']) {
    assert.deepEqual(await askAuth(body), { kind: 'continue' }, body)
  }
  assert.deepEqual(await askAuth('vctx:set_code(535, "5.7.8 no")'), reply(535, '5.7.8 no'))
  assert.deepEqual(await askAuth('return core.VALIDATE_DONE'), { kind: 'done' })
  assert.deepEqual(await askAuth('return core.EC_AUTH_FAIL'), reply(535, '5.7.8 authentication not accepted'))
  assert.deepEqual(
    await askAuth('return core.EC_AUTH_ERROR'),
    reply(535, '5.7.8 authentication not accepted'),
  )
  assert.deepEqual(
    await askAuth('vctx:set_code(235, "fine") return core.EC_AUTH_FAIL'),
    reply(535, '5.7.8 authentication not accepted'),
  )
  for (const body of ['return false', 'return "no"', 'return -1'])
    assert.deepEqual(await askAuth(body), temporaryIssue, body)
})

async function askTls(body: string) {
  const gate = await load({
    gate: callout(body, 'core_inbound_smtp_tls_post_accept(mc, event, eventtype, vclosure, now)'),
  })
  return { verdict: await gate.policy.ask('tls', { session: session() }), panics: gate.panics }
}

const note = (text: string) =>
  `mc.ctx.code = 420; mc.ctx.disconnect = 1; mc.ctx:set(core.VCTX_CONN, "_tls_note", "${text}")`

test('after a handshake, a code other than 220 and disconnect refuse the session', async () => {
  assert.deepEqual((await askTls('assert(mc.ctx.code == 220)')).verdict, { kind: 'continue' })
  assert.deepEqual(
    (await askTls('mc.ctx.code = 420; mc.ctx.disconnect = 1')).verdict,
    close(421, '4.7.0 TLS Negotiation failed.'),
  )
  assert.deepEqual((await askTls(note('554 5.7.1 not you'))).verdict, close(554, '5.7.1 not you'))
  assert.deepEqual((await askTls(note('not you'))).verdict, close(420, 'not you'))
  assert.deepEqual(
    (await askTls('mc.ctx.disconnect = 1')).verdict,
    close(421, '4.7.0 TLS Negotiation failed.'),
  )
  assert.deepEqual((await askTls('mc.ctx:disconnect(554, "5.7.1 go")')).verdict, close(554, '5.7.1 go'))
  assert.deepEqual((await askTls('mc.ctx.code = 220; mc.ctx.disconnect = 1')).verdict, { kind: 'continue' })
  const ignored = await askTls('mc.ctx.code = 550')
  assert.deepEqual(ignored.verdict, { kind: 'continue' })
  assert.match(ignored.panics[0] ?? '', /set code 550 without disconnect = 1/)
  assert.deepEqual((await askTls('error("oops")')).verdict, temporaryIssue)
})

test('VALIDATE_AGAIN is asked again', async () => {
  const { verdict, panics } = await mail(
    'tries = (tries or 0) + 1 print(tries) return tries < 3 and core.VALIDATE_AGAIN or core.VALIDATE_DONE',
  )
  assert.deepEqual(verdict, { kind: 'done' })
  assert.deepEqual(panics, ['1', '2', '3'])
})

test('self keeps what a session puts there, for that session only, until it has ended', async () => {
  const gate = await load({
    gate: `local core = require("msys.core")
local mod = { helper = function(self) return self.seen or 0 end }
function mod:validate_ehlo(str, ac, vctx) self.seen = self:helper() + 1 return core.VALIDATE_CONT end
function mod:validate_mailfrom(str, ac, vctx) print(self:helper(), rawget(mod, "seen")) return core.VALIDATE_CONT end
msys.registerModule("gate", mod)`,
  })
  const [one, two] = [session(), session()]
  await gate.policy.ask('ehlo', { session: one, line: 'EHLO a' })
  await gate.policy.ask('ehlo', { session: one, line: 'EHLO a' })
  await askMail(gate, one)
  await askMail(gate, two)
  gate.policy.ended?.(one)
  await askMail(gate, one)
  assert.deepEqual(gate.panics, ['2 nil', '0 nil', '0 nil'])
})

test('a script that sleeps holds up its own session only, also inside pcall and coroutines', async () => {
  const sleeping = `if vctx:get(core.VCTX_CONN, "slow") == "" then return core.VALIDATE_DONE end
    local ok, value = pcall(function() msys.sleep(0.02) return "woke" end)
    local co = coroutine.wrap(function() msys.sleep(0.01) coroutine.yield("inner") error("later") end)
    local inner = co()
    local failed, why = pcall(co)
    print(ok, value, inner, failed, why)
    return core.VALIDATE_CONT`
  const gate = await load({ gate: callout(sleeping) })
  const slow = Array.from({ length: 200 }, () =>
    gate.policy.ask('mailfrom', mailFacts(session({ slow: 'yes' }))),
  )
  assert.ok(slow.every((answer) => answer instanceof Promise))
  assert.deepEqual(gate.policy.ask('mailfrom', mailFacts()), { kind: 'done' })
  assert.deepEqual(new Set((await Promise.all(slow)).map(({ kind }) => kind)), new Set(['continue']))
  assert.equal(gate.panics.length, 200)
  assert.match(gate.panics[0] ?? '', /^true woke inner false (?:gate\.lua:\d+: )+later$/)
})

test('sleeping where Lua cannot suspend is an error that says so', async () => {
  const { verdict, panics } = await mail(
    'local t = setmetatable({}, { __index = function() msys.sleep(0.01) end }) local x = t.x return core.VALIDATE_CONT',
  )
  assert.deepEqual(verdict, temporaryIssue)
  assert.match(panics[0] ?? '', /msys\.sleep cannot wait inside a metamethod \(gate\.lua:\d+\)/)
  assert.deepEqual(
    (
      await mail(
        '("a"):gsub("a", function() msys.sleep(0.01) end) table.sort({2, 1}, function(a, b) msys.sleep(0) return a < b end) return core.VALIDATE_CONT',
      )
    ).verdict,
    { kind: 'continue' },
  )
})
