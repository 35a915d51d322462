/** The hooks of Momentum around the phases, as Lua scripts see them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mailbox } from '../../src/mail/envelope.ts'
import type { AnyFacts, Hook, MessageFacts, RecipientList } from '../../src/policy/phases.ts'
import type { Verdict } from '../../src/policy/verdict.ts'
import type { HandshakeParameters } from '../../src/tls/gate.ts'
import { callout, load, message, session, temporaryIssue } from './scripts.fixture.ts'

const reply = (code: number, text: string) => ({ kind: 'reply', code, text, module: 'scriptlet' })

async function ask<H extends Hook>(
  phase: H,
  facts: AnyFacts[H],
  script: { readonly signature: string; readonly body: string },
) {
  const gate = await load({ gate: callout(script.body, script.signature) })
  assert.deepEqual(gate.diagnostics, [], script.signature)
  assert.equal(gate.policy.wants(phase), true)
  const verdict: Verdict = await gate.policy.ask(phase, facts)
  return { verdict, panics: gate.panics }
}

const verify = (verified: boolean, subject: string | undefined, body: string) =>
  ask(
    'tls_verify',
    {
      session: session(),
      certificate: { verified, subject, issuer: subject === undefined ? undefined : 'CN=ca' },
    },
    { signature: 'core_inbound_smtp_tls_verify_callback(mc, ctx, ok, subject, issuer, x509)', body },
  )

test('the verify hook gets what came, and NULLs without a certificate', async () => {
  const body = 'print(mc, ctx, ok, subject, issuer, x509) return ok'
  assert.deepEqual(await verify(true, 'CN=a', body), {
    verdict: { kind: 'continue' },
    panics: ['mc nil 1 CN=a CN=ca nil'],
  })
  assert.deepEqual((await verify(false, undefined, body)).panics, ['mc nil 0 nil nil nil'])
})

test('the verify hook answers 1 or nothing to go on, 0 to refuse; anything else is an error', async () => {
  for (const body of ['return 1', 'return true', '']) {
    assert.deepEqual((await verify(false, 'CN=a', body)).verdict, { kind: 'continue' }, body)
  }
  const { verdict } = await verify(true, 'CN=a', 'return 0')
  assert.deepEqual(verdict, reply(550, '5.7.1 certificate not accepted by policy'))
  for (const body of ['return 2', 'return false', 'return "yes"', 'error("oops")']) {
    assert.deepEqual((await verify(true, 'CN=a', body)).verdict, temporaryIssue, body)
  }
})

async function setParameters(body: string) {
  const parameters: HandshakeParameters = {
    use: true,
    mode: undefined,
    certificate: undefined,
    key: undefined,
    ca: undefined,
    ciphers: undefined,
  }
  const facts = { session: session(), parameters, scopeMode: 'require' as const }
  const signature = 'core_get_inbound_tls_parameters(mc, vctx, params)'
  return { ...(await ask('tls_parameters', facts, { signature, body })), parameters }
}

test('TLS parameters are read and set, by field and by msys.tls_params.set', async () => {
  const { verdict, panics, parameters } = await setParameters(`
    print(params.use_tls, params.tls_verify, params.certfile)
    require("msys.tls_params")
    msys.tls_params.set(params, "certfile", "a.pem")
    msys.tls_params.set(params, "keyfile", "a.key")
    params.ca = "ca.pem"
    msys.tls_params.set(params, "cipherlist", "HIGH")
    params.tls_verify = 0
    print(params.certfile, params.tls_verify)
    return 0`)
  assert.deepEqual(verdict, { kind: 'continue' })
  assert.deepEqual(panics, ['1 2 nil', 'a.pem 0'])
  assert.deepEqual(parameters, {
    use: true,
    mode: 'none',
    certificate: 'a.pem',
    key: 'a.key',
    ca: 'ca.pem',
    ciphers: 'HIGH',
  })
  assert.equal((await setParameters('params.use_tls = 0')).parameters.use, false)
  for (const body of [
    'params.tls_verify = 3',
    'params.tls_verify = "required"',
    'params.use_tls = 7',
    'params.certificate = "x"',
    'msys.tls_params.set(params, "cafile", "x")',
    'msys.tls_params.set(vctx, "ca", "x")',
    'params.ca = "a\\0b"',
  ]) {
    const refused = await setParameters(body)
    assert.deepEqual(refused.verdict, temporaryIssue, body)
    assert.equal(refused.parameters.ca, undefined, body)
  }
})

async function before(body: string): Promise<Verdict> {
  const signature = 'core_pre_esmtp_auth(ac, mc, vctx)'
  return (await ask('auth_before', { session: session() }, { signature, body })).verdict
}

test('core_pre_esmtp_auth lets authentication run, refuses it, or lets it succeed', async () => {
  for (const body of ['return -1', '', 'print(ac, mc.ctx, vctx)']) {
    assert.deepEqual(await before(body), { kind: 'continue' }, body)
  }
  assert.deepEqual(await before('return core.EC_AUTH_FAIL'), reply(535, '5.7.8 authentication not accepted'))
  assert.deepEqual(await before('return core.EC_AUTH_OK'), reply(235, '2.7.0 Authentication succeeded'))
  assert.deepEqual(await before('return 99'), temporaryIssue)
})

test('final_validation2 goes on, rejects or defers; the void hooks decide by vctx alone', async () => {
  const facts = { session: session(), message: message(session()) }
  const signature = 'core_final_validation2(msg, ac, vctx)'
  for (const [body, verdict] of [
    ['return 0', { kind: 'continue' }],
    ['return core.EC_HOOK_DONE', reply(550, '5.7.1 message not accepted')],
    ['vctx:set_code(554, "5.6.0 cannot sign") return core.EC_HOOK_DONE', reply(554, '5.6.0 cannot sign')],
    ['return core.EC_HOOK_RETRY', reply(451, '4.7.1 message not accepted now, please try again later')],
    ['return 3', temporaryIssue],
  ] as const) {
    assert.deepEqual((await ask('final_validation2', facts, { signature, body })).verdict, verdict, body)
  }
  for (const [phase, name] of [
    ['final_validation', 'core_final_validation'],
    ['post_final_validation', 'core_post_final_validation'],
    ['each_rcpt_after', 'core_validate_data_spool_each_rcpt'],
  ] as const) {
    const script = { signature: `${name}(msg, ac, vctx)`, body: 'return 1' }
    assert.deepEqual((await ask(phase, facts, script)).verdict, { kind: 'continue' }, name)
  }
  const script = { signature: 'core_validate_connect(ac, vctx)', body: 'vctx:set_code(554, "no")' }
  assert.deepEqual((await ask('connected', { session: session() }, script)).verdict, reply(554, 'no'))
})

function withRecipients(locals: readonly string[]): MessageFacts & { readonly recipients: RecipientList } {
  let mailboxes: readonly Mailbox[] = locals.map((local) => ({ local, domain: 'here.example' }))
  return {
    ...message(session()),
    recipients: {
      get mailboxes() {
        return mailboxes
      },
      replace(wanted) {
        if (wanted.length > 5) throw new RangeError('a message has at most 5 recipients')
        mailboxes = wanted
      },
    },
  }
}

async function list(body: string, ...recipients: string[]) {
  const facts = withRecipients(recipients)
  const signature = 'validate_rcptto_list(list, vctx)'
  const asked = await ask('rcptto_list', { session: session(), message: facts }, { signature, body })
  return { ...asked, left: facts.recipients.mailboxes.map(({ local }) => local) }
}

test('recipients: a list from 0, added and removed one by one or by table', async () => {
  const { verdict, panics, left } = await list(
    `print(list[0], list[1], #list)
     vctx:add_recipient("new@here.example")
     vctx:add_recipient({ "one@here.example", "two@here.example" })
     vctx:remove_recipient({ [0] = "a@here.example", "two@here.example" })
     vctx:remove_recipient("nobody@here.example")
     local now, all = vctx:recipient_list(), ""
     for i = 0, #now do all = all .. now[i] .. " " end
     print(all)
     return core.VALIDATE_CONT`,
    'a',
    'b',
  )
  assert.deepEqual(panics, [
    'a@here.example b@here.example 1',
    'b@here.example new@here.example one@here.example ',
  ])
  assert.deepEqual(verdict, { kind: 'continue' })
  assert.deepEqual(left, ['b', 'new', 'one'])
  assert.deepEqual((await list('vctx:recipient_list("x@here.example") return 0', 'a')).left, ['x'])
  assert.deepEqual((await list('vctx:recipient_list({}) return 0', 'a')).left, [])
  for (const body of [
    'vctx:add_recipient("")',
    'vctx:add_recipient("no address")',
    'vctx:add_recipient({ "a@b", {} })',
    'vctx:add_recipient({ "a@b", "c@d", "e@f", "g@h", "i@j" })',
  ]) {
    const refused = await list(`${body} return 0`, 'a')
    assert.deepEqual(refused.verdict, temporaryIssue, body)
    assert.deepEqual(refused.left, ['a'], body)
  }
})

test('recipients cannot be changed where they are what they are', async () => {
  const gate = await load({
    gate: callout('vctx:add_recipient("a@b.example") return 0', 'validate_data_spool(msg, ac, vctx)'),
  })
  const facts = { session: session(), message: message(session()) }
  assert.deepEqual(await gate.policy.ask('data_spool', facts), temporaryIssue)
  assert.match(gate.panics[0] ?? '', /works from validate_data to validate_rcptto_list_final/)
})

test('ac: the EHLO list and the number of sessions', async () => {
  const edits: string[] = []
  const facts = {
    ...session(),
    capabilities: {
      add: (name: string) => edits.push(`+${name}`),
      remove: (name: string) => edits.push(`-${name}`),
    },
    count: ({ cidr }: { readonly cidr: string }) => (cidr === 'x' ? undefined : cidr.length),
  }
  const run = async (body: string) => {
    const gate = await load({
      gate: callout(`${body} return core.VALIDATE_CONT`, 'validate_connect(ac, vctx)'),
    })
    return { verdict: await gate.policy.ask('connect', { session: facts }), panics: gate.panics }
  }
  const fine = await run(`require("msys.extended.ac")
    ac:esmtp_capability_add("X-NOTE one") ac:esmtp_capability_remove("8BITMIME")
    print(ac:inbound_session_count(), ac:inbound_session_count("/24"), ac:inbound_session_count(nil, "Control"))`)
  assert.deepEqual(fine, { verdict: { kind: 'continue' }, panics: ['0 3 0'] })
  assert.deepEqual(edits, ['+X-NOTE one', '-8BITMIME'])
  for (const body of [
    'ac:esmtp_capability_add("X\\r\\n250 Y")',
    'ac:esmtp_capability_add("")',
    'ac:inbound_session_count("x")',
    'ac:inbound_session_count(nil, "smtp")',
  ]) {
    assert.deepEqual((await run(body)).verdict, temporaryIssue, body)
  }
})

async function connect(body: string): Promise<Verdict> {
  const { policy } = await load({ gate: callout(body, 'validate_connect(ac, vctx)') })
  return policy.ask('connect', { session: session() })
}

test('vctx:pbp_action and pbp_disconnect answer and return VALIDATE_DONE', async () => {
  assert.deepEqual(await connect('return vctx:pbp_action(554, "5.7.1 no")'), reply(554, '5.7.1 no'))
  assert.deepEqual(await connect('return vctx:pbp_disconnect(421, "4.7.1 no")'), {
    ...reply(421, '4.7.1 no'),
    kind: 'disconnect',
  })
})

const lifeCycle = (result: string) => `local core = require("msys.core")
local mod = {}
function mod:validate_ehlo(str, ac, vctx) self.name = str:sub(6, -3) return core.VALIDATE_CONT end
function mod:validate_dealloc() print("dealloc", self.name) end
function mod:deinit() print("deinit") return ${result} end
msys.registerModule("gate", mod)`

test('validate_dealloc is called at the end of a session that the script has met, and only then', async () => {
  const gate = await load({ gate: lifeCycle('true') })
  assert.deepEqual(gate.diagnostics, [])
  const [met, unknown] = [session(), session()]
  await gate.policy.ask('ehlo', { session: met, line: 'EHLO one' })
  gate.policy.ended?.(unknown)
  gate.policy.ended?.(met)
  gate.policy.ended?.(met)
  assert.deepEqual(gate.panics, ['dealloc one'])
})

test('what is kept in self is dropped in one session only, which is not over by that', async () => {
  const gate = await load({ gate: lifeCycle('true') })
  const [one, two] = [session(), session()]
  await gate.policy.ask('ehlo', { session: one, line: 'EHLO one' })
  await gate.policy.ask('ehlo', { session: two, line: 'EHLO two' })
  gate.policy.forget?.(one)
  gate.policy.forget?.(one)
  assert.deepEqual(gate.panics, [])
  gate.policy.ended?.(two)
  gate.policy.ended?.(one)
  assert.deepEqual(gate.panics, ['dealloc two', 'dealloc nil'])
})

test('validate_dealloc may wait, although its client is gone', async () => {
  const gate = await load({
    gate: lifeCycle('true').replace('print("dealloc"', 'msys.sleep(0.01) print("dealloc"'),
  })
  const gone = AbortSignal.abort()
  const met = { ...session(), gone }
  await gate.policy.ask('ehlo', { session: met, line: 'EHLO one' })
  gate.policy.ended?.(met)
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.deepEqual(gate.panics, ['dealloc one'])
})

test('deinit is called when the policy is dropped, and must return true', async () => {
  const good = await load({ gate: lifeCycle('true') })
  await good.policy.close?.()
  assert.deepEqual(good.panics, ['deinit'])
  const bad = await load({ gate: lifeCycle('nil') })
  await bad.policy.close?.()
  assert.deepEqual(bad.panics, ['deinit', 'deinit of gate did not return true'])
})
