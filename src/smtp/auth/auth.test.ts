import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InboundValues } from '../../config/settings.ts'
import type { AuthenticationFact } from '../../events/events.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { SessionServices } from '../services.ts'
import type { HostOptions } from '../session-host.fixture.ts'
import { withClient } from '../with-client.fixture.ts'
import { AuthFailures } from './failures.ts'
import { Identities } from './identities.ts'
import { AuthUnavailableError, type CredentialStore, EMPTY_STORE, type PasswordAttempt } from './store.ts'

const options: Partial<InboundValues> = {
  smtp_extensions: ['AUTH PLAIN', 'auth login', 'XDUMPCONTEXT'],
  authplainparameters: { uri: 'file:///users' },
  authloginparameters: { uri: 'file:///users' },
  allow_plaintext_auth: true,
}
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64')
const GOOD = base64('\0user\0secret')
const BAD = base64('\0user\0wrong')

test('PLAIN and LOGIN, with and without an initial response, grant relaying', async () => {
  const exchanges = [
    [`AUTH PLAIN ${GOOD}`],
    ['auth plain', GOOD],
    [`AUTH PLAIN ${base64('user\0user\0secret')}`],
    ['AUTH LOGIN', base64('user'), base64('secret')],
    [`AUTH LOGIN ${base64('user')}`, base64('secret')],
  ]
  for (const lines of exchanges) {
    await withClient({ options }, async (client, host) => {
      const capabilities = await client.ehlo()
      assert.ok(capabilities.includes('AUTH PLAIN LOGIN'))
      assert.ok(capabilities.includes('AUTH=PLAIN LOGIN'))
      for (const line of lines.slice(0, -1)) assert.match(await client.command(line), /^334/)
      assert.equal(await client.command(lines.at(-1) ?? ''), '235 2.7.0 Authentication succeeded')
      const context = await client.context()
      assert.equal(context.get('connection.auth_status'), 'pass')
      assert.equal(context.get('connection.auth_user'), 'user')
      assert.match(context.get('connection.auth_name') ?? '', /^(PLAIN|LOGIN)$/)
      assert.equal(context.get('connection.can_relay'), 'true')
      assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^503 5\.5\.1/)
      await client.command('MAIL FROM:<> AUTH=<>')
      assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^250/)
      await client.command('DATA')
      await client.command('A: b\r\n\r\n.')
      assert.match(Buffer.from(host.enqueued[0]?.header ?? []).toString('latin1'), / with ESMTPA\r\n/)
    })
  }
})

test('the challenges are the ones that clients look for', async () => {
  await withClient({ options }, async (client) => {
    await client.ehlo()
    assert.equal(await client.command('AUTH LOGIN'), `334 ${base64('Username:')}`)
    assert.equal(await client.command(base64('user')), `334 ${base64('Password:')}`)
    assert.match(await client.command('*'), /^501/)
    assert.equal(await client.command('AUTH PLAIN'), '334 ')
    assert.match(await client.command('*'), /^501/)
  })
})

test('AUTH is refused outside TLS, where it is not listed, without EHLO and within a transaction', async () => {
  await withClient({ options: { ...options, allow_plaintext_auth: false } }, async (client) => {
    assert.ok(!(await client.ehlo()).some((line) => line.startsWith('AUTH')))
    assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^538 5\.7\.11/)
  })
  await withClient({ options: { ...options, authplainparameters: undefined } }, async (client) => {
    assert.ok((await client.ehlo()).includes('AUTH LOGIN'))
    assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^504/)
    assert.match(await client.command('AUTH CRAM-MD5'), /^504/)
  })
  await withClient({ options }, async (client) => {
    assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^503/)
    await client.command('HELO x')
    assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^503/)
    await client.ehlo()
    await client.command('MAIL FROM:<>')
    assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^503/)
  })
})

test('what is no answer to a challenge is refused, and nothing is granted', async () => {
  const cases: [string, RegExp][] = [
    ['AUTH', /^504|^501/],
    ['AUTH PLAIN not!base64', /^501 5\.5\.2/],
    [`AUTH PLAIN ${GOOD}=`, /^501 5\.5\.2/],
    [`AUTH PLAIN ${base64('user\0secret')}`, /^501 5\.5\.2/],
    [`AUTH PLAIN ${base64('\0user\0secret\0x')}`, /^501 5\.5\.2/],
    ['AUTH PLAIN =', /^501 5\.5\.2/],
    [`AUTH PLAIN ${GOOD} more`, /^501/],
    [`AUTH PLAIN ${base64('root\0user\0secret')}`, /^535 5\.7\.8/],
    [`AUTH PLAIN ${base64('\0\0')}`, /^535 5\.7\.8/],
  ]
  await withClient({ options }, async (client, host) => {
    await client.ehlo()
    for (const [line, reply] of cases) assert.match(await client.command(line), reply, line)
    await client.command('AUTH PLAIN')
    assert.match(await client.command('A'.repeat(20_000)), /^500 5\.5\.6/)
    assert.equal(host.rejections().length, cases.length + 1)
    assert.equal((await client.context()).get('connection.can_relay'), undefined)
    assert.equal((await client.context()).get('connection.auth_status'), 'fail')
  })
})

