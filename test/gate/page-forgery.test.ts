/** What a page of an attacker’s cannot do with the browser of an operator who has logged in; and certificates in the place of logins. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import { PageClient } from '../support/page-client.ts'
import { testPki } from '../support/test-ca.ts'
import { gate, loggedIn, operatorFacts, place } from './page.fixture.ts'

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
