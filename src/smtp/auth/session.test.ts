/** AUTH in sessions on real sockets: challenge and response, the limits on failures, what is written down. */

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import type { SmtpClient } from '../../../test/support/smtp-client.ts'
import type { InboundValues } from '../../config/settings.ts'
import type { AuthenticationFact } from '../../events/events.ts'
import { formatAcctlog } from '../../logs/acctlog.ts'
import { type SessionHost, startHost } from '../session-host.fixture.ts'
import { openData, withClient, withHost } from '../with-client.fixture.ts'
import { digestResponse } from './digest-md5.ts'
import { AuthFailures } from './failures.ts'
import { Identities } from './identities.ts'
import { EMPTY_STORE, UnfitPasswordError } from './store.ts'
import { userDigest } from './user-digest.ts'

const uri = 'file:///users'
const options: Partial<InboundValues> = {
  smtp_extensions: ['AUTH PLAIN CRAM-MD5', 'AUTH DIGEST-MD5', 'AUTH EXTERNAL', 'XDUMPCONTEXT'],
  authplainparameters: { uri, log_authentication: 'true' },
  authcrammd5parameters: { uri },
  authdigestmd5parameters: { uri, stored_cleartext: 'true' },
  authexternalparameters: { identity: 'cn' },
  allow_plaintext_auth: true,
}
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64')
const decoded = (reply: string): string => Buffer.from(reply.slice(4), 'base64').toString('latin1')
const GOOD = `AUTH PLAIN ${base64('\0user\0secret')}`
const BAD = `AUTH PLAIN ${base64('\0user\0wrong')}`

const noIdentities = async (): Promise<Identities> => new Identities('')

function facts(host: SessionHost): AuthenticationFact[] {
  return host.events.filter((event): event is AuthenticationFact => event.kind === 'authentication')
}

async function cram(client: SmtpClient, user: string, password: string): Promise<string> {
  const challenge = await client.command('AUTH CRAM-MD5')
  const digest = createHmac('md5', password).update(decoded(challenge)).digest('hex')
  return client.command(base64(`${user} ${digest}`))
}

async function keptAsHash(user: string): Promise<string | undefined> {
  if (user === 'hashed') throw new UnfitPasswordError('users:3: the password is a hash')
  return undefined
}

describe('challenge and response', () => {
  test('CRAM-MD5: right, wrong, unknown, malformed, cancelled, and no initial response', async () => {
    await withClient({ options }, async (client, host) => {
      const lines = await client.ehlo()
      assert.ok(lines.includes('AUTH PLAIN CRAM-MD5 DIGEST-MD5'), lines.join())
      assert.match(await cram(client, 'user', 'wrong'), /^535 5\.7\.8/)
      assert.match(await cram(client, 'nobody', 'secret'), /^535 5\.7\.8/)
      assert.match(await client.command('AUTH CRAM-MD5 dXNlcg=='), /^501 5\.5\.4/)
      assert.match(await client.command('AUTH CRAM-MD5'), /^334 /)
      assert.match(await client.command('*'), /^501 5\.7\.0/)
      await client.command('AUTH CRAM-MD5')
      assert.match(await client.command('='), /^501 5\.5\.2/)
      await client.command('AUTH CRAM-MD5')
      assert.match(await client.command(base64('user')), /^501 5\.5\.2/)
      assert.match(await cram(client, 'user', 'secret'), /^235 2\.7\.0/)
      assert.equal((await client.context()).get('connection.auth_name'), 'CRAM-MD5')
      assert.deepEqual(
        facts(host).map(({ status }) => status),
        ['fail', 'fail', 'pass'],
      )
    })
  })

  test('who is kept as a hash is told nothing that a stranger is not; the operator is', async () => {
    const store = { ...EMPTY_STORE, password: keptAsHash, digest: keptAsHash }
    const stores = { open: () => store, identities: noIdentities }
    const services = { auth: { stores, failures: new AuthFailures(Date.now) } }
    await withClient({ options, services }, async (client, host) => {
      await client.ehlo()
      assert.equal(await cram(client, 'hashed', 'x'), await cram(client, 'nobody', 'x'))
      const panics = host.events.filter((event) => event.kind === 'panic')
      assert.deepEqual(
        panics.map(({ text }) => text.split(': ').slice(1).join(': ')),
        ['users:3: the password is a hash'],
      )
    })
  })

  test('an answer to an old challenge is no answer', async () => {
    await withClient({ options }, async (client) => {
      await client.ehlo()
      const old = decoded(await client.command('AUTH CRAM-MD5'))
      await client.command('*')
      await client.command('AUTH CRAM-MD5')
      const digest = createHmac('md5', 'secret').update(old).digest('hex')
      assert.match(await client.command(base64(`user ${digest}`)), /^535/)
    })
  })

  test('EXTERNAL is unheard of without a verified certificate', async () => {
    await withClient({ options }, async (client) => {
      assert.ok(!(await client.ehlo()).join().includes('EXTERNAL'))
      assert.match(await client.command('AUTH EXTERNAL ='), /^504 5\.5\.4/)
    })
  })

  test('nothing is offered or taken outside TLS, those that send no password included', async () => {
    await withClient({ options: { ...options, allow_plaintext_auth: false } }, async (client) => {
      assert.ok(!(await client.ehlo()).join().includes('AUTH'))
      for (const name of ['CRAM-MD5', 'DIGEST-MD5', 'EXTERNAL', 'PLAIN']) {
        assert.match(await client.command(`AUTH ${name}`), /^538 5\.7\.11/)
      }
      assert.match(await client.command('AUTH SCRAM-SHA-256'), /^504 5\.5\.4/)
    })
  })
})

