/** A message's content and routing as Lua scripts see and change them. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MessageContent, MessageFacts } from '../../src/policy/phases.ts'
import { callout, load, message, session, temporaryIssue } from './scripts.fixture.ts'

class Content implements MessageContent {
  body: string | undefined
  readonly #later: string
  constructor(text: string) {
    this.#later = text.replaceAll('\n', '\r\n')
  }
  async fetch(): Promise<void> {
    await Promise.resolve()
    if (this.#later === 'broken') throw new Error('there is no memory to read the body now')
    this.body ??= this.#later
  }
  replace(body: string): void {
    if (body.includes('\0')) throw new RangeError('a body has no NUL')
    this.body = body
  }
}

async function run(
  body: string,
  of: {
    readonly header?: string
    readonly text?: string
    readonly phase?: 'data' | 'data_spool_each_rcpt' | 'set_binding'
  } = {},
) {
  const { header = 'Subject: x\r\n\r\n', text = 'hello world\n', phase = 'data' } = of
  const signature = phase === 'set_binding' ? 'validate_set_binding(msg)' : `validate_${phase}(msg, ac, vctx)`
  const gate = await load({ gate: callout(`${body}\nreturn core.VALIDATE_CONT`, signature) })
  assert.deepEqual(gate.diagnostics, [])
  const content = new Content(text)
  const facts: MessageFacts = { ...message(session(), header), content, batchId: 'batch' }
  const verdict = await gate.policy.ask(phase, { session: session(), message: facts })
  return { verdict, panics: gate.panics, content, facts }
}

const shown = async (...args: Parameters<typeof run>): Promise<readonly string[]> => {
  const { verdict, panics } = await run(...args)
  assert.deepEqual(verdict, { kind: 'continue' }, panics.join('\n'))
  return panics
}

test('body and raw are read, in the middle of anything that can wait', async () => {
  assert.deepEqual(await shown('print(#msg:body(), select(2, msg:raw()))'), ['13 27'])
  assert.deepEqual(await shown('print(pcall(function() return (msg:body():gsub("\\r\\n", "|")) end))'), [
    'true hello world|',
  ])
  const failed = await run('msg:body()', { text: 'broken' })
  assert.deepEqual(failed.verdict, temporaryIssue)
  assert.match(failed.panics[0] ?? '', /gate\.lua:\d+: msg:body: there is no memory/)
})

test('body and raw are set', async () => {
  const one = await run('msg:body("new\\r\\n.\\r\\n")')
  assert.equal(one.content.body, 'new\r\n.\r\n')
  const two = await run('print(msg:raw("X: y\\nSubject: z\\n\\nbody\\n"))')
  assert.deepEqual(two.panics, ['X: y Subject: z body  26'])
  assert.deepEqual(two.facts.headers?.values('subject'), ['z'])
  assert.equal(two.content.body, 'body\r\n')
  for (const body of ['msg:raw("no header")', 'msg:body("a\\0b")']) {
    assert.deepEqual((await run(body)).verdict, temporaryIssue, body)
  }
  const bound = await run('msg:body("x")', { phase: 'set_binding' })
  assert.deepEqual(bound.verdict, temporaryIssue)
  assert.equal(bound.content.body, undefined)
})

test('patterns: match gives groups or false, replace tells whether there was a match', async () => {
  assert.deepEqual(
    await shown(`local m = msg:body_match("(?<first>h\\\\w+) (\\\\w+)")
      print(m[0], m[1], m[2], m.first, msg:body_match("nothing"), msg:raw_match("Subject: (.)")[1])
      print(msg:body_replace("o", "0"), msg:body_replace("nothing", "x"), msg:body():sub(1, -3))`),
    ['hello world hello world hello false x', 'true false hell0 w0rld'],
  )
  assert.deepEqual((await run('msg:body_match("(")')).verdict, temporaryIssue)
})

const alternative = {
  header: 'Content-Type: multipart/alternative; boundary=b\r\n\r\n',
  text: `--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

caf=E9
--b
Content-Type: text/html

<p>x</p>
--b
Content-Type: image/png
Content-Transfer-Encoding: base64

eA==
--b--
`,
}

test('text is decoded to UTF-8: one text, a table of several, nil without any', async () => {
  assert.deepEqual(await shown('print(msg:text():sub(1, -3))'), ['hello world'])
  assert.deepEqual(
    await shown('local t = msg:text() print(#t, t[1] == "caf\\195\\169", t[2])', alternative),
    ['2 true <p>x</p>'],
  )
  const image = { header: 'Content-Type: image/png\r\n\r\n', text: 'x\n' }
  assert.deepEqual(await shown('print(msg:text())', image), ['nil'])
})

test('text is replaced in its own charset and encoding', async () => {
  const { content, panics } = await run('print(msg:text_replace("caf(.+)", "th$1"))', alternative)
  assert.deepEqual(panics, ['true'])
  assert.match(content.body ?? '', /quoted-printable\r\n\r\nth=E9\r\n--b/)
  assert.match(content.body ?? '', /<p>x<\/p>\r\n--b\r\nContent-Type: image\/png/)
  const impossible = await run('msg:text_replace("caf", "\\226\\130\\172")', alternative)
  assert.deepEqual(impossible.verdict, temporaryIssue)
  const plain = await run('msg:text_replace("world", "w\\195\\182rld")')
  assert.deepEqual(plain.facts.headers?.values('content-transfer-encoding'), ['quoted-printable'])
  assert.equal(plain.content.body, 'hello w=C3=B6rld\r\n')
})

test('a text that takes the place of nothing has lines of its own, and none ends the container of its part', async () => {
  const header = 'Content-Type: multipart/mixed; boundary=b\r\n\r\n'
  const text = '--b\n--b\nX: y\n--b\n\nkept\n--b--\n'
  const { content } = await run('msg:text_replace("^$", "new")', { header, text })
  assert.equal(content.body, '--b\r\n\r\nnew\r\n--b\r\nX: y\r\n\r\nnew\r\n--b\r\n\r\nkept\r\n--b--\r\n')
  const ended = await run('msg:text_replace("kept", "x\\r\\n--b--\\r\\n")', { header, text })
  assert.deepEqual(ended.verdict, temporaryIssue)
  assert.equal(ended.content.body, text.replaceAll('\n', '\r\n'))
})

test('text sets the whole body, its type and its encoding', async () => {
  const { facts, content } = await run('msg:text("gr\\195\\188n", "text/html", "iso-8859-1")')
  assert.deepEqual(facts.headers?.values('content-type'), ['text/html; charset=iso-8859-1'])
  assert.equal(content.body, 'gr=FCn')
  for (const body of ['msg:text("x", "no type")', 'msg:text("x", "text/plain", "no\\r\\nsuch")']) {
    assert.deepEqual((await run(body)).verdict, temporaryIssue, body)
  }
})

test('the MIME tree is walked and read, part by part', async () => {
  assert.deepEqual(
    await shown(
      `local part, seen = msg:mime(true), 0
       print(part.parts[2].parent == part, #part.parts, part:content_type().mimetype)
       part = part.thread
       while part ~= nil do
         local ct = part:content_type()
         print(ct.mimetype, ct.charset, ct.encoding, part:header("Content-Type")[1], part:text() ~= nil)
         part = part.thread
       end
       local html = msg:mime().parts[2]
       print(html:body_match("<(.)>")[1], html:raw_match("nothing"), html:body())`,
      alternative,
    ),
    [
      'true 3 multipart/alternative',
      'text/plain iso-8859-1 quoted-printable text/plain; charset=iso-8859-1 true',
      'text/html  7bit text/html true',
      'image/png  base64 image/png false',
      'p false <p>x</p>',
    ],
  )
  const gone = await run('local p = msg:mime().parts[1] msg:body("x") p:body()', alternative)
  assert.deepEqual(gone.verdict, temporaryIssue)
  assert.deepEqual((await run('msg:mime().text({})', alternative)).verdict, temporaryIssue)
})

test('envelope, addresses, code and routing', async () => {
  const each = {
    phase: 'data_spool_each_rcpt',
    header: 'To: A <a+b@c.example>, d@e.example\r\n\r\n',
  } as const
  assert.deepEqual(
    await shown(
      `local lp, dom = msys.core.string_new(), msys.core.string_new()
       msg:get_envelope2(core.EC_MSG_ENV_FROM, lp, dom)
       print(tostring(lp), tostring(dom))
       msg:get_envelope2(core.EC_MSG_ENV_TO + core.EC_MSG_ENV_COMPLETE, lp)
       print(tostring(lp), msg.batch_id, msg:get_delivery_method(), msg:is_mcmt())
       print(table.concat(msg:address_header("To"), " "), msg:address_header("to", "detail")[1])
       print(msg:binding(), msg:routing_domain(), msg:routing_domain("Relay.Example"))`,
      each,
    ),
    [
      'alice from.example',
      'bob@here.example batch smtp false',
      'a+b@c.example d@e.example b',
      'default here.example relay.example',
    ],
  )
  assert.equal((await run('msg:routing_domain("r.example")', each)).facts.routingDomain, 'r.example')
  assert.deepEqual((await run('msg:code("550", "5.7.1 spam")')).verdict, {
    kind: 'reply',
    code: 550,
    text: '5.7.1 spam',
    module: 'scriptlet',
  })
  assert.deepEqual(
    await shown(
      'print(msg:binding("other"), msg:binding_group("other"), msg:binding("default"), msg:binding_group())',
      { phase: 'set_binding' },
    ),
    ['nil nil default default'],
  )
  for (const body of [
    'msg:routing_domain("r.example")',
    'msg:get_envelope2(3)',
    'msg:address_header("To", "middle")',
    'msg:code(0, "no code")',
    'msg:binding("default")',
    'msg:binding_group("default")',
  ]) {
    assert.deepEqual((await run(body)).verdict, temporaryIssue, body)
  }
  assert.deepEqual((await run('msg:routing_domain("a b")', each)).verdict, temporaryIssue)
})

test('priority is 0 until a script says 1', async () => {
  assert.deepEqual(await shown('print(msg.priority) msg.priority = 1 print(msg.priority)'), ['0', '1'])
  const urgent = await run('msg.priority = 1', { phase: 'set_binding' })
  assert.equal(urgent.facts.priority, 1)
  assert.deepEqual((await run('msg.priority = 2')).verdict, temporaryIssue)
})
