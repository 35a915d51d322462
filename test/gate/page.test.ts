/** The operators' page over HTTP: who gets in, what an attacker's page cannot do, and that it says what the console says. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { runCommand } from '../../src/console/commands.ts'
import { anonymousOperator } from '../../src/console/operator.ts'
import { dataOf } from '../../src/console/render.ts'
import type { Credential } from '../../src/tls/authority.ts'
import { cheapHash } from '../support/cheap-hash.ts'
import { PageClient, type PageReply } from '../support/page-client.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { issueClient, testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const CONF = `
ESMTP_Listener {
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Relay_Hosts = ( "127.0.0.0/8" )
  Listen "127.0.0.1:0" { Use_SSL = true TLS_Verify_Mode_Shadow = "require" }
  Listen "127.0.0.2:0" { Use_SSL = true TLS_Verify_Mode = "require" }
}
HTTP_Listener "page" {
  Page = true
  AuthLoginParameters [ uri = "file://FOLDER/users" ]
  Page_Operators = ( "alice" )
  Listen "127.0.0.1:0" { }
}
HTTP_Listener "certificates" {
  Page = true
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verified_Peer_Is_Authorized = true
  Page_Operators = ( "CN=client-valid.example" )
  Listen "127.0.0.1:0" { }
}
${MAILDIR}
`
const USERS = `alice:${cheapHash('scrypt', 'correct horse')}\nbob:battery staple\n`

let gate: TestGate

before(async () => {
  gate = await startTestGate({ pki: await testPki(), conf: CONF, files: { users: USERS } })
})
after(() => gate.stop())

interface ConfigurationNode {
  readonly title: string
  readonly path: string
  readonly options: readonly { readonly name: string; readonly value: string; readonly from: string }[]
  readonly children: readonly ConfigurationNode[]
}

const place = (index = 0): string => gate.server.serviceAddresses.http[index] ?? ''

async function loggedIn(user = 'alice', password = 'correct horse'): Promise<PageClient> {
  const client = new PageClient(place())
  const reply = await client.login(user, password)
  assert.equal(reply.status, 200, reply.text)
  return client
}

const operatorFacts = () => gate.events.filter((event) => event.kind === 'operator')

describe('the way in', () => {
  test('without a session there are the page’s own files and nothing of this server', async () => {
    const client = new PageClient(place())
    const page = await client.ask('')
    assert.equal(page.status, 200)
    assert.doesNotMatch(page.text, /gate\.example/)
    assert.deepEqual((await client.session()).data, { login: true })
    for (const view of ['summary', 'sessions', 'queue', 'panics', 'why', 'nothing'])
      assert.equal((await client.view(view)).status, 401, view)
    for (const act of ['act/flush', 'act/fail', 'explain', 'logout'])
      assert.equal((await client.post(act, {})).status, 401, act)
    assert.equal((await client.ask('../secrets')).status, 404)
    assert.equal((await client.ask('..%2f..%2fpage.ts')).status, 404)
    assert.equal((await client.ask('api/view/summary/x')).status, 404)
  })

  test('answers hold a browser by strict headers, and files of the page are asked for once', async () => {
    const client = new PageClient(place())
    for (const each of ['', 'app.js', 'page.css', 'api/session', 'nothing']) {
      const { headers } = await client.ask(each)
      const policy = String(headers['content-security-policy'])
      assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /)
      assert.match(policy, /frame-ancestors 'none'/)
      assert.doesNotMatch(policy, /unsafe|https?:|\*/)
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['referrer-policy'], 'no-referrer')
      assert.equal(headers['x-frame-options'], 'DENY')
    }
    const { headers } = await client.ask('app.js')
    assert.match(String(headers['content-type']), /^text\/javascript/)
    const again = await client.ask('app.js', { headers: { 'If-None-Match': String(headers['etag']) } })
    assert.deepEqual([again.status, again.text], [304, ''])
    assert.equal((await client.ask('api/session')).headers['cache-control'], 'no-store')
    assert.equal((await client.ask('/')).headers['location'], '/page/')
  })

  test('a wrong password, an unknown user and an empty one are answered alike, and are accounted for', async () => {
    const client = new PageClient(place())
    const replies: PageReply[] = []
    for (const [user, password] of [
      ['alice', 'wrong'],
      ['nobody', 'correct horse'],
      ['bob', ''],
    ] as const)
      replies.push(await client.login(user, password))
    for (const { status, text, headers } of replies) {
      assert.equal(status, 401)
      assert.equal(text, replies[0]?.text)
      assert.equal(headers['set-cookie'], undefined)
    }
    const failed = operatorFacts().filter(({ act, good }) => act === 'login' && good === false)
    assert.deepEqual(
      failed.map(({ user }) => user),
      ['alice', 'nobody', 'bob'],
    )
  })

  test('a session is a cookie that no script and no other site gets, and ends by logging out', async () => {
    const client = new PageClient(place())
    const reply = await client.login('alice', 'correct horse')
    const [cookie = ''] = reply.headers['set-cookie'] ?? []
    assert.match(cookie, /^postern-\d+=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/)
    assert.equal(reply.data['user'], 'alice')
    assert.ok(!reply.text.includes(client.cookie.split('=')[1] ?? ''), 'the token is in the cookie alone')
    assert.equal((await client.view('summary')).status, 200)
    // a second login does not leave the first one behind
    const old = Object.assign(new PageClient(place()), { cookie: client.cookie, csrf: client.csrf })
    await client.login('alice', 'correct horse')
    assert.equal((await old.view('summary')).status, 401)
    assert.equal((await client.post('logout', {})).status, 200)
    assert.equal((await client.view('summary')).status, 401)
  })

  test('who is taken out of the users, or gets another password, is out', async () => {
    const client = await loggedIn('bob', 'battery staple')
    assert.equal((await client.view('summary')).status, 200)
    const file = path.join(gate.folder, 'users')
    for (const users of [USERS.replace('bob:battery', 'bob:other'), USERS.replace(/^bob.*$/m, '')]) {
      writeFileSync(file, users)
      assert.equal((await client.view('summary')).status, 401)
      assert.equal((await client.post('act/flush', {})).status, 401)
    }
    writeFileSync(file, USERS)
  })

  test('a reload that changes who is let in ends the sessions', async (t) => {
    const other = await startTestGate({
      conf: CONF.slice(CONF.indexOf('HTTP_Listener "page"'), CONF.indexOf('HTTP_Listener "cert')),
      files: { users: USERS },
    })
    t.after(() => other.stop())
    const client = new PageClient(other.server.serviceAddresses.http[0] ?? '')
    await client.login('bob', 'battery staple')
    await other.server.reload()
    assert.equal((await client.view('summary')).status, 200)
    const file = path.join(other.folder, 'gate.conf')
    writeFileSync(path.join(other.folder, 'others'), 'carol:x\n')
    writeFileSync(file, readFileSync(file, 'utf8').replace('/users"', '/others"'))
    await other.server.reload()
    assert.equal((await client.view('summary')).status, 401)
  })

  test('a reload that changes who may act ends the connections, on which that would not be known', async (t) => {
    const other = await startTestGate({
      conf: CONF.slice(CONF.indexOf('HTTP_Listener "page"'), CONF.indexOf('HTTP_Listener "cert')),
      files: { users: USERS },
    })
    t.after(() => other.stop())
    const [host = '', port = ''] = (other.server.serviceAddresses.http[0] ?? '').split(':')
    const early = connect({ host, port: Number(port) })
    t.after(() => early.destroy())
    early.write('POST /page/api/act/flush HTTP/1.1\r\n')
    await once(early, 'connect')
    await new PageClient(`${host}:${port}`).session()
    const closed = once(early.resume(), 'close')
    const file = path.join(other.folder, 'gate.conf')
    writeFileSync(file, readFileSync(file, 'utf8').replace('"alice"', '"bob"'))
    await other.server.reload()
    const began = Date.now()
    await closed
    assert.ok(Date.now() - began < 5000, 'at once, and not when its time is over')
  })
})

