/** DKIM results, dictionaries that are walked by hand, and messages that scripts make: what they hold and refuse. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HeaderBlock } from '../../src/mail/headers.ts'
import { ValidationContext } from '../../src/policy/context.ts'
import type { MessageContent, MessageFacts, NewMail, SignatureFacts } from '../../src/policy/phases.ts'
import { errorsOf, prints } from './library.fixture.ts'
import { callout, load, message, session } from './scripts.fixture.ts'

const GOOD: SignatureFacts = {
  result: 'pass',
  reason: undefined,
  domain: 'bank.example',
  selector: 's1',
  algorithm: 'rsa-sha256',
  keyBits: 2048,
  identity: 'news@bank.example',
  canonicalization: 'relaxed/simple',
  headers: ['from', 'subject'],
}
const LOST: SignatureFacts = {
  result: 'neutral',
  reason: 'no key',
  domain: 'b.example',
  selector: undefined,
  algorithm: undefined,
  keyBits: undefined,
  identity: undefined,
  canonicalization: undefined,
  headers: undefined,
}

interface Done {
  readonly panics: readonly string[]
  readonly kind: string
  readonly sent: readonly NewMail[]
}

async function run(body: string, of: Partial<MessageFacts> = {}): Promise<Done> {
  const gate = await load({
    gate: callout(`${body}\nreturn core.VALIDATE_CONT`, 'validate_data(msg, ac, vctx)'),
  })
  const sent: NewMail[] = []
  const send = async (mail: NewMail): Promise<void> => {
    sent.push(mail)
  }
  const made = (): MessageFacts => ({
    id: '1',
    sender: undefined,
    recipient: undefined,
    size: 0,
    send,
    headers: new HeaderBlock(''),
    context: new ValidationContext(),
    content: contentOf(''),
  })
  const own = session()
  const facts = { ...message(own), content: contentOf('the body\r\n'), create: made, send, ...of }
  const { kind } = await gate.policy.ask('data', { session: own, message: facts })
  return { panics: gate.panics, kind, sent }
}

function contentOf(text: string): MessageContent {
  let body = text
  return {
    get body() {
      return body
    },
    fetch: () => Promise.resolve(),
    replace: (changed) => {
      body = changed
    },
  }
}

const DKIM = `require("opendkim.dkim") require("msys.validate.opendkim")
local dkim = msys.validate.opendkim
`

test('each signature says what it is, and the message what they come to', async () => {
  const { panics } = await run(
    `${DKIM}
    local found, status = dkim.verify(msg)
    print(status == opendkim.dkim.DKIM_STAT_OK, dkim.get_num_sigs(found))
    local lost, good = dkim.get_sig(found, 0), dkim.get_sig(found, 1)
    print(dkim.get_sig_domain(good), dkim.get_sig_selector(good), dkim.get_sig_signalg(good))
    print(dkim.get_sig_keysize(good), dkim.get_sig_canons(good), dkim.get_sig_flags(good), dkim.get_sig_errorstr(good))
    print(dkim.get_sig_identity(found, good), dkim.get_sig_identity(good), (dkim.get_sig_identity(lost)))
    print(dkim.get_sig_hdrsigned(good, "Subject"), dkim.get_sig_hdrsigned(good, "To"), (dkim.get_sig_hdrsigned(lost, "From")))
    print(dkim.get_sig_keysize(lost), dkim.get_sig_flags(lost), dkim.get_sig_errorstr(lost))
    print(dkim.get_sig_selector(lost))
    print(dkim.get_sig(found, 2))`,
    { signatures: [LOST, GOOD] },
  )
  assert.deepEqual(panics, [
    'true 2 0',
    'bank.example s1 rsa-sha256 0',
    '2048 relaxed/simple 38  0',
    'news@bank.example news@bank.example @b.example',
    'true false false',
    '0 2 no key 0',
    'nil 9',
    'nil 9',
  ])
})

async function status(signatures: readonly SignatureFacts[]): Promise<string | undefined> {
  const { panics } = await run(`${DKIM} print(select(2, dkim.verify(msg)))`, { signatures })
  return panics[0]
}

test('a message without signatures has none; one that fails or whose key is not to be had is not OK', async () => {
  assert.equal(await status([]), '2')
  assert.equal(await status([{ ...GOOD, result: 'fail' }]), '1')
  assert.equal(await status([LOST]), '3')
  assert.equal(await status([{ ...LOST, result: 'temperror', reason: undefined }]), '11')
  // a weak key, or a body that is signed in part
  assert.equal(await status([{ ...GOOD, result: 'policy' }]), '4')
})

test('where nobody looked at signatures, and with anything but a handle, DKIM is an error', async () => {
  const { panics } = await run(`${DKIM}
    local function say(...) print((select(2, pcall(...)):gsub("^gate.lua:%d+: ", ""))) end
    say(dkim.verify, msg)
    say(dkim.verify, {})
    say(dkim.get_sig, {}, 0)
    say(dkim.get_sig_domain, setmetatable({}, { __metatable = "DKIM_SIGINFO" }))
    say(dkim.sign, msg, vctx, {})`)
  assert.deepEqual(panics, [
    'msys.validate.opendkim.verify needs opendkim { validate = true }, and works from validate_data on',
    "bad argument #1 to 'msys.validate.opendkim.verify' (a message expected, got table)",
    "bad argument #1 to 'msys.validate.opendkim.get_sig' (what verify returned expected, got table)",
    "bad argument #1 to 'msys.validate.opendkim.get_sig_domain' (what get_sig returned expected, got table)",
    'msys.validate.opendkim.sign works from validate_data_spool_each_rcpt on',
  ])
})

test('a dictionary is walked from its first key to its last', async () => {
  assert.deepEqual(
    await prints(`
      local dict, found = { a = 1, b = 2 }, {}
      local iterator = core.dict_iter2(dict)
      repeat
        local rc, key, value = core.dict_next(dict, iterator)
        if rc != 0 then found[key] = value end
      until rc == 0
      print(found.a, found.b, core.dict_next(dict, iterator))
      core.dict_iter2_free(dict, iterator)
      print(pcall(core.dict_next, dict, iterator))`),
    [
      '1 2 0',
      "false bad argument #2 to 'msys.core.dict_next' (what dict_iter2 returned for this dictionary expected)",
    ],
  )
  assert.match(
    (await errorsOf(['msys.core.dict_iter2(1)']))['msys.core.dict_iter2(1)'] ?? '',
    /table expected, got number/,
  )
})

test('a message that a script makes is built and sent, and the one at hand stays as it is', async () => {
  const { panics, sent } = await run(`
    local new = core.ec_message_new(nil)
    new:build({ From = "Robot <robot@here.example>", Subject = "note" }, { ["text/plain"] = "seen" }, {})
    print(new:address_header("From", "domain")[1], new:mailfrom() == "", new:context_exists(core.VCTX_MESS, "k"))
    new:context_set(core.VCTX_MESS, "k", "v")
    print(msg:context_exists(core.VCTX_MESS, "k"), msys.type(new))
    print(new:inject("robot@here.example", "bob@here.example"))
    print(msg:header("Subject")[1], (msg:body()))`)
  assert.deepEqual(panics, [
    'here.example true 0',
    '0 ec_message',
    'true',
    'one the body\r\n'.replaceAll('\r\n', ' '),
  ])
  const [mail] = sent
  assert.equal(sent.length, 1)
  assert.deepEqual(mail?.headers.values('subject'), ['note'])
  assert.match(mail?.body ?? '', /^--.*\r\n[^]*seen/)
})

test('a made message answers nobody, is bounded in number and header, and ends with its callout', async () => {
  const { panics, kind } = await run(`
    local function say(...) print((select(2, pcall(...)):gsub("^gate.lua:%d+: ", ""))) end
    kept = core.ec_message_new()
    say(kept.discard, kept)
    say(kept.code, kept, 550, "no")
    say(function() kept.priority = 1 end)
    kept:header("X", string.rep("x", 200000))
    say(msg.header, msg, "X", string.rep("x", 100000))
    for i = 1, 19 do core.ec_message_new() end
    say(core.ec_message_new)`)
  assert.equal(kind, 'continue')
  assert.deepEqual(panics, [
    'msg:discard: a message that a script made is only sent by msg:inject',
    'msg:code: nobody is answered about a message that a script made',
    'msg: a message that a script made has no priority to set',
    'a callout may add at most 256 KiB to a header',
    'msys.core.ec_message_new: at most 20 messages in a callout',
  ])
  const gate = await load({
    gate: callout(
      'if kept then print(pcall(kept.header, kept, "X")) end kept = core.ec_message_new() return core.VALIDATE_CONT',
      'validate_data(msg, ac, vctx)',
    ),
  })
  for (let n = 0; n < 2; n++) {
    const own = session()
    const facts = { ...message(own), create: () => message(own) }
    await gate.policy.ask('data', { session: own, message: facts })
  }
  assert.deepEqual(gate.panics, ['false this msg belongs to a callout that has ended'])
})

test('a made message has no route of its own, and no signature that a script asks for', async () => {
  const gate = await load({
    gate: callout(
      `local new = core.ec_message_new()
      print(pcall(new.routing_domain, new, "x.example"))
      print(pcall(msys.validate.opendkim.sign, new, vctx, {}))
      return core.VALIDATE_CONT`,
      'validate_data_spool_each_rcpt(msg, ac, vctx)',
    ),
  })
  const own = session()
  const facts = { ...message(own), create: () => message(own) }
  await gate.policy.ask('data_spool_each_rcpt', { session: own, message: facts })
  assert.deepEqual(gate.panics, [
    'false msg: a message that a script made has no routing_domain to set',
    'false msys.validate.opendkim.sign: what a script made and sends is signed by the dkim_domain stanzas',
  ])
})

test('no message can be made before one has arrived', async () => {
  const text = 'msys.core.ec_message_new()'
  assert.deepEqual(await errorsOf([text]), { [text]: 'there is no message in this phase' })
})
