/**
 * Command injection through STARTTLS (CVE-2011-0411, CVE-2021-38371): clear text that arrives with the command, in
 * pieces, or in a race with its 220 is treated as starttls_injection_policy says and never taken for something that was
 * said inside TLS, except under `allow`. Nothing that was said in clear text holds after the handshake (RFC 3207 §4.2).
 */

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic, assertServes, handshakesOf, refusalsOf } from './attack-gate.ts'
import { isTlsRecord, RawClient, secure } from './raw-client.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" )
  Allow_Plaintext_Auth = true
  AuthPLAINParameters = [ uri = "file://FOLDER/users" ]
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Handshake_Timeout = 1
  Max_Recipients_Per_Connection = 2
  Listen "127.0.4.1:0" { STARTTLS_Injection_Policy = "reject" }
  Listen "127.0.4.2:0" { STARTTLS_Injection_Policy = "Ignore" }
  Listen "127.0.4.3:0" { STARTTLS_Injection_Policy = "allow" }
  Listen "127.0.4.4:0" { STARTTLS_Injection_Policy = "allow" TLS_Verify_Mode = "require" }
  Listen "127.0.4.5:0" { }
}
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
`
/** the policies, each the index of its Listen */
const places = { reject: 0, ignore: 1, allow: 2, 'allow with require': 3, 'the default': 4 } as const
type Place = keyof typeof places
const names = Object.keys(places) as Place[]

const INJECTED = 'EHLO evil.example\r\nMAIL FROM:<evil@evil.example>\r\n'

let gate: TestGate
before(async () => {
  gate = await startTestGate({ conf, pki: await testPki(), files: { users: 'joe:secret\n' } })
})
afterEach(() => assertNoPanic(gate))
after(async () => {
  await assertServes(gate.address())
  await gate.stop()
})

async function greeted(place: Place): Promise<RawClient> {
  const client = await RawClient.connect(gate.address(places[place]))
  await client.until(/^220 .*\r\n/)
  assert.match(await client.command('EHLO client.example'), /^250[ -]STARTTLS\r$/m)
  client.received = ''
  return client
}

/** What the server says inside TLS to some commands, the last of which is QUIT. */
async function inside(
  tls: TLSSocket,
  commands = 'XDUMPCONTEXT\r\nRCPT TO:<x@gate.example>\r\nQUIT\r\n',
): Promise<string> {
  tls.write(commands)
  let text = ''
  for await (const chunk of tls) text += String(chunk)
  assert.match(text, /^221 /m)
  return text
}

/** Nothing of the injected commands was answered, in clear text or otherwise, and they left no trace. */
async function assertNotRun(client: RawClient, refusals: number): Promise<void> {
  await client.closed()
  assert.doesNotMatch(client.received, /^250/m)
  assert.equal((await refusalsOf(gate, client, refusals)).length, refusals)
  const traces = gate.events.filter(
    (event) => event.kind === 'rejection' && event.messageContext['mailfrom_domain'] === 'evil.example',
  )
  assert.deepEqual(traces, [])
}

describe('commands in the same segment as STARTTLS', { concurrency: true }, () => {
  for (const place of ['reject', 'the default'] as const) {
    test(`${place}: refused with 421, no handshake begins`, async () => {
      const client = await greeted(place)
      client.send(`STARTTLS\r\n${INJECTED}`)
      assert.match(await client.until(/\r\n/), /^421 4\.7\.0 [^\r\n]*\r\n$/)
      await assertNotRun(client, 1)
      assert.deepEqual(await handshakesOf(gate, client), [])
    })
  }

  test('one octet behind it is enough', async () => {
    for (const octet of ['\r\n', '\n', '\0', ' ', '\x16']) {
      const client = await greeted('reject')
      client.send(`STARTTLS\r\n${octet}`)
      assert.match(await client.until(/\r\n/), /^421 4\.7\.0 /)
      await assertNotRun(client, 1)
    }
  })

  test('ignore: dropped, the handshake goes on, and inside there is nothing of them', async () => {
    const client = await greeted('ignore')
    client.send(`STARTTLS\r\n${INJECTED}NOO`)
    assert.match(await client.until(/\r\n/), /^220 [^\r\n]*\r\n$/)
    const text = await inside(await secure(client, {}))
    assert.doesNotMatch(text, /evil/)
    assert.match(text, /^503 RCPT TO without MAIL FROM/m)
    assert.equal((await refusalsOf(gate, client)).length, 1)
  })

  test('allow: they are run, and as commands of the TLS session', async () => {
    const client = await greeted('allow')
    client.send(`STARTTLS\r\n${INJECTED}`)
    assert.match(await client.until(/\r\n/), /^220 [^\r\n]*\r\n$/)
    const text = await inside(await secure(client, {}))
    assert.match(text, /^250-gate\.example says EHLO/)
    assert.match(text, /^250-\[connection\] ehlo_domain evil\.example\r$/m)
    assert.match(text, /^250 2\.1\.5 /m)
  })

  test('allow under require: without the handshake they are never run', async () => {
    const client = await greeted('allow with require')
    client.send(`STARTTLS\r\n${INJECTED}`)
    assert.match(await client.until(/\r\n/), /^220 /)
    // in TLS 1.3 the client learns that it is refused after its own side of the handshake is complete
    await secure(client, {}).then(
      (tls) => tls.on('error', () => undefined),
      () => undefined,
    )
    await assertNotRun(client, 1)
  })
})

/** Sends STARTTLS and, so many turns of the event loop later, the commands. */
async function raceThe220(place: Place, turns: number): Promise<void> {
  const client = await greeted(place)
  client.send('STARTTLS\r\n')
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  client.send(INJECTED)
  // what came in time for the policy was treated by it; the client then stays away from the handshake
  await assertNotRun(client, 1)
}

describe('under every policy', { concurrency: true }, () => {
  for (const place of names) describe(place, { concurrency: true }, () => tryAll(place))
})

function tryAll(place: Place): void {
  test('a command cut by the end of the segment is not put together again', async () => {
    const client = await greeted(place)
    client.send('STARTTLS\r\nEHLO ev')
    await client.until(/\r\n/)
    client.send('il.example\r\nMAIL FROM:<evil@evil.example>\r\n')
    await assertNotRun(client, 1)
  })

  test('STARTTLS octet by octet with commands behind it, also octet by octet', async () => {
    const client = await greeted(place)
    await client.trickle(`STARTTLS\r\n${INJECTED}`)
    await assertNotRun(client, 1)
  })

  test('commands in a segment of their own that race the 220', async () => {
    await Promise.all([0, 1, 2, 3, 5, 8].map((turns) => raceThe220(place, turns)))
  })

  test('commands after the 220 instead of a handshake', async () => {
    const client = await greeted(place)
    assert.match(await client.command('STARTTLS'), /^220 /)
    client.received = ''
    client.send(INJECTED)
    await assertNotRun(client, 1)
  })

  test('commands and a ClientHello behind STARTTLS, all in one segment', async () => {
    const other = await greeted(place)
    other.destroy()
    const client = await greeted(place)
    const sent = secure(client, {}, async (hello, raw) => {
      raw.send(Buffer.concat([Buffer.from(`STARTTLS\r\n${INJECTED}`), hello]))
    })
    await assert.rejects(sent)
    await assertNotRun(client, 1)
  })

  test('after a handshake that failed nothing is answered any more', async () => {
    const client = await greeted(place)
    assert.match(await client.command('STARTTLS'), /^220 /)
    client.received = ''
    client.send('\x16\x03\x01\x00\x05hello')
    await client.until(isTlsRecord)
    client.send(INJECTED)
    await assertNotRun(client, 1)
  })
}

describe('what was said in clear text', { concurrency: true }, () => {
  test('EHLO, AUTH and a transaction are forgotten; counts are not', async () => {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo('clear.example')
    const secret = Buffer.from('\0joe\0secret').toString('base64')
    assert.match(await client.command(`AUTH PLAIN ${secret}`), /^235 /)
    assert.match(await client.command('MAIL FROM:<clear@b.example>'), /^250 /)
    assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^250 /, 'granted by AUTH')
    assert.match(await client.command('STARTTLS'), /^503 /, 'not within a transaction')
    assert.match(await client.command('RSET'), /^250 /)
    assert.match(await client.command('STARTTLS'), /^220 /)
    await client.secure({})
    const context = await client.context()
    for (const key of ['ehlo_domain', 'ehlo_string', 'auth_user', 'auth_status', 'auth_name', 'can_relay']) {
      assert.equal(context.get(`connection.${key}`), undefined, key)
    }
    assert.deepEqual(
      [...context.keys()].filter((key) => key.startsWith('message.')),
      [],
    )
    assert.match(await client.command('RCPT TO:<x@gate.example>'), /^503 /)
    assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250 /)
    assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^550 5\.7\.1 /)
    assert.match(await client.command('RCPT TO:<x@gate.example>'), /^250 /)
    assert.match(await client.command('RCPT TO:<y@gate.example>'), /^452 4\.5\.3 /, 'two on this connection')
    assert.match(await client.command('STARTTLS'), /^50\d /)
    client.destroy()
  })

  test('under allow, what came behind STARTTLS may end inside TLS', async () => {
    const client = await greeted('allow')
    client.send('STARTTLS\r\nNO')
    await client.until(/^220 /)
    const text = await inside(await secure(client, {}), 'OP\r\nQUIT\r\n')
    assert.match(text, /^(?:250 2\.0\.0 OK|500 )/)
  })
})