describe('what an attacker’s page cannot do', () => {
  test('an act needs an Origin of ours, the token and JSON: none of them can be left out', async () => {
    const client = await loggedIn()
    const flush = { binding: 'default/default', domain: 'b.example' }
    const tries: readonly Readonly<Record<string, string | undefined>>[] = [
      { Origin: undefined },
      { Origin: 'null' },
      { Origin: 'http://evil.example' },
      { Origin: `https://${place()}` },
      { Origin: `http://${place()}.evil.example` },
      { 'X-CSRF-Token': undefined },
      { 'X-CSRF-Token': '' },
      { 'X-CSRF-Token': 'x'.repeat(43) },
      { 'Sec-Fetch-Site': 'cross-site' },
      { 'Sec-Fetch-Site': 'same-site' },
    ]
    for (const headers of tries)
      assert.equal((await client.post('act/flush', flush, headers)).status, 403, JSON.stringify(headers))
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      undefined,
      'application/json; charset=utf-7',
    ])
      assert.equal((await client.post('act/flush', flush, { 'Content-Type': type })).status, 415, type)
    assert.equal((await client.ask('api/act/flush', { method: 'GET' })).status, 404)
    assert.equal((await client.ask('api/act/flush', { method: 'PUT' })).status, 405)
    assert.equal((await client.post('act/flush', flush)).status, 200)
    // nobody is logged in by another site either
    assert.equal(
      (
        await new PageClient(place()).post(
          'login',
          { user: 'bob', password: 'battery staple' },
          { Origin: 'http://evil.example' },
        )
      ).status,
      403,
    )
    assert.equal(
      (await client.ask('api/view/summary', { headers: { 'Sec-Fetch-Site': 'cross-site' } })).status,
      403,
    )
  })

  test('the cookie alone, which whatever listens on another port of this host is sent, opens nothing', async () => {
    const client = await loggedIn()
    const thief = Object.assign(new PageClient(place()), { cookie: client.cookie })
    assert.deepEqual((await thief.session()).data, { login: true })
    assert.equal((await thief.view('summary')).status, 401)
    // nor does the cookie of somebody else's session, which a neighbour may set
    const other = await loggedIn('bob', 'battery staple')
    const lured = Object.assign(new PageClient(place()), { cookie: other.cookie, csrf: client.csrf })
    assert.deepEqual((await lured.session()).data, { login: true })
    assert.equal((await lured.view('summary')).status, 401)
    assert.equal((await client.view('summary')).status, 200)
  })

  test('by another name nothing is answered; a body has an end; a cookie sent twice is none', async () => {
    const client = await loggedIn()
    assert.equal((await client.ask('', { headers: { Host: 'evil.example' } })).status, 421)
    assert.equal((await client.post('explain', { certificate: 'x'.repeat(70_000) })).status, 413)
    assert.equal(
      (
        await client.ask('api/explain', {
          method: 'POST',
          body: '[]',
          headers: {
            'Content-Type': 'application/json',
            Origin: `http://${place()}`,
            'X-CSRF-Token': client.csrf,
          },
        })
      ).status,
      400,
    )
    const twice = { Cookie: `${client.cookie}; ${client.cookie.split('=')[0]}=${'A'.repeat(43)}` }
    assert.equal((await client.ask('api/view/summary', { headers: twice })).status, 401)
  })

  test('who leaves in the middle of a body, or sends what is no JSON, is no alarm', async () => {
    const client = await loggedIn()
    const [host = '', port] = place().split(':')
    const socket = connect(Number(port), host)
    socket.write(
      `POST /page/api/login HTTP/1.1\r\nHost: ${place()}\r\nOrigin: http://${place()}\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"user"`,
      () => socket.destroy(),
    )
    await once(socket, 'close')
    const headers = {
      'Content-Type': 'application/json',
      Origin: `http://${place()}`,
      'X-CSRF-Token': client.csrf,
    }
    for (const body of ['', '{', 'null', '"x"', '['.repeat(60_000), '{"user":{}}', '\ufffd{}'])
      assert.equal(
        (await client.ask('api/login', { method: 'POST', body, headers })).status,
        400,
        body.slice(0, 20),
      )
    for (const odd of [
      '/page/%',
      '/page/[',
      '/page/api//view',
      '/page/api/view/%2e%2e',
      '/page/?//[',
      '/page/\\x',
    ])
      assert.ok([200, 401, 404].includes((await client.ask(odd)).status), odd)
    assert.deepEqual(
      gate.events.filter((event) => event.kind === 'panic' && event.module === 'web'),
      [],
    )
  })

  test('who may look may not act', async () => {
    const bob = await loggedIn('bob', 'battery staple')
    assert.equal((await bob.session()).data['mayAct'], false)
    assert.equal((await bob.view('queue')).status, 200)
    const refused = await bob.post('act/flush', { binding: 'default/default', domain: 'b.example' })
    assert.equal(refused.status, 403)
    assert.match(refused.text, /Page_Operators/)
    assert.equal((await (await loggedIn()).session()).data['mayAct'], true)
  })

  test('no name becomes another word of a command', async () => {
    const alice = await loggedIn()
    const bad: readonly Readonly<Record<string, unknown>>[] = [
      { domain: 'all', binding: 'default/default' },
      { domain: 'ALL', binding: 'default/default' },
      { domain: '--dry-run', binding: 'default/default' },
      { domain: 'a.example', binding: 'all' },
      { domain: 'a.example', binding: '--meta/x' },
      { domain: 'a.example b.example', binding: 'default/default' },
      { domain: 'a.example\n', binding: 'default/default' },
      { domain: '', binding: 'default/default' },
      { domain: 'a.example' },
    ]
    for (const body of bad)
      assert.equal((await alice.post('act/fail', body)).status, 422, JSON.stringify(body))
    const odd = { domain: 'a.example', binding: 'default/default' }
    assert.equal((await alice.post('act/fail', { ...odd, dryRun: 'false' })).status, 400)
    assert.equal((await alice.post('act/fail', { ...odd, domain: ['a.example'] })).status, 400)
    assert.equal((await alice.post('act/shutdown', odd)).status, 404)
    assert.equal((await alice.post('act/__proto__', odd)).status, 404)
  })
})