describe('Always_Allow and Always_Deny', () => {
  test('who proves nothing is anonymous; who proves something is that', async () => {
    await withClient({ options: { ...options, always_allow: true } }, async (client) => {
      await client.ehlo()
      assert.match(await client.command(`AUTH PLAIN ${base64('\0root\0x')}`), /^235/)
      const context = await client.context()
      assert.equal(context.get('connection.auth_user'), 'anonymous')
      assert.equal(context.get('connection.auth_status'), 'pass')
    })
    await withClient({ options: { ...options, always_allow: true } }, async (client) => {
      await client.ehlo()
      await client.command(GOOD)
      assert.equal((await client.context()).get('connection.auth_user'), 'user')
    })
  })
  test('Always_Deny stands above it, and nobody is looked up', async () => {
    const stores = {
      open: () => assert.fail('a store was asked'),
      identities: noIdentities,
    }
    const services = { auth: { stores, failures: new AuthFailures(Date.now) } }
    const both = { ...options, always_allow: true, always_deny: true }
    await withClient({ options: both, services }, async (client) => {
      await client.ehlo()
      assert.match(await client.command(GOOD), /^535/)
      assert.match(await cram(client, 'user', 'secret'), /^535/)
    })
  })
})

describe('failures', () => {
  test('are counted over connections, and after the limit a right password is answered like a wrong one', async () => {
    const limited = { ...options, auth_failure_limit: 3 }
    const host = await startHost({ options: limited })
    const { SmtpClient } = await import('../../../test/support/smtp-client.ts')
    try {
      const meet = async (): Promise<SmtpClient> => {
        const client = await SmtpClient.connect(host.address)
        await client.reply()
        await client.ehlo()
        return client
      }
      // this one is in the middle of an exchange when the limit is reached
      const early = await meet()
      const challenge = decoded(await early.command('AUTH CRAM-MD5'))
      const first = await meet()
      assert.match(await first.command(BAD), /^535/)
      first.destroy()
      const second = await meet()
      assert.match(await second.command(BAD), /^535/)
      assert.match(await second.command(BAD), /^535/)
      assert.match(await second.command(GOOD), /^421 4\.7\.0 too many/)
      await second.closed()
      const digest = createHmac('md5', 'secret').update(challenge).digest('hex')
      assert.match(await early.command(base64(`user ${digest}`)), /^421 4\.7\.0 too many/)
      const third = await meet()
      assert.match(await third.command('MAIL FROM:<>'), /^250/)
      assert.match(await third.command('RSET'), /^250/)
      // before anything is asked for or looked up
      assert.match(await third.command('AUTH PLAIN'), /^421 4\.7\.0/)
      third.destroy()
    } finally {
      await host.stop()
    }
  })

  test('tell nobody in the middle of DIGEST-MD5 that a password was right', async () => {
    await withClient({ options: { ...options, auth_failure_limit: 1 } }, async (client, host) => {
      const { SmtpClient } = await import('../../../test/support/smtp-client.ts')
      await client.ehlo()
      const challenge = decoded(await client.command('AUTH DIGEST-MD5'))
      const other = await SmtpClient.connect(host.address)
      await other.reply()
      await other.ehlo()
      assert.match(await other.command(BAD), /^535/)
      other.destroy()
      const nonce = /nonce="([^"]*)"/.exec(challenge)?.[1] ?? ''
      const inputs = { nonce, cnonce: 'c', nc: '00000001', uri: 'smtp/gate.example', authzid: '' }
      const secret = userDigest('user', 'gate.example', 'secret')
      const response = digestResponse('AUTHENTICATE', secret, inputs)
      const answer = `username="user",realm="gate.example",nonce="${nonce}",cnonce="c",nc=00000001,digest-uri="smtp/gate.example",response=${response}`
      assert.match(await client.command(base64(answer)), /^421 4\.7\.0 too many/)
    })
  })

  test('cost time, more with each, and only the session that failed waits', async () => {
    const { SmtpClient } = await import('../../../test/support/smtp-client.ts')
    const attempt = async (delay: number): Promise<boolean> => {
      let overtaken = false
      await withClient({ options: { ...options, auth_failure_delay: delay } }, async (client, host) => {
        await client.ehlo()
        const began = performance.now()
        const answered = client.command(BAD)
        const other = await SmtpClient.connect(host.address)
        await other.reply()
        await other.ehlo()
        assert.match(await other.command(GOOD), /^235/)
        const othersTime = performance.now() - began
        other.destroy()
        assert.match(await answered, /^535/)
        const first = performance.now() - began
        assert.match(await client.command(BAD), /^535/)
        const second = performance.now() - began - first
        assert.ok(first >= 240 * delay && second >= 490 * delay, `${first} ${second}`)
        overtaken = othersTime < first
      })
      return overtaken
    }
    // a machine that is too slow to log in meanwhile gets more time for it
    assert.ok((await attempt(1)) || (await attempt(4)) || (await attempt(12)))
  })
})

