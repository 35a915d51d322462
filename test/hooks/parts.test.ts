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
    'for i = 1, 1001 do msg:makePart("text/plain", "x") end',
    'local s = ("x"):rep(2000000) for i = 1, 9 do msg:makePart("text/plain", s) end',
  ]) {
    assert.deepEqual((await run(body)).verdict, temporaryIssue, body)
  }
  const late = await run('msg:mime().parts[1]:header("X", "y")', { phase: 'set_binding' })
  assert.match(late.panics[0] ?? '', /cannot change the message in validate_set_binding/)
})
