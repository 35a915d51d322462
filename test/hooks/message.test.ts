/** `msg`: envelope, header, context, discard. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ValidationContext } from '../../src/policy/context.ts'
import { callout, load, message, session, temporaryIssue } from './scripts.fixture.ts'

async function data(body: string, phase: 'data' | 'data_spool_each_rcpt' = 'data') {
  const gate = await load({
    gate: callout(`${body}\nreturn core.VALIDATE_CONT`, `validate_${phase}(msg, ac, vctx)`),
  })
  assert.deepEqual(gate.diagnostics, [])
  const facts = session({ key: 'value' })
  const about = message(facts)
  return {
    verdict: await gate.policy.ask(phase, { session: facts, message: about }),
    about,
    facts,
    panics: gate.panics,
  }
}

test('fields and getters', async () => {
  const { panics } = await data(
    'print(msg.id, msg.conn_id, msg:mailfrom(), msg:rcptto(), msg:get_message_size(), msg:reception_peer(), msg:reception_peer("ip"), msg:listener_addr("port"), msg.nothing)',
  )
  assert.deepEqual(panics, [
    '00/01-00001-00000002 00/00-00001-00000001 alice@from.example bob@here.example 1234 192.0.2.7:40123 192.0.2.7 25 nil',
  ])
})

test('the context functions of msg', async () => {
  const { panics, facts } = await data(
    `print(msg:context_get(core.ECMESS_CTX_CONN, "key"), msg:context_get(core.ECMESS_CTX_MESS, "key"), msg:context_exists(core.ECMESS_CTX_CONN, "key"),
       msg:context_exists(core.ECMESS_CTX_CONN, "none"), msg:context_exists_and_get(core.ECMESS_CTX_CONN, "key"))
     print(msg:context_exists_and_get(core.ECMESS_CTX_CONN, "none"))
     msg:context_set(core.ECMESS_CTX_MESS, "made", "here")
     print(msg:context_delete(core.ECMESS_CTX_CONN, "key"), msg:context_delete(core.ECMESS_CTX_CONN, "key"))`,
  )
  assert.deepEqual(panics, ['value  1 0 1 value', '0 nil', '1 0'])
  assert.equal(facts.context.get('message', 'made'), 'here')
  assert.equal(facts.context.connection.has('key'), false)
})

test('a recipient’s copy has message keys of its own, and the connection’s keys are everybody’s', async () => {
  const facts = session()
  facts.context.set('message', 'rcptto_localpart', 'first')
  const copy = { ...message(facts), context: new ValidationContext() }
  copy.context.set('message', 'rcptto_localpart', 'second')
  const gate = await load({
    gate: callout(
      `print(vctx:get(core.VCTX_MESS, "rcptto_localpart"), msg:context_get(core.VCTX_MESS, "rcptto_localpart"))
       msg:context_set(core.VCTX_MESS, "own", "a") vctx:set(core.VCTX_MESS, "also", "b")
       msg:context_set(core.VCTX_CONN, "shared", "c")
       return core.VALIDATE_CONT`,
      'validate_data_spool_each_rcpt(msg, ac, vctx)',
    ),
  })
  await gate.policy.ask('data_spool_each_rcpt', { session: facts, message: copy })
  assert.deepEqual(gate.panics, ['second second'])
  assert.deepEqual(copy.context.snapshot('message'), { rcptto_localpart: 'second', own: 'a', also: 'b' })
  assert.deepEqual(facts.context.snapshot('message'), { rcptto_localpart: 'first' })
  assert.equal(facts.context.get('connection', 'shared'), 'c')
})

test('what is kept of a context has every key, whatever its name', () => {
  const context = new ValidationContext()
  for (const key of ['b', '__proto__', '1', 'constructor', '']) context.set('message', key, `value of ${key}`)
  const kept = context.snapshot('message')
  assert.deepEqual(kept, Object.fromEntries(context.message))
  assert.equal(Object.getPrototypeOf(kept), Object.prototype)
  assert.deepEqual(JSON.parse(JSON.stringify(kept)), kept)
})

test('header fields are read as a list and edited', async () => {
  const { panics, about } = await data(
    `print(#msg:header("x-tag"), msg:header("X-TAG")[1], msg:header("x-tag")[2], #msg:header("none"))
     msg:header("X-Tag", "new") msg:header("X-Top", "t", "prepend") msg:header("X-End", "one\\r\\nInjected: yes", "append") msg:header("Subject", "")`,
  )
  assert.deepEqual(panics, ['2 a b 0'])
  assert.equal(
    about.headers?.toBytes().toString('latin1'),
    'X-Top: t\r\nX-Tag: new\r\nX-End: one\r\n\tInjected: yes\r\n\r\n',
  )
})

test('header edits that make no sense are errors', async () => {
  for (const body of [
    'msg:header("bad name", "x")',
    'msg:header("X\\r\\nY", "x")',
    'msg:header("X", "x", "upward")',
    'msg:header()',
    'for i = 1, 1e4 do msg:header("X", ("x"):rep(1000), "append") end',
  ]) {
    assert.deepEqual((await data(body)).verdict, temporaryIssue, body)
  }
})

test('the envelope can be changed where Momentum allows it', async () => {
  const sender = await data(
    'msg:mailfrom("<carol@Other.Example>") print(msg:mailfrom()) msg:mailfrom("") print(msg:mailfrom() == "")',
  )
  assert.deepEqual(sender.panics, ['carol@other.example', 'true'])
  assert.equal(sender.about.sender, undefined)
  assert.deepEqual((await data('msg:rcptto("x@y.example")')).verdict, temporaryIssue)
  const recipient = await data('msg:rcptto("x@y.example")', 'data_spool_each_rcpt')
  assert.deepEqual(recipient.about.recipient, { local: 'x', domain: 'y.example' })
  for (const body of [
    'msg:rcptto("")',
    'msg:rcptto("no address")',
    'msg:mailfrom("a@b\\r\\nRCPT TO:<x@y>")',
    'msg:mailfrom(".@b")',
  ]) {
    assert.deepEqual((await data(body, 'data_spool_each_rcpt')).verdict, temporaryIssue, body)
  }
})

const discard = (text: string) => ({ kind: 'discard', text, module: 'scriptlet' })

test('discard keeps nothing unless a script refuses the message aloud', async () => {
  assert.deepEqual((await data('msg:discard()')).verdict, discard('550 5.7.0 discarded by policy'))
  assert.deepEqual((await data('msg:discard("554 5.7.1 spam")')).verdict, discard('554 5.7.1 spam'))
  assert.deepEqual(
    (await data('msg:discard("spam")')).verdict,
    discard('550 5.7.1 [internal] discarded by policy'),
  )
  assert.deepEqual(
    (await data('vctx:set_code(250, "2.0.0 fine") msg:discard()')).verdict,
    discard('550 5.7.0 discarded by policy'),
  )
  const refused = { kind: 'reply', code: 554, text: '5.7.1 no', module: 'scriptlet' }
  assert.deepEqual((await data('msg:discard() vctx:set_code(554, "5.7.1 no")')).verdict, refused)
})

test('before the message is there, and while a binding is chosen, less is possible', async () => {
  const facts = session()
  const early = { ...message(facts), headers: undefined }
  for (const body of ['msg:header("Subject")', 'msg:mailfrom("x@y.example")', 'msg:rcptto("x@y.example")']) {
    const gate = await load({
      gate: callout(`${body} return core.VALIDATE_CONT`, 'validate_rcptto(msg, str, ac, vctx)'),
    })
    assert.deepEqual(
      await gate.policy.ask('rcptto', { session: facts, message: early, line: '' }),
      temporaryIssue,
      body,
    )
  }
  for (const body of ['msg:discard()', 'msg:header("Subject", "x")']) {
    const gate = await load({
      gate: callout(`${body} return core.VALIDATE_CONT`, 'validate_set_binding(msg)'),
    })
    assert.deepEqual(
      await gate.policy.ask('set_binding', { session: facts, message: message(facts) }),
      temporaryIssue,
      body,
    )
  }
})

test('what is recognised and not built says so', async () => {
  for (const [body, name] of [
    ['msys.bounce.classify("a")', 'msys.bounce.classify'],
    ['msys.threadpool.count()', 'msys.threadpool.count'],
    ['curl.new()', 'curl.new'],
    ['local x = ac.inst', 'ac.inst'],
  ] as const) {
    const { verdict, panics } = await data(body)
    assert.deepEqual(verdict, temporaryIssue, body)
    assert.match(
      panics[0] ?? '',
      new RegExp(
        `gate\\.lua:\\d+: ${name.replaceAll('.', '\\.')} (?:is recognised but not implemented|cannot be set)`,
      ),
    )
  }
})