async function headerOf(
  given: Partial<InboundValues>,
  lines: readonly string[],
  login = GOOD,
): Promise<string> {
  let header = ''
  await withClient({ options: { ...options, relay_domains: [], ...given } }, async (client, host) => {
    await client.ehlo()
    if (login !== '') await client.command(login)
    await openData(client, 'x@local.example', 'y@local.example')
    assert.match(await client.command([...lines, '', 'text', '.'].join('\r\n')), /^250/)
    const headers = host.enqueued.map((message) => Buffer.from(message.header).toString('latin1'))
    assert.equal(headers.length, 2)
    header = headers[1] ?? ''
  })
  return header
}

describe('what is written down', () => {
  test('acctlog lines in Momentum’s form, where log_authentication asks for them', async () => {
    await withClient({ options: { ...options, idle_time: 1 } }, async (client, host) => {
      await client.ehlo()
      await client.command(BAD)
      await cram(client, 'user', 'wrong')
      await client.command('AUTH PLAIN')
      assert.match(await client.reply(), /^421 4\.4\.2/)
      const told = facts(host)
      assert.deepEqual(
        told.map(({ account, status }) => `${account} ${status}`),
        ['true fail', 'false fail', 'true timeout'],
      )
      const port = told[0]?.remote.port ?? 0
      assert.equal(
        formatAcctlog({ ...told[0]!, at: 1_600_000_000_999, user: 'a@b\\c\n' }),
        `1600000000@N@:25@127.0.0.1:${port}@a\\@b\\\\c\\n@0`,
      )
      assert.equal(
        formatAcctlog({ ...told[2]!, at: 0, listener: '/tmp/2025', remote: { address: '', port: 0 } }),
        '0@T@/tmp/2025@@@0',
      )
      assert.match(formatAcctlog({ ...told[0]!, status: 'pass' }), /@1$/)
    })
  })

  test('Authentication-Results masks the name, shows it, or is not there', async () => {
    assert.match(
      await headerOf({}, ['A: b']),
      /^Authentication-Results: gate\.example;\r\n\tauth=pass \(PLAIN\) smtp\.auth=xxxx\r\nReceived: /,
    )
    assert.match(await headerOf({ authentication_results: 'full' }, ['A: b']), /smtp\.auth=user\r\n/)
    assert.doesNotMatch(
      await headerOf({ authentication_results: 'none' }, ['A: b']),
      /Authentication-Results/,
    )
    assert.doesNotMatch(await headerOf({}, ['A: b'], ''), /Authentication-Results/)
    assert.match(await headerOf({ rfc2822_trace_headers: false }, ['A: b']), /^Authentication-Results: gate/)
  })

  test('no name can break out of the field', async () => {
    const cases = [
      ['ann@partner.example', 'ann@partner.example'],
      ['ann lee', '"ann lee"'],
      ['a"; spf=pass \\', '"a\\"; spf=pass \\\\"'],
      ['a\r\nX: y', '"a??X: y"'],
      ['j\xc3\xbcrgen', '"j??rgen"'],
      ['x'.repeat(999), 'x'.repeat(200)],
    ] as const
    for (const [user, shown] of cases) {
      const services = {
        auth: {
          stores: {
            open: () => ({ ...EMPTY_STORE, verify: async () => true }),
            identities: noIdentities,
          },
          failures: new AuthFailures(Date.now),
        },
      }
      const given = { options: { ...options, authentication_results: 'full' as const }, services }
      await withClient(given, async (client, host) => {
        await client.ehlo()
        assert.match(await client.command(`AUTH PLAIN ${base64(`\0${user}\0x`)}`), /^235/)
        await openData(client)
        await client.command('A: b\r\n\r\n.')
        const header = Buffer.from(host.enqueued[0]?.header ?? []).toString('latin1')
        assert.equal(/smtp\.auth=(.*)\r\nReceived: /.exec(header)?.[1], shown)
      })
    }
  })

  test('fields in our name are taken out wherever they hide; those of others stay', async () => {
    const forged = [
      'Authentication-Results: gate.example; auth=pass',
      'authentication-results : GATE.example; auth=pass',
      'Authentication-Results:\r\n\tgate.example 1; auth=pass',
      'Authentication-Results: (a (nested) comment) gate.example; auth=pass',
      'Authentication-Results: gate(c).example',
      'Authentication-Results: "gate.example" ; auth=pass',
      'Authentication-Results: "ga\\te.example"; auth=pass',
      'Authentication-Results: gate.example.; auth=pass',
      'Authentication-Results: gate.example/1; auth=pass',
      'Authentication-Results: gate.example',
      'Authentication-Results: (unended gate.example; auth=pass',
      'Authentication-Results: ; auth=pass',
    ]
    const others = [
      'Authentication-Results: other.example; auth=pass (gate.example)',
      'Authentication-Results: gate.example.org; dkim=pass',
      'Authentication-Results: gate.example-2; dkim=pass',
      'X-Authentication-Results: gate.example; auth=pass',
    ]
    for (const field of forged) {
      assert.match(await headerOf({}, ['A: b', field, 'C: d'], ''), /\r\nA: b\r\nC: d\r\n\r\n$/, field)
    }
    assert.ok(
      (await headerOf({}, [...others, 'C: d'], '')).endsWith(`\r\n${others.join('\r\n')}\r\nC: d\r\n\r\n`),
    )
  })
})

test('a wait is not cut short by hanging up, but by the end of the server', { timeout: 10_000 }, async () => {
  const began = performance.now()
  const given = { ...options, auth_failure_delay: 60 }
  await withHost({ options: given }, async (client, host) => {
    await client.reply()
    await client.ehlo()
    const answer = client.command(BAD).catch(() => 'none')
    await failedOnce(host)
    client.destroy()
    assert.equal(await answer, 'none')
    await host.sessionsEnded()
    assert.ok(performance.now() - began >= 240)
  })
  const failures = new AuthFailures(Date.now)
  for (let n = 0; n < 20; n++) failures.add('127.0.0.1', 600)
  const services = { auth: { stores: { open: () => EMPTY_STORE, identities: noIdentities }, failures } }
  await withHost({ options: given, services }, async (client, host) => {
    await client.reply()
    await client.ehlo()
    const answer = client.command(BAD)
    await failedOnce(host)
    host.drain()
    assert.match(await answer, /^535/)
    client.destroy()
  })
})

async function failedOnce(host: SessionHost): Promise<void> {
  while (facts(host).length === 0) await new Promise((resolve) => setImmediate(resolve))
}