describe('with certificates alone', () => {
  test('the certificate is the login, the session is good with it and with no other', async () => {
    const { clients } = await testPki()
    const client = new PageClient(place(1), { tls: true, credential: clients.valid })
    const reply = await client.session()
    assert.equal(reply.data['user'], 'CN=client-valid.example')
    assert.equal(reply.data['known'], 'certificate')
    assert.equal(reply.data['mayAct'], true)
    assert.match(
      String(reply.headers['set-cookie']),
      /^__Host-postern-\d+=.*; HttpOnly; SameSite=Strict; Secure$/,
    )
    assert.equal((await client.view('summary')).status, 200)
    const thief = new PageClient(place(1), { tls: true, credential: clients['wrong-usage'] })
    thief.cookie = client.cookie
    assert.equal((await thief.view('summary')).status, 403)
    const colleague = new PageClient(place(1), { tls: true, credential: clients.revoked })
    colleague.cookie = client.cookie
    assert.equal((await colleague.view('summary')).status, 401)
    assert.equal((await colleague.session()).data['mayAct'], false)
    assert.equal((await new PageClient(place(1), { tls: true }).ask('')).status, 403)
    assert.equal((await client.login('alice', 'correct horse')).status, 404)
    assert.ok(operatorFacts().some(({ act, user }) => act === 'login' && user === 'CN=client-valid.example'))
  })
})

