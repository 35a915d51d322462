/** Scripts that change the tree of a message's parts. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MessageContent, MessageFacts } from '../../src/policy/phases.ts'
import { callout, load, message, session, temporaryIssue } from './scripts.fixture.ts'

const HEADER = 'Subject: x\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
const PLAIN =
  'Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ngr=FCn'
const HTML = 'Content-type:   text/html\r\n\r\n<p>x</p>\t '
const BODY = `pre\r\n--b \r\n${PLAIN}\r\n--b\r\n${HTML}\r\n--b--\r\npost\r\n`

async function run(
  body: string,
  of: { readonly text?: string; readonly header?: string; readonly phase?: 'set_binding' } = {},
) {
  const { text = BODY, header = HEADER, phase = 'data' } = of
  const signature = phase === 'data' ? 'validate_data(msg, ac, vctx)' : 'validate_set_binding(msg)'
  const gate = await load({ gate: callout(`${body}\nreturn core.VALIDATE_CONT`, signature) })
  let now: string | undefined
  const content: MessageContent = {
    get body() {
      return now
    },
    fetch: async () => {
      now ??= text
    },
    replace: (changed) => {
      if (changed.includes('\0')) throw new RangeError('a body has no NUL')
      now = changed
    },
  }
  const facts: MessageFacts = { ...message(session(), header), content }
  const verdict = await gate.policy.ask(phase, { session: session(), message: facts })
  return { verdict, panics: gate.panics, body: now ?? '', facts }
}

async function changed(body: string, of?: Parameters<typeof run>[1]) {
  const done = await run(body, of)
  assert.deepEqual(done.verdict, { kind: 'continue' }, done.panics.join())
  return done
}

function part(text: string): string {
  return `Content-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\n${text}`
}

test('parts are put in at each place, and taken out; the others stay octet for octet', async () => {
  const { body, panics } = await changed(`
    local top = msg:mime(false)
    local plain, html = top.parts[1], top.parts[2]
    print(top:addLastChild(msg:makePart("text/plain", "last")), top:addFirstChild(msg:makePart("text/plain", "first")))
    msg:makePart("text/plain", "between"):insertAfter(plain)
    local gone = msg:makePart("text/plain", "gone")
    gone:insertBefore(plain)
    print(#top.parts, top.parts[2] == gone, top.parts[3] == plain, gone.parent == top, top.parts[4].thread == html)
    gone:unlink()
    print(#top.parts, gone.parent, html:text(), plain:addLastChild(gone))`)
  assert.deepEqual(panics, ['true true', '6 true true true true', '5 nil <p>x</p>   false'])
  const line = '\r\n--b\r\n'
  assert.equal(
    body,
    `pre\r\n--b \r\n${[part('first'), PLAIN, part('between'), HTML, part('last')].join(line)}\r\n--b--\r\npost\r\n`,
  )
})

test('a container is made, filled and put in', async () => {
  const { body, panics } = await changed(`
    local box = msg:makeContainer("multipart/alternative")
    box:addLastChild(msg:makePart("text/plain", "a"))
    box:addLastChild(msg:makePart("application/x", "aGk=", core.EC_MIME_TE_BASE64))
    msg:mime():addLastChild(box)
    print(#box.parts, box.parts[2]:content_type().encoding, box:header("Content-Type")[1])
    print(msg:makeBoundary() ~= msg:makeBoundary())`)
  const [, boundary = ''] =
    /^2 base64 multipart\/alternative; boundary="(=_[\w-]{24})"$/.exec(panics[0] ?? '') ?? []
  assert.ok(body.includes(`\r\n--${boundary}\r\nContent-Type: application/x\r\n`), panics.join())
  assert.ok(body.endsWith(`aGk=\r\n--${boundary}--\r\n\r\n--b--\r\npost\r\n`))
  assert.equal(panics[1], 'true')
})

test('a part is edited: header, text in its own charset, content, the whole of it', async () => {
  const { body } = await changed(`
    local plain, html = msg:mime().parts[1], msg:mime().parts[2]
    print(plain:text_replace("gr(.*)n", "bl\\195\\164u"))
    plain:header("X-Seen", "yes")
    print(html:body_replace("<p>", "<b>"), html:raw_replace("text/html", "text/xml"), html:raw_replace("none", "x"))`)
  assert.ok(body.includes('quoted-printable\r\nX-Seen: yes\r\n\r\nbl=E4u\r\n--b\r\n'), body)
  assert.ok(body.includes('--b\r\nContent-type:   text/xml\r\n\r\n<b>x</p>\t \r\n--b--\r\npost'), body)
  const text = await changed(`
    local html = msg:mime().parts[2]
    html:header("Content-Type", nil)
    html:text("gr\\195\\188n", "text/plain", "utf-8")
    print(html:text(), #html:header("Content-Type"))`)
  assert.deepEqual(text.panics, ['gr\xc3\xbcn 1'])
  assert.ok(text.body.includes(`\r\n${PLAIN}\r\n--b\r\n`))
  const whole = await changed('msg:mime():body_replace("hello", "bye") msg:mime():header("X-A", "b")', {
    header: 'Subject: x\r\n\r\n',
    text: 'hello\r\n',
  })
  assert.equal(whole.body, 'bye\r\n')
  assert.deepEqual(whole.facts.headers?.values('x-a'), ['b'])
})

test('a part stays itself when texts are replaced elsewhere, and is gone when the message has other parts', async () => {
  const { panics } = await changed(`
    local html = msg:mime().parts[2]
    msg:text_replace("x", "y")
    print(html:text())
    msg:body("nothing")
    print(pcall(html.text, html))`)
  assert.equal(panics[0], '<p>y</p>  ')
  assert.match(panics[1] ?? '', /^false .*this part is gone: the message was changed/)
})

test('a message is built of alternatives and attachments, and what brought it here stays in its header', async () => {
  const { body, facts, panics } = await changed(
    `msg:build(
      { Subject = "new", From = "a@b.example", ["MIME-Version"] = "1.0" },
      { ["text/html"] = "<p>gr\\195\\188n</p>", ["text/plain"] = "a = b\\nc", ["text/plain; charset=utf-8"] = "gr\\195\\188n" },
      { { type = "text/csv", name = "./a,b.csv", headers = "X-One: 1\\r\\nX-Two: 2", content = "a;b\\r\\n" },
        { type = "application/x", name = "raw", content = msys.core.string_new() },
        { content = msg } })
    local top = msg:mime()
    for i, part in ipairs(top.parts[1].parts) do
      print(part:header("Content-Type")[1], part:header("Content-Transfer-Encoding")[1], (part:text():gsub("\\r\\n", "|")))
    end
    for i = 2, #top.parts do
      local part = top.parts[i]
      print(part:content_type().mimetype, part:content_type().filename, table.concat(part:header("X-Two")))
    end
    print(top.parts[4]:body())`,
    { header: 'Received: from one\r\n\tby two\r\nSubject: old\r\n\r\n', text: 'old\r\n' },
  )
  assert.deepEqual(panics, [
    'text/plain quoted-printable a = b|c',
    'text/plain; charset=utf-8 base64 gr\xc3\xbcn',
    'text/html quoted-printable <p>gr\xc3\xbcn</p>',
    'text/csv a,b.csv 2',
    'application/x raw ',
    'message/rfc822 Attached Message ',
    'Received: from one by two Subject: old old ',
  ])
  const header = facts.headers?.toBytes().toString('latin1') ?? ''
  assert.match(
    header,
    /^Received: from one\r\n\tby two\r\nFrom: a@b\.example\r\nSubject: new\r\nMIME-Version: 1\.0\r\nContent-Type: multipart\/mixed; boundary="[^"]+"\r\n\r\n$/,
  )
  assert.match(
    body,
    /^--(\S+)\r\nContent-Type: multipart\/alternative; boundary="\S+"\r\n\r\n--[^]*\r\n--\1--\r\n$/,
  )
})

test('a large message that is built is base64 throughout', async () => {
  const { panics } = await changed(`msg:build({}, { ["text/plain"] = ("x"):rep(1100000) })
    local part = msg:mime().parts[1].parts[1]
    print(part:header("Content-Transfer-Encoding")[1], #part:text())`)
  assert.deepEqual(panics, ['base64 1100000'])
})

test('what cannot be is an error of the script', async () => {
  for (const body of [
    'msg:mime():unlink()',
    'msg:mime().parts[1]:insertAfter(msg:mime())',
    'msg:mime().parts[1]:insertAfter({})',
    'msg:makePart("text/plain", "gr\\252n")',
    'msg:makePart("text/plain", "no base64!", core.EC_MIME_TE_BASE64)',
    'msg:makePart("text", "x")',
    'msg:makePart("text/plain", "x", 9)',
    'msg:makeContainer("text/plain")',
    'msg:makeContainer("multipart/mixed", "a\\r\\nb")',
    'msg:mime().parts[1]:body("x\\r\\n--b--\\r\\n")',
    'msg:mime().parts[1]:raw("x")',
    'msg:mime().parts[1]:header("a b", "x")',
    'msg:build()',
    'msg:build({ Subject = "x" }, {})',
    'msg:build({ Subject = "gr\\195\\188n" }, { ["text/plain"] = "x" })',
    'msg:build({ Subject = "x\\r\\nBcc: y" }, { ["text/plain"] = "x" })',
    'msg:build({ ["a b"] = "x" }, { ["text/plain"] = "x" })',
    'msg:build({ ["Content-Type"] = "text/plain" }, { ["text/plain"] = "x" })',
    'msg:build({ "x" }, { ["text/plain"] = "x" })',
    'msg:build({}, { ["text"] = "x" })',
    'msg:build({}, { ["multipart/mixed"] = "x" })',
    'msg:build({}, { ["text/plain"] = {} })',
    'msg:build({}, {}, { { type = "a/b", name = "x" } })',
    'msg:build({}, {}, { { type = "a/b", content = "x" } })',
    'msg:build({}, {}, { { type = "a/b", name = "x\\"y", content = "x" } })',
    'msg:build({}, {}, { { type = "a/b", name = "x", headers = "no field", content = "x" } })',
    'local t = {} for i = 1, 501 do t["X-" .. i] = "x" end msg:build(t, { ["text/plain"] = "x" })',
    'for i = 1, 1001 do msg:makePart("text/plain", "x") end',
    'local s = ("x"):rep(2000000) for i = 1, 9 do msg:makePart("text/plain", s) end',
  ]) {
    assert.deepEqual((await run(body)).verdict, temporaryIssue, body)
  }
  const built = await run('msg:build({}, { ["text/plain"] = "x" })', { phase: 'set_binding' })
  assert.match(built.panics[0] ?? '', /msg:build cannot change the message in validate_set_binding/)
  const late = await run('msg:mime().parts[1]:header("X", "y")', { phase: 'set_binding' })
  assert.match(late.panics[0] ?? '', /cannot change the message in validate_set_binding/)
})
