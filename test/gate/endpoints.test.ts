/** Endpoints of HTTP that scripts register: where they are, what they get, and what they cannot do. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const CONF = `
HTTP_Listener "plain" { Listen "127.0.0.1:0" { } }
HTTP_Listener "scripts" {
  Script_Endpoints = true
  Listen "127.0.0.2:0" { }
  Listen "127.0.0.3:0" { Script_Endpoints = false }
}
scriptlet "scriptlet" { script "mod" { source = "mod.lua" } script "greeter" { source = "greeter.lua" } }
${MAILDIR}
`
const SCRIPT = String.raw`
require("msys.core")
require("msys.httpsrv")
require("msys.extended.httpsrv")
local mod = {}
local kept
local function hello(session)
  local url = session:request_url_get()
  local names = {}
  for name, value in pairs(url.attrs or {}) do names[#names + 1] = name .. "=" .. value end
  table.sort(names)
  session:response_status_set_std(201, url.url .. " says hello: " .. table.concat(names, ";"), "text/html")
end
local function refused(...)
  local ok, problem = pcall(msys.httpsrv.register, ...)
  print(ok and "registered" or problem)
end
function mod:rsrc_setup()
  msys.httpsrv.register("GET", "/hello/", hello)
  msys.httpsrv.register("POST", "/hello", function(session) session:response_status_set_std(202, "posted") end)
  msys.httpsrv.register(nil, "/any", function(session) kept = session return msys.httpsrv.DONE end)
  msys.httpsrv.register("GET", "/kept", function() return kept:request_url_get() end)
  msys.httpsrv.register("GET", "/fail", function() error("no such thing") end)
  msys.httpsrv.register("GET", "/loop", function() while true do end end)
  msys.httpsrv.register("GET", "/header", function(session)
    session:response_status_set_std(200, "x", "text/plain\r\nSet-Cookie: a=b")
  end)
  msys.httpsrv.register("GET", "/flood", function(session) session:response_status_set_std(200, ("x"):rep(1048577)) end)
  msys.httpsrv.register("GET", "/odd", function(session) session:response_status_set_std(99, "x") end)
  msys.httpsrv.register("GET", "/empty", function(session) session:response_status_set_std(204, "ignored") end)
  msys.httpsrv.register("GET", "/octets", function(session) session:response_status_set_std(200, "\255\0\n", "a/b") end)
  msys.httpsrv.register("GET", "/sleep", function(session) msys.sleep(0.2) session:response_status_set_std(200, "rested") end)
  msys.httpsrv.register("GET", "/wait", function(session) print("waiting") msys.sleep(300) end)
  refused("GET", "/hello", hello)
  refused("TRACE", "/x", hello)
  refused("GET", "x", hello)
  refused("GET", "/x?y", hello)
  refused("GET", "/metrics/", hello)
  refused("GET", "/x", "hello")
  return true
end
msys.registerModule("mod", mod)
`

const page = readFileSync(path.join(import.meta.dirname, '..', '..', 'docs', 'metrics.md'), 'utf8')
const GREETER = /```lua\n([^]*?)```/.exec(page)?.[1] ?? ''

let gate: TestGate
before(async () => {
  gate = await startTestGate({
    pki: await testPki(),
    conf: CONF,
    files: { 'mod.lua': SCRIPT, 'greeter.lua': GREETER },
  })
})
after(() => gate.stop())

const place = (address: string): string =>
  gate.server.serviceAddresses.http.find((each) => each.startsWith(address)) ?? ''
const at = (target: string): string => `http://${place('127.0.0.2')}${target}`
const ask = async (target: string, init: RequestInit = {}): Promise<string> => {
  const response = await fetch(at(target), init)
  return `${response.status} ${await response.text()}`
}

describe('msys.httpsrv.register', () => {
  test('a function answers its path and method, with a slash at the end or without', async () => {
    assert.equal(await ask('/hello'), '201 /hello says hello: ')
    assert.equal(
      await ask('/hello/?b=2&a=%41+b&a=c%&=&x'),
      '201 /hello/?b=2&a=%41+b&a=c%&=&x says hello: =;a=c%;b=2;x=',
    )
    assert.equal(await ask('/hello', { method: 'POST', body: 'x'.repeat(100_000) }), '202 posted')
    assert.equal(await ask('/hello', { method: 'HEAD' }), '201 ')
    const wrong = await fetch(at('/hello'), { method: 'DELETE' })
    assert.equal(wrong.status, 405)
    assert.equal(wrong.headers.get('allow'), 'GET, POST, HEAD')
    for (const method of ['GET', 'PUT', 'DELETE']) assert.equal(await ask('/any', { method }), '200 ')
    assert.equal((await fetch(at('/hello/more'))).status, 404)
    assert.equal((await fetch(at('/metrics'))).status, 200)
  })

  test('the example of docs/metrics.md', async () => {
    assert.equal(await ask('/greet'), '200 hello you\n')
    assert.equal(await ask('/greet?name=ann%20%c3%a9'), '200 hello ann é\n')
  })

  test('it is there only where Script_Endpoints says so', async () => {
    for (const address of ['127.0.0.1', '127.0.0.3'])
      assert.equal((await fetch(`http://${place(address)}/hello`)).status, 404)
  })

  test('a script that fails, or loops, or says what cannot be sent is a 500, and the panic log has the reason', async () => {
    for (const [target, reason] of [
      ['/fail', /GET \/fail error: mod\.lua:\d+: no such thing/],
      ['/loop', /GET \/loop error: .*(?:budget|CPU|too long)/i],
      ['/header', /GET \/header error: .*a type is written as/],
      ['/flood', /GET \/flood error: .*at most 1048576 octets/],
      ['/odd', /GET \/odd error: .*#1 to .*from 200 to 599/],
      ['/kept', /GET \/kept error: .*the request of this session is over/],
    ] as const) {
      if (target === '/kept') await ask('/any')
      const response = await fetch(at(target))
      assert.equal(response.status, 500, target)
      assert.equal(response.headers.get('set-cookie'), null)
      assert.doesNotMatch(await response.text(), /mod\.lua/)
      assert.ok(
        panics().some((text) => reason.test(text)),
        `${target}: ${panics().at(-1)}`,
      )
    }
  })

  test('what it answers is sent as it is, with headers that keep a browser from running it', async () => {
    const response = await fetch(at('/octets'))
    assert.deepEqual([...new Uint8Array(await response.arrayBuffer())], [255, 0, 10])
    assert.equal(response.headers.get('content-type'), 'a/b')
    assert.equal(response.headers.get('x-content-type-options'), 'nosniff')
    assert.match(response.headers.get('content-security-policy') ?? '', /default-src 'none'/)
    assert.equal(await ask('/empty'), '204 ')
  })

  test('what cannot be registered says why', () => {
    const said = panics().filter((text) => /^(?:the|an) endpoint|^\/metrics|^bad argument/.test(text))
    assert.equal(said.length, 6, said.join('\n'))
    assert.ok(!panics().includes('registered'))
  })

  test('a script may wait; when its client leaves meanwhile it ends there, and nobody is told', async () => {
    const [address = '', port] = place('127.0.0.2').split(':')
    const waits = async (): Promise<ReturnType<typeof connect>> => {
      const seen = panics().filter((text) => text === 'waiting').length
      const client = connect(Number(port), address)
      client.write('GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n')
      while (panics().filter((text) => text === 'waiting').length === seen)
        await new Promise((r) => setTimeout(r, 2))
      return client
    }
    const told = panics().length
    // more than may be under way at once: only those who left can have made room
    for (let i = 0; i < 70; i += 1) {
      const client = await waits()
      if (i % 2 === 0) client.destroy()
      else client.resetAndDestroy()
    }
    assert.deepEqual(new Set(panics().slice(told)), new Set(['waiting']))
    const socket = connect(Number(port), address)
    socket.write('GET /sleep HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await once(socket, 'connect')
    socket.destroy()
    assert.equal(await ask('/sleep'), '200 rested')
  })

  test('a request line that is no path of ours reaches no script', async () => {
    const [address = '', port] = place('127.0.0.2').split(':')
    for (const line of ['GET http://x/hello HTTP/1.1', 'GET /hello\u0000 HTTP/1.1', 'GET //hello HTTP/1.1']) {
      const socket = connect(Number(port), address)
      socket.setEncoding('latin1')
      let text = ''
      socket.on('data', (chunk: string) => (text += chunk))
      socket.end(`${line}\r\nHost: localhost\r\n\r\n`)
      await once(socket, 'close')
      assert.match(text, /^HTTP\/1\.1 40[04] /, line)
    }
  })
})

function panics(): string[] {
  return gate.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
}
