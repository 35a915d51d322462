/** msys.dnsLookup and msys.http.client: answers, failures, bounds. */

import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { fixedServers } from '../../src/dns/name-servers.ts'
import { DnsRecords } from '../../src/dns/records.ts'
import { StubResolver } from '../../src/dns/stub-resolver.ts'
import { NodeHttp } from '../../src/policy/lua/lib/http-request.ts'
import { TestDnsServer } from '../support/dns-server.ts'
import { testPki } from '../support/test-ca.ts'
import { errorsOf, gateOf, MockRecords, prints } from './library.fixture.ts'
import { askMail, session, temporaryIssue } from './scripts.fixture.ts'

test('a look-up gives a list, MX by preference, or nil and a word', async () => {
  const records = new MockRecords({
    'A a.example': ['192.0.2.1', '192.0.2.2'],
    'TXT a.example': ['v=spf1 -all'],
    'MX a.example': [
      { value: 'mx1.example', preference: 10 },
      { value: 'mx2.example', preference: 20 },
    ],
    'NS broken.example': 'SERVFAIL',
  })
  assert.deepEqual(
    await prints(
      `print(table.concat(msys.dnsLookup("a.example"), " "), msys.dnsLookup("a.example", "TXT")[1])
       print(table.concat(msys.dnsLookup("a.example", "MX"), " "))
       local mx = msys.dnsLookup("a.example", "MX", { priority = true, server = "192.0.2.53" }) print(mx[1][1], mx[1][2], mx[2][1])
       print(msys.dnsLookup("nowhere.example", "AAAA")) print(msys.dnsLookup("broken.example", "NS")) print(msys.dnsLookup(""))
       print(msys.dnsLookup("a b"), msys.dnsLookup(("x"):rep(300)))`,
      { library: { records } },
    ),
    [
      '192.0.2.1 192.0.2.2 v=spf1 -all',
      'mx1.example mx2.example',
      '10 mx1.example 20',
      'nil NXDOMAIN',
      'nil SERVFAIL',
      'nil not a domain name',
      'nil nil not a domain name',
    ],
  )
  assert.equal(records.asked[3]?.server, '192.0.2.53')
  assert.equal(records.asked.length, 6)
})

test('a type that does not exist is an error, which ends the callout with 421 when nobody catches it', async () => {
  assert.deepEqual(
    await errorsOf(['msys.dnsLookup("a", "SRV")', 'msys.dnsLookup()', 'msys.dnsLookup("a", "A", 5)']),
    {
      'msys.dnsLookup("a", "SRV")':
        "bad argument #2 to 'msys.dnsLookup' (A, AAAA, TXT, MX, PTR, NS expected)",
      'msys.dnsLookup()': "bad argument #1 to 'msys.dnsLookup' (string expected, got no value)",
      'msys.dnsLookup("a", "A", 5)': "bad argument #3 to 'msys.dnsLookup' (table expected, got number)",
    },
  )
  const gate = await gateOf('msys.dnsLookup("a", "SRV")')
  assert.deepEqual(await askMail(gate), temporaryIssue)
})

test('a real name server: every type, reverse names of addresses, a server of the question’s own', async (t) => {
  const server = await TestDnsServer.start()
  t.after(() => server.close())
  server.zone = {
    'A mail.test': ['192.0.2.1'],
    'AAAA mail.test': ['2001:db8::1'],
    'MX mail.test': [
      { preference: 20, exchange: 'b.test' },
      { preference: 10, exchange: 'a.test' },
    ],
    'TXT mail.test': [['one ', 'two']],
    'NS mail.test': ['ns.test'],
    'PTR 1.2.0.192.in-addr.arpa': ['mail.test'],
    'PTR 1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa': ['six.test'],
  }
  const resolver = new StubResolver({ servers: fixedServers([server.address]), timeout: 500, rounds: 1 })
  const { address, port } = server.address
  assert.deepEqual(
    await prints(
      `for _, kind in ipairs({ "A", "AAAA", "MX", "TXT", "NS" }) do print(table.concat(msys.dnsLookup("mail.test", kind), " ")) end
       print(msys.dnsLookup("192.0.2.1", "PTR")[1], msys.dnsLookup("2001:db8::1", "PTR")[1], msys.dnsLookup("1.2.0.192.in-addr.arpa", "PTR")[1])
       print(msys.dnsLookup("none.test")) print(msys.dnsLookup("b.test", "TXT", { server = "${address}:${port}" }))
       print(msys.dnsLookup("mail.test", "A", { server = "nowhere" }))`,
      { library: { records: new DnsRecords(resolver) } },
    ),
    [
      '192.0.2.1',
      '2001:db8::1',
      'a.test b.test',
      'one two',
      'ns.test',
      'mail.test six.test mail.test',
      'nil NXDOMAIN',
      'nil NXDOMAIN',
      'nil "nowhere" is not the address of a server',
    ],
  )
})

// ---- HTTP ----------------------------------------------------------------------------------------------------

const requests: { method: string; url: string; body: string; headers: IncomingMessage['headers'] }[] = []

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const { method = '', url = '', headers } = request
  requests.push({ method, url, headers, body: Buffer.concat(chunks).toString('latin1') })
  if (url === '/redirect') response.writeHead(302, { location: '/elsewhere' }).end()
  else if (url === '/large') response.end(Buffer.alloc(1_048_577))
  else if (url === '/endless') response.write('x')
  else if (url === '/break') response.destroy()
  else response.writeHead(200, 'Fine', { 'x-one': '1', 'content-type': 'text/plain' }).end(`got ${method}`)
}

