/** Metrics and health over HTTP: equal to what happened, to the last one, and nothing that a client can do to them. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request as requestTls } from 'node:https'
import { connect, createServer } from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { ListenError } from '../../src/listener/listener.ts'
import type { Credential } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import { BoundedLabels, cleanLabel } from '../../src/web/bounded-labels.ts'
import { WebServer } from '../../src/web/server.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const CONF = `
ESMTP_Listener {
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.0.1:0" { Use_SSL = true TLS_Verify_Mode_Shadow = "require" }
  Listen "127.0.0.2:0" { Use_SSL = true TLS_Verify_Mode = "require" }
  Listen "127.0.0.3:0" { Require_TLS_Shadow = true }
}
HTTP_Listener {
  Allowed_Hosts = ( "Metrics.example" )
  Listen "127.0.0.1:0" { }
}
HTTP_Listener "tls" {
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verified_Peer_Is_Authorized = true
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "mod" { source = "mod.lua" } }
${MAILDIR}
`
const SCRIPT = `
require("msys.core")
local mod = {}
function mod:validate_mailfrom(line, ac, vctx)
  if line:find("refused", 1, true) then
    vctx:set_code(554, "5.7.1 no")
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("mod", mod)
`

let gate: TestGate
let pki: Pki

before(async () => {
  pki = await testPki()
  gate = await startTestGate({ pki, conf: CONF, files: { 'mod.lua': SCRIPT } })
})
after(() => gate.stop())

const urls = (): readonly string[] => gate.server.serviceAddresses.http

/** Every sample by its name with labels. */
async function samples(): Promise<ReadonlyMap<string, number>> {
  const response = await fetch(`http://${urls()[0]}/metrics`)
  assert.equal(response.status, 200)
  const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  )
}

/** The sum over all samples of a metric whose labels are among those given. */
function sum(all: ReadonlyMap<string, number>, name: string, labels = ''): number {
  return [...all]
    .filter(([key]) => (key === name || key.startsWith(`${name}{`)) && key.includes(labels))
    .reduce((total, [, value]) => total + value, 0)
}

async function session(listen: number, credential?: Credential): Promise<SmtpClient> {
  const identity = credential === undefined ? {} : { cert: credential.cert, key: credential.key }
  const client = await SmtpClient.connectTls(gate.address(listen), { maxVersion: 'TLSv1.2', ...identity })
  await client.reply()
  await client.command('EHLO client.example')
  return client
}

test('metrics are equal to what happened in a mixed run, to the last one', async () => {
  const { clients } = pki
  const runs: readonly (readonly [number, Credential | undefined, string])[] = [
    [0, undefined, 'good'],
    [0, clients.valid, 'good'],
    [0, clients.valid, 'refused'],
    [0, clients.expired, 'good'],
    [0, clients.untrusted, 'refused'],
    [1, clients.valid, 'good'],
    [1, clients.revoked, 'good'],
  ]
  for (const [listen, credential, sender] of runs) {
    const client = await session(listen, credential)
    const reply = await client.deliver(`${sender}@b.example`, 'x@gate.example', 'Subject: x\n\nhi\n')
    assert.match(reply, sender === 'good' ? /^250/ : /^554/)
    assert.match(await client.command('RCPT TO:<x@gate.example>'), /^503/)
    client.send('QUIT')
    await client.closed()
    client.destroy()
  }
  await assert.rejects(session(1), ConnectionLost)
  const open = await session(0)
  const of = (kind: string): number => gate.events.filter((event) => event.kind === kind).length
  const until = Date.now() + 20_000
  while ((of('delivery') < 5 || of('decision') < 8) && Date.now() < until)
    await new Promise((r) => setTimeout(r, 5))

  const all = await samples()
  const expected: readonly (readonly [name: string, labels: string, value: number])[] = [
    ['postern_sessions', '', 1],
    ['postern_sessions_total', '', 9],
    ['postern_receptions_total', 'protocol="esmtp"', 5],
    ['postern_receptions_total', 'tls="anonymous"', 1],
    ['postern_receptions_total', 'tls="unverified"', 1],
    ['postern_receptions_total', 'tls="verified"', 3],
    ['postern_delivery_attempts_total', 'outcome="delivered"', 5],
    ['postern_delivery_attempts_total', '', 5],
    ['postern_rejections_total', 'state="awaiting mailfrom",code="554"', 2],
    ['postern_rejections_total', 'code="503"', 7],
    ['postern_rejections_total', 'code="421"', 1],
    ['postern_rejections_total', '', 10],
    ['postern_tls_handshakes_total', 'mode="unset",outcome="anonymous"', 2],
    ['postern_tls_handshakes_total', 'mode="unset",outcome="verified"', 2],
    ['postern_tls_handshakes_total', 'mode="unset",outcome="unverified"', 2],
    ['postern_tls_handshakes_total', 'mode="require",outcome="verified"', 2],
    ['postern_tls_handshakes_total', 'mode="require",outcome="failed",listen="127.0.0.2:0"', 1],
    ['postern_tls_handshakes_total', '', 9],
    ['postern_tls_causes_total', 'outcome="unverified",cause="expired"', 1],
    ['postern_tls_causes_total', 'outcome="unverified",cause="untrusted"', 1],
    ['postern_tls_causes_total', 'outcome="failed"', 1],
    ['postern_tls_protocols_total', 'protocol="TLSv1.2",resumed="no"', 8],
    ['postern_tls_issuers_total', 'issuer="CN=Postern test CA",outcome="verified"', 4],
    ['postern_tls_issuers_total', '', 6],
    ['postern_tls_shadow_total', 'verdict="would-refuse",reason="no-certificate"', 1],
    ['postern_tls_shadow_total', 'reason="verified"', 2],
    ['postern_tls_shadow_total', 'reason="unverified"', 2],
    ['postern_tls_handshake_seconds_count', '', 9],
    ['postern_policy_seconds_count', 'phase="mailfrom"', 7],
    ['postern_queue_messages', '', 0],
    ['postern_spool_reserve_octets', '', 1024 ** 2],
    ['postern_panics_total', '', of('panic')],
  ]
  for (const [name, labels, value] of expected)
    assert.equal(sum(all, name, labels), value, `${name} ${labels}`)
  const received = gate.events.flatMap((event) => (event.kind === 'reception' ? [event.envelope.size] : []))
  assert.equal(
    sum(all, 'postern_received_octets_total'),
    received.reduce((a, b) => a + b, 0),
  )
  assert.ok(sum(all, 'postern_spool_free_octets') > 0)
  assert.ok(sum(all, 'postern_certificate_days_left', 'kind="server"') > 0)
  assert.ok(sum(all, 'process_resident_memory_bytes') > 0)
  open.destroy()
})