async function talk(listen: number, { cert, key }: Credential): Promise<SmtpClient> {
  const client = await SmtpClient.connectTls(gate.address(listen), { maxVersion: 'TLSv1.2', cert, key })
  await client.reply()
  return client
}

describe('what it shows', () => {
  test('sessions, handshakes and queues are those of the console; text that could deceive is written out', async () => {
    const { clients } = await testPki()
    const [valid, hostile] = [await talk(0, clients.valid), await talk(0, clients.expired)]
    await valid.command('EHLO client.example')
    const named = await issueClient({ subject: '<img src=x onerror=alert(1)>\u202e' })
    const deceiving = await talk(0, named)
    const alice = await loggedIn()
    const { services } = gate.server.view
    const answer = await runCommand(['show', 'inbound'], services, { operator: anonymousOperator })
    const told = dataOf(answer) as { readonly rows: readonly Readonly<Record<string, unknown>>[] }
    const page = await alice.view('sessions', { size: '200' })
    const rows = page.data['rows'] as typeof told.rows
    assert.deepEqual(
      rows.map(({ connection, tls, subject }) => [connection, tls, subject]),
      told.rows.map(({ connection, tls, subject }) => [connection, tls, subject]),
    )
    assert.equal(rows[2]?.['subject'], 'CN=\\<img src=x onerror=alert(1)\\>\\E2\\80\\AE')
    assert.doesNotMatch(page.text, /\u202e/)
    const verified = await alice.view('sessions', { only: 'tls:verified' })
    assert.deepEqual(
      (verified.data['rows'] as typeof rows).map(({ subject }) => subject),
      ['CN=client-valid.example', rows[2]?.['subject']],
    )
    const handshakes = await alice.view('handshakes', { find: 'EXPIRED', sort: 'client', order: 'down' })
    assert.equal(handshakes.data['found'], 1)
    const [{ connection } = { connection: '' }] = handshakes.data['rows'] as typeof rows
    const why = await alice.view('why', { of: String(connection) })
    assert.match(why.text, /unverified: expired/)
    assert.match(why.text, /gate\.conf:11/)
    const unknown = await alice.view('why', { of: '192.0.2.99' })
    assert.equal(unknown.status, 422)
    assert.match(unknown.text, /is remembered/)
    const verdicts = await alice.view('verdicts', { minutes: '60' })
    assert.deepEqual(verdicts.data['totals'], { verified: 2, unverified: 1, anonymous: 0, failed: 0 })
    for (const client of [valid, hostile, deceiving]) client.destroy()
  })

  test('every view answers, and an unknown one does not', async () => {
    const alice = await loggedIn()
    for (const view of [
      'summary',
      'system',
      'panics',
      'shadow',
      'pins',
      'expiring',
      'server-only',
      'queue',
      'handshakes',
    ])
      assert.equal((await alice.view(view)).status, 200, view)
    assert.equal((await alice.view('constructor')).status, 404)
    assert.equal((await alice.view('verdicts', { minutes: '99999' })).status, 422)
    assert.equal((await alice.view('why')).status, 422)
  })

  test('a queue is shown, flushed and failed; failing says first what it would do', async () => {
    const client = await talk(0, (await testPki()).clients.valid)
    await client.command('EHLO client.example')
    for (const user of ['x', 'y'])
      assert.match(
        await client.deliver('a@gate.example', `${user}@nowhere.example`, 'Subject: x\n\nhi\n'),
        /^250/,
      )
    client.destroy()
    const known = gate.events.length
    const alice = await loggedIn()
    const queueRows = async (): Promise<readonly Readonly<Record<string, unknown>>[]> =>
      ((await alice.view('queue', { find: 'nowhere' })).data['rows'] ?? []) as readonly Readonly<
        Record<string, unknown>
      >[]
    const until = Date.now() + 20_000
    while ((await queueRows())[0]?.['delayed'] !== 2 && Date.now() < until)
      await new Promise((r) => setTimeout(r, 50))
    const [row = {}] = await queueRows()
    const name = { binding: row['binding'], domain: row['domain'] }
    const list = await alice.view('messages', { binding: String(row['binding']), domain: 'nowhere.example' })
    assert.equal(list.data['messages'], 2)
    const dry = await alice.post('act/fail', { ...name, dryRun: true })
    assert.equal((dry.data['data'] as { messages: number }).messages, 2, dry.text)
    assert.equal((await queueRows())[0]?.['delayed'], 2)
    const flushed = await alice.post('act/flush', name)
    assert.equal((flushed.data['data'] as { messages: number }).messages, 2)
    while ((await queueRows())[0]?.['delayed'] !== 2 && Date.now() < until)
      await new Promise((r) => setTimeout(r, 50))
    const failed = await alice.post('act/fail', { ...name, quiet: true })
    assert.equal((failed.data['data'] as { messages: number }).messages, 2, failed.text)
    const commands = operatorFacts()
      .filter((event) => event.act === 'command' && gate.events.indexOf(event) >= known)
      .map(({ user, command, role }) => [user, command, role])
    // what the page asks again and again is there once
    assert.deepEqual(commands, [
      ['alice', 'mailq -l 999999', ''],
      ['alice', 'showqueue binding default/default nowhere.example 100', ''],
      ['alice', 'binding fail domain --dry-run default/default nowhere.example', 'Page_Operators'],
      ['alice', 'binding flush domain default/default nowhere.example', 'Page_Operators'],
      ['alice', 'binding fail domain quiet default/default nowhere.example', 'Page_Operators'],
    ])
  })

  test('the configuration is a tree with the line of each value, and says what holds in a scope', async () => {
    const alice = await loggedIn()
    const { tree } = (await alice.view('configuration')).data as { readonly tree: ConfigurationNode }
    const find = (title: string, node = tree): ConfigurationNode | undefined =>
      node.title === title
        ? node
        : node.children.map((child) => find(title, child)).find((each) => each !== undefined)
    const listen = find('Listen "127.0.0.2:0"')
    const mode = listen?.options.find(({ name }) => name === 'TLS_Verify_Mode')
    assert.match(mode?.from ?? '', /gate\.conf:12$/)
    assert.equal(mode?.value, '"require"')
    const effective = async (scope: string, find: string) =>
      (await alice.view('effective', { scope, find })).data['rows'] as readonly Readonly<
        Record<string, unknown>
      >[]
    const [inherited] = await effective(listen?.path ?? '', 'TLS_Client_CA')
    assert.equal(inherited?.['value'], '"pki/ca.pem"')
    assert.match(String(inherited?.['from']), /gate\.conf:9$/)
    const [unset] = await effective(listen?.path ?? '', 'Idle_Time')
    assert.deepEqual([unset?.['value'], unset?.['from']], ['300', 'default'])
    const [outside] = await effective('http_listener certificates listen 127.0.0.1:0', 'TLS_Client_CA')
    assert.match(String(outside?.['from']), /gate\.conf:25$/)
    for (const scope of [
      'nothing',
      'esmtp_listener listen 192.0.2.1:25',
      'idle_time',
      '"',
      'esmtp_listener listen 127.0.0.2:0 idle_time',
    ])
      assert.equal((await alice.view('effective', { scope })).status, 422, scope)
  })

  test('explains a client in place, and takes no key', async () => {
    const alice = await loggedIn()
    const { clients } = await testPki()
    const ask = async (certificate: string) =>
      alice.post('explain', { listen: '127.0.0.2:0', peer: '192.0.2.7', certificate })
    const none = await ask('')
    assert.equal(none.status, 200, none.text)
    assert.match(none.text, /"outcome":"handshake-failed"/)
    assert.match(none.text, /gate\.conf:12/)
    assert.match((await ask(clients.valid.cert)).text, /"outcome":"let-in"/)
    const key = await ask(`${clients.valid.cert}\n${clients.valid.key}`)
    assert.equal(key.status, 422)
    assert.match(key.text, /private key/)
    const junk = await ask('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
    assert.equal(junk.status, 422, junk.text)
    assert.equal((await alice.post('explain', { listen: '127.0.0.2:0', peer: 'no address' })).status, 422)
    const ends = operatorFacts().filter(({ act, command }) => act === 'end' && command.startsWith('explain'))
    assert.deepEqual(
      ends.map(({ command, good }) => [command, good]),
      [
        ...[true, true, false, false].map((good) => ['explain 127.0.0.2:0 192.0.2.7', good]),
        ['explain 127.0.0.2:0 "no address"', false],
      ],
    )
  })
})