const { authority, server: credential } = await testPki()
const plain = createServer((request, response) => void answer(request, response))
const { cert, key } = credential
const secure = createTlsServer({ cert, key }, (request, response) => void answer(request, response))
let http = ''
let https = ''
before(async () => {
  await new Promise<void>((resolve) => plain.listen(0, '127.0.0.1', resolve))
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  http = `http://127.0.0.1:${(plain.address() as AddressInfo).port}`
  https = `https://localhost:${(secure.address() as AddressInfo).port}`
})
after(() => {
  plain.closeAllConnections()
  secure.closeAllConnections()
  plain.close()
  secure.close()
})

const client = 'local c = msys.http.client.new()'

test('a request and its response: status, headers, body', async () => {
  requests.length = 0
  assert.deepEqual(
    await prints(
      `${client} c:set_header("Content-Type: text/xml") c:set_header("X-Two: a") c:set_header("X-Two: b") c:set_timeout(5)
       print(c:do_request("POST", "${http}/path?q=1", "da\\0ta"), c:get_status())
       print(c:get_body(), c:parse_headers(c:get_headers())["x-one"], type(c:get_headers()[1]))
       c:set_header() print(c:do_request("GET", "${http}/"), c:get_body()) print(c:do_request("PUT", "${http}/"), c:do_request("DELETE", "${http}/"))
       print(c:do_request("GET", "${http}/redirect"), c:get_status())`,
    ),
    ['true 200 Fine', 'got POST 1 string', 'true got GET', 'true true', 'true 302 Found'],
  )
  const [post, get] = requests
  assert.equal(post?.url, '/path?q=1')
  assert.equal(post?.body, 'da\0ta')
  assert.equal(post?.headers['content-type'], 'text/xml')
  assert.equal(post?.headers['x-two'], 'a, b')
  assert.equal(get?.headers['x-two'], undefined)
  // no redirection is followed
  assert.equal(
    requests.some(({ url }) => url === '/elsewhere'),
    false,
  )
})

test('what fails gives nil and the reason: size, time, a broken or refused connection', async () => {
  const [large, endless, broken, refused, state] = await prints(
    `${client} print(c:do_request("GET", "${http}/large")) c:set_timeout(0.1) print(c:do_request("GET", "${http}/endless")) c:set_timeout()
     print(c:do_request("GET", "${http}/break")) print(c:do_request("GET", "http://127.0.0.1:1/")) print(c:get_status(), c:get_body())`,
  )
  assert.match(large ?? '', /^nil the response is longer than 1048576 octets$/)
  assert.match(endless ?? '', /^nil timeout$/)
  assert.match(broken ?? '', /^nil socket hang up$/)
  assert.match(refused ?? '', /^nil connect ECONNREFUSED/)
  assert.equal(state, 'nil nil')
})

test('https verifies the server, against the system’s roots unless a program brings its own', async () => {
  const ask = `${client} print(c:do_request("GET", "${https}/")) print(c:get_body())`
  const [untrusted] = await prints(ask)
  assert.match(untrusted ?? '', /^nil (?:unable to|self-signed|UNABLE)/)
  assert.deepEqual(await prints(ask, { library: { http: new NodeHttp(() => [authority.cert]) } }), [
    'true',
    'got GET',
  ])
  const other = ask.replace('localhost', '127.0.0.2')
  const [wrongName] = await prints(other, { library: { http: new NodeHttp(() => [authority.cert]) } })
  assert.match(wrongName ?? '', /^nil /)
})

test('mistakes are errors that name the function', async () => {
  const c = 'msys.http.client.new()'
  assert.deepEqual(
    Object.values(
      await errorsOf([
        `${c}:do_request("PATCH", "http://x/")`,
        `${c}:do_request("GET", "file:///etc/passwd")`,
        `${c}:do_request("GET")`,
        `${c}:do_request("POST", "http://x/", ("x"):rep(2e6))`,
        `${c}:set_header("no colon")`,
        `${c}:set_header("X: a\\r\\nY: b")`,
        `${c}:set_header("Content-Length: 5")`,
        `${c}:set_timeout(0)`,
        `${c}:parse_headers("x")`,
        `${c}.get_body({})`,
      ]),
    ),
    [
      "bad argument #1 to 'client:do_request' (GET, POST, PUT, DELETE expected)",
      "bad argument #2 to 'client:do_request' (an http or https URL expected)",
      "bad argument #2 to 'client:do_request' (string expected, got nil)",
      "bad argument #3 to 'client:do_request' (at most 1048576 octets)",
      'client:set_header: "Name: value" expected',
      'client:set_header: "Name: value" expected',
      'client:set_header: Content-Length is set by the client itself',
      "bad argument #1 to 'client:set_timeout' (seconds, more than 0 and at most 300)",
      "bad argument #1 to 'client:parse_headers' (table expected, got string)",
      "a http client expected; use ':' to call its methods",
    ],
  )
})

test('a request is broken off when its session ends', async () => {
  const gone = new AbortController()
  const closed = new Promise<void>((resolve) => {
    plain.once('request', (request: IncomingMessage) => request.socket.once('close', () => resolve()))
    plain.once('request', () => setImmediate(() => gone.abort()))
  })
  const gate = await gateOf(`${client} c:do_request("GET", "${http}/endless")`)
  assert.deepEqual(await askMail(gate, { ...session(), gone: gone.signal }), temporaryIssue)
  await closed
  assert.deepEqual(gate.panics, [])
})
