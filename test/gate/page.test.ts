/** The operators' page over HTTP: who gets in, what an attacker's page cannot do, and that it says what the console says. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import { runCommand } from '../../src/console/commands.ts'
import { anonymousOperator } from '../../src/console/operator.ts'
import { dataOf } from '../../src/console/render.ts'
import type { Credential } from '../../src/tls/authority.ts'
import { PageClient, type PageReply } from '../support/page-client.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { issueClient, testPki } from '../support/test-ca.ts'
import { startTestGate } from '../support/test-gate.ts'
import { CONF, type ConfigurationNode, gate, loggedIn, operatorFacts, place, USERS } from './page.fixture.ts'

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