test('the third failure is the last', async () => {
  await withClient({ options }, async (client, host) => {
    await client.ehlo()
    assert.equal(await client.command(`AUTH PLAIN ${BAD}`), '535 5.7.8 Authentication credentials invalid')
    assert.match(await client.command(`AUTH PLAIN ${BAD}`), /^535/)
    assert.match(await client.command(`AUTH PLAIN ${BAD}`), /^421 4\.7\.0/)
    await client.closed()
    assert.equal(host.rejections().length, 3)
    const facts = host.events.filter((event): event is AuthenticationFact => event.kind === 'authentication')
    assert.deepEqual(
      facts.map(({ status, user, mechanism }) => `${status} ${user} ${mechanism}`),
      ['fail user PLAIN', 'fail user PLAIN', 'fail user PLAIN'],
    )
  })
})

test('policy sees the outcome, can refuse a success, and cannot turn a failure into one', async () => {
  const seen: string[] = []
  let verdict: Verdict = { kind: 'reply', code: 535, text: '5.7.1 not from here', module: 'script' }
  const policy: HostOptions['policy'] = {
    auth: ({ session, status }) => {
      seen.push(
        `${status} ${session.context.get('connection', 'auth_status')} ${session.context.get('connection', 'can_relay')}`,
      )
      return verdict
    },
  }
  await withClient({ options, policy }, async (client, host) => {
    await client.ehlo()
    assert.equal(await client.command(`AUTH PLAIN ${GOOD}`), '535 5.7.1 not from here')
    const context = await client.context()
    assert.equal(context.get('connection.auth_status'), 'fail')
    assert.equal(context.get('connection.can_relay'), undefined)
    verdict = { kind: 'reply', code: 235, text: '2.7.0 come in', module: 'script' }
    assert.match(await client.command(`AUTH PLAIN ${BAD}`), /^535 5\.7\.8/)
    assert.equal((await client.context()).get('connection.can_relay'), undefined)
    assert.equal(await client.command(`AUTH PLAIN ${GOOD}`), '235 2.7.0 come in')
    assert.deepEqual(seen, ['pass pass ', 'fail fail ', 'pass pass '])
    const facts = host.events.filter((event): event is AuthenticationFact => event.kind === 'authentication')
    const told = facts.map(({ status }) => status)
    assert.deepEqual(told, ['fail', 'fail', 'pass'], 'as the client heard')
  })
})

test('nobody who can tell: 454, a panic that names no credential, and status error for policy', async () => {
  await withClient({ options, services: servicesOf(unreadable) }, async (client, host) => {
    await client.ehlo()
    assert.match(await client.command(`AUTH PLAIN ${GOOD}`), /^454 4\.7\.0/)
    assert.equal((await client.context()).get('connection.auth_status'), 'error')
    const panics = host.events.filter((event) => event.kind === 'panic')
    assert.deepEqual(
      panics.map(({ module, text }) => `${module} ${text.split(': ').slice(1).join(': ')}`),
      ['auth cannot read /users: ENOENT'],
    )
  })
})

test('a script that answers a failure with 421 closes the connection, as 421 announces', async () => {
  const scripted = { ...options, authplainparameters: { uri: 'ac_auth://' } }
  await withClient({ options: scripted, services: servicesOf(notToday) }, async (client) => {
    await client.ehlo()
    assert.equal(await client.command(`AUTH PLAIN ${BAD}`), '421 4.7.0 not today')
    await client.closed()
  })
})

test('no password reaches a fact or the context, whatever goes wrong', async () => {
  for (const services of [{}, servicesOf(talkative)]) {
    await withClient({ options, services }, async (client, host) => {
      await client.ehlo()
      const lines = [
        `AUTH PLAIN ${base64('\0user\0hunter2')}`,
        `AUTH PLAIN ${base64('\0user\0hunter2')} hunter2`,
        'AUTH LOGIN',
        base64('user'),
        base64('hunter2'),
        `AUTHX ${base64('hunter2')}`,
      ]
      for (const line of lines) await client.command(line)
      const context = await client.context().catch(() => new Map())
      const everything = JSON.stringify([host.events, [...context]])
      for (const secret of ['hunter2', base64('hunter2'), base64('\0user\0hunter2')]) {
        assert.ok(!everything.includes(secret), secret)
      }
    })
  }
})

function unreadable(): Promise<never> {
  return Promise.reject(new AuthUnavailableError('cannot read /users: ENOENT'))
}

function talkative({ password }: { readonly password: string }): Promise<never> {
  return Promise.reject(new Error(`choked on ${password}`))
}

async function notToday({ response }: PasswordAttempt): Promise<boolean> {
  if (response !== undefined) response.text = '421 4.7.0 not today'
  return false
}

function servicesOf(verify: CredentialStore['verify']): Partial<SessionServices> {
  const store: CredentialStore = { ...EMPTY_STORE, verify }
  return {
    auth: {
      stores: { open: () => store, identities: async (list) => new Identities(list) },
      failures: new AuthFailures(Date.now),
    },
  }
}