/** Everything that comes back until the end. */
async function raw(text: string, address = urls()[0] ?? ''): Promise<string> {
  const [host, port] = address.split(':')
  const socket = connect(Number(port), host)
  socket.write(text, 'latin1')
  let received = ''
  socket.on('data', (chunk: Buffer) => (received += chunk.toString('latin1')))
  socket.on('error', () => undefined)
  await new Promise((resolve) => socket.once('close', resolve))
  return received
}

describe('HTTP', () => {
  test('answers GET and HEAD of two paths, with headers that keep a browser calm', async () => {
    const base = `http://${urls()[0]}`
    const health = await fetch(`${base}/healthz?x=1`)
    assert.equal(await health.text(), 'ok\n')
    assert.match(health.headers.get('content-security-policy') ?? '', /default-src 'none'/)
    assert.equal(health.headers.get('x-content-type-options'), 'nosniff')
    const head = await fetch(`${base}/metrics`, { method: 'HEAD' })
    assert.equal(await head.text(), '')
    assert.match(head.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/)
    for (const at of ['/', '/metrics/', '/../etc/passwd', '/%6detrics', '//metrics', '/METRICS'])
      assert.equal((await fetch(base + at)).status, 404, at)
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const refused = await fetch(`${base}/metrics`, { method })
      assert.equal(refused.status, 405, method)
      assert.equal(refused.headers.get('allow'), 'GET, HEAD')
    }
  })

  test('one request per connection, and none that is malformed, too large or smuggled', async () => {
    const get = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\n'
    assert.equal((await raw(`${get}\r\n${get}\r\n`)).match(/HTTP\/1\.1/g)?.length, 1)
    assert.match(await raw('nonsense\r\n\r\n'), /^HTTP\/1\.1 400/)
    assert.match(await raw(`${get}X: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 4(?:00|31)/)
    assert.match(
      await raw(`${get}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`),
      /^HTTP\/1\.1 400/,
    )
    assert.match(await raw('GET /healthz HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400/)
    assert.equal(await raw('CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n'), '')
    assert.match(await raw(`${get}Expect: 100-continue\r\n\r\n`), /^HTTP\/1\.1 (?:100|200|417)/)
    assert.equal((await fetch(`http://${urls()[0]}/healthz`)).status, 200)
  })

  test('who asks by a name that is not ours is a page of a stranger, and gets nothing', async () => {
    const ask = async (version: string, ...hosts: string[]): Promise<string> => {
      const fields = hosts.map((host) => `Host: ${host}\r\n`).join('')
      return (await raw(`GET /metrics HTTP/${version}\r\n${fields}\r\n`)).split(' ')[1] ?? ''
    }
    const ours = ['localhost', 'LocalHost:8080', 'gate.example', 'Gate.Example.:1', '127.0.0.1:8080']
    const more = ['metrics.example', '192.0.2.9', '[::1]', '[2001:db8::1]:80']
    for (const host of [...ours, ...more]) assert.equal(await ask('1.1', host), '200', host)
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      'gate.example.evil.example:8080',
      'evil.example:127.0.0.1',
      '[evil.example]',
      '[::1',
      '127.0.0.1.evil.example',
      'x@localhost',
      '',
    ])
      assert.equal(await ask('1.1', host), '421', host)
    assert.equal(await ask('1.1', 'localhost', 'evil.example'), '421')
    assert.equal(await ask('1.0'), '200')
    const refused = await raw('GET /nothing HTTP/1.1\r\nHost: evil.example\r\n\r\n')
    assert.match(refused, /^HTTP\/1\.1 421 .*Allowed_Hosts/s)
  })

  test('who is slow, and who is one too many, is cut off', { timeout: 20_000 }, async (t) => {
    const server = new WebServer({
      pages: new Map(),
      onError: assert.fail,
      limits: { connections: 1, deadline: 80 },
    })
    const listener = createServer({ pauseOnConnect: true }, (socket) =>
      server.take(socket, {
        visitor: { kind: 'anybody' },
        byCertificate: false,
        names: 'any',
        scripts: false,
        place: '',
      }),
    ).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    t.after(() => listener.close())
    const { port } = listener.address() as { port: number }
    const slow = raw('GET / HT', `127.0.0.1:${port}`)
    const second = raw('GET / HTTP/1.1\r\nHost: x\r\n\r\n', `127.0.0.1:${port}`)
    assert.equal(await second, '')
    assert.doesNotMatch(await slow, /200/)
    // the server hears of the end a little later
    while (server.connections > 0) await new Promise((resolve) => setImmediate(resolve))
  })

  test('with TLS_Verified_Peer_Is_Authorized only a certificate that verifies is answered', async () => {
    const [host, port] = (urls()[1] ?? '').split(':')
    const status = (credential?: Credential): Promise<number> =>
      new Promise((resolve, reject) => {
        const identity = credential === undefined ? {} : { cert: credential.cert, key: credential.key }
        const options = { host, port, path: '/metrics', rejectUnauthorized: false, agent: false, ...identity }
        requestTls(options, (response) => {
          response.resume()
          response.once('close', () => resolve(response.statusCode ?? 0))
        })
          .once('error', reject)
          .end()
      })
    assert.equal(await status(pki.clients.valid), 200)
    for (const kind of ['untrusted', 'expired', 'wrongUsage'] as const)
      assert.equal(await status(pki.clients[kind as 'expired']), 403, kind)
    assert.equal(await status(), 403)
  })

  test('follows a reload, all or nothing', async () => {
    const other = await startTestGate({ conf: '' })
    const file = path.join(other.folder, 'gate.conf')
    const base = 'Spoolbase = "spool"\nSpool_Min_Free = 1M\n'
    assert.equal(other.server.serviceAddresses.http.length, 0)
    writeFileSync(file, `${base}HTTP_Listener { Listen "127.0.0.1:0" { } }\n`)
    await other.server.reload()
    const [address] = other.server.serviceAddresses.http
    assert.equal((await fetch(`http://${address}/healthz`)).status, 200)
    writeFileSync(file, `${base}HTTP_Listener { Listen "127.0.0.1:0" { } Listen "${urls()[0]}" { } }\n`)
    await assert.rejects(other.server.reload(), ListenError)
    assert.equal((await fetch(`http://${address}/healthz`)).status, 200)
    // the same port by another name: what is open stands in the way of what comes
    const port = address?.split(':')[1]
    writeFileSync(file, `${base}HTTP_Listener { Listen "127.0.0.1:${port}" { } }\n`)
    await other.server.reload()
    assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
    // what was closed to make room comes back when the rest fails
    writeFileSync(file, `${base}HTTP_Listener { Listen ":${port}" { } Listen "${urls()[0]}" { } }\n`)
    await assert.rejects(other.server.reload(), ListenError)
    assert.deepEqual([...other.server.serviceAddresses.http], [`127.0.0.1:${port}`])
    assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
    writeFileSync(file, base)
    await other.server.reload()
    await assert.rejects(fetch(`http://${address}/healthz`))
    await other.stop()
  })
})

describe('labels', () => {
  test('are clean, on one line and bounded in number', () => {
    const labels = new BoundedLabels(3)
    const values = ['a', 'b', 'a', 'c', 'd', 'e', 'b']
    assert.deepEqual(
      values.map((value) => labels.of(value)),
      ['a', 'b', 'a', 'c', 'other', 'other', 'b'],
    )
    assert.equal(cleanLabel('x\r\n\u001b[2J"\\\u202E'), 'x???[2J"\\?')
    assert.equal(cleanLabel('x'.repeat(500)).length, 128)
    assert.equal(cleanLabel(Buffer.from('bücher').toString('latin1')), 'bücher')
  })
})

test('mail in clear text is counted apart, and so is whom Require_TLS would refuse', async () => {
  const client = await SmtpClient.connect(gate.address(2))
  await client.reply()
  await client.command('EHLO client.example')
  assert.match(await client.deliver('good@b.example', 'x@gate.example', 'Subject: x\n\nhi\n'), /^250/)
  client.send('QUIT')
  await gate.event('decision', ({ outcome }) => outcome === 'plaintext')
  client.destroy()
  const all = await samples()
  assert.equal(sum(all, 'postern_receptions_total', 'protocol="esmtp",tls="plaintext"'), 1)
  const shadow = 'verdict="would-refuse",reason="no-tls",listen="127.0.0.3:0"'
  assert.equal(sum(all, 'postern_tls_shadow_total', shadow), 1)
})
