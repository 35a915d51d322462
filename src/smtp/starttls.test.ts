import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { SmtpClient } from '../../test/support/smtp-client.ts'
import { ConnectionLost } from '../../test/support/smtp-client.ts'
import type { InboundValues } from '../config/settings.ts'
import type { Rejection, ServerEvent } from '../events/events.ts'
import type { ValidationContext } from '../policy/context.ts'
import type { HostOptions, SessionHost } from './session-host.fixture.ts'
import type { TlsFiles } from './tls-host.fixture.ts'
import { makeTlsFiles } from './tls-host.fixture.ts'
import { openData, withClient, withHost } from './with-client.fixture.ts'

let files: TlsFiles
before(async () => {
  files = await makeTlsFiles()
})
after(() => files.remove())

/** A host with TLS; the banner has been read. */
async function withTls(
  given: Omit<HostOptions, 'tls'>,
  body: (client: SmtpClient, host: SessionHost) => Promise<void>,
): Promise<void> {
  await withClient(await tlsHost(given), body)
}

async function tlsHost(given: Omit<HostOptions, 'tls'>): Promise<HostOptions> {
  const options: Partial<InboundValues> = { ...files.options, ...given.options }
  return { ...given, options, tls: await files.gate(options) }
}

async function startTls(client: SmtpClient, kind?: 'valid' | 'untrusted' | 'wrong-usage'): Promise<void> {
  assert.equal(await client.command('STARTTLS'), '220 2.0.0 Ready to start TLS')
  await client.secure(kind === undefined ? {} : files.pki.clients[kind])
}

test('after STARTTLS everything from before is forgotten, and the TLS keys are set', async () => {
  const options: Partial<InboundValues> = {
    allow_plaintext_auth: true,
    authplainparameters: { uri: 'file:///x' },
    smtp_extensions: ['STARTTLS', 'XDUMPCONTEXT', 'AUTH PLAIN'],
    context: { site: 'north' },
    require_ehlo: true,
  }
  const policy: HostOptions['policy'] = {
    connect: ({ session }) => {
      session.context.set('connection', 'from_connect', '1')
      return undefined
    },
    ehlo: ({ session }) => {
      session.context.set('connection', 'from_ehlo', '1')
      return undefined
    },
  }
  await withTls({ options, policy }, async (client) => {
    assert.ok((await client.ehlo()).includes('STARTTLS'))
    assert.match(await client.command('AUTH PLAIN AHVzZXIAc2VjcmV0'), /^235 /)
    const before = await client.context()
    assert.equal(before.get('connection.auth_user'), 'user')
    assert.equal(before.get('connection.can_relay'), 'true')
    await startTls(client, 'valid')
    const context = await client.context()
    for (const key of [
      'ehlo_string',
      'ehlo_domain',
      'auth_user',
      'auth_status',
      'auth_name',
      'can_relay',
      'from_ehlo',
    ]) {
      assert.equal(context.get(`connection.${key}`), undefined, key)
    }
    assert.equal(context.get('connection.from_connect'), '1')
    assert.equal(context.get('connection.site'), 'north')
    assert.equal(context.get('connection.tls'), 'on')
    assert.equal(context.get('connection.tls_client_verified'), 'yes')
    assert.match(await client.command('MAIL FROM:<>'), /^550 5\.5\.1/)
    const capabilities = await client.ehlo()
    assert.ok(!capabilities.includes('STARTTLS'))
    assert.ok(capabilities.includes('AUTH PLAIN'))
    assert.match(await client.command('STARTTLS'), /^503/)
    assert.match(await client.command('AUTH PLAIN AHVzZXIAc2VjcmV0'), /^235 /)
    await client.command('MAIL FROM:<>')
    assert.match(await client.command('RCPT TO:<x@elsewhere.example>'), /^250/)
  })
})

test('a certificate for servers alone is told where TLS_Client_EKU asks: in the context and with the handshake', async () => {
  for (const eku of ['clientAuth', 'report'] as const) {
    await withTls({ options: { tls_client_eku: eku } }, async (client, host) => {
      await startTls(client, 'wrong-usage')
      const context = await client.context()
      const told = eku === 'report'
      assert.equal(context.get('connection.tls_client_cert_server_only'), told ? 'yes' : undefined)
      assert.equal(context.get('connection.tls_client_verified'), undefined)
      assert.equal(context.get('connection.tls_client_verify_depth'), '0')
      const [fact] = host.events.filter((event) => event.kind === 'tls')
      assert.equal(fact?.serverOnly?.subject, told ? 'CN=client-wrong-usage.example' : undefined)
    })
  }
})

test('Received says how the message came, and what the certificate was worth', async () => {
  const cases = [
    [
      'valid',
      /with ESMTPS\r\n\t\(using TLSv1\.3 .* client certificate 'client-valid\.example' .* verified\)/,
    ],
    [
      'untrusted',
      /with ESMTPS\r\n\t\(using TLSv1\.3 .* client certificate 'client-untrusted\.example' NOT verified: untrusted\)/,
    ],
    [undefined, /with ESMTPS\r\n\t\(using TLSv1\.3 .* no client certificate presented\)/],
  ] as const
  for (const [kind, expected] of cases) {
    await withTls({}, async (client, host) => {
      await startTls(client, kind)
      await client.ehlo()
      await openData(client)
      assert.match(await client.command('A: b\r\n\r\nbody\r\n.'), /^250/)
      assert.match(Buffer.from(host.enqueued[0]?.header ?? []).toString('latin1'), expected)
      const tls = host.events.filter((event) => event.kind === 'tls')
      assert.equal(tls.length, 1)
      assert.equal(
        tls[0]?.outcome,
        kind === 'valid' ? 'verified' : kind === 'untrusted' ? 'unverified' : 'anonymous',
      )
    })
  }
})

test('STARTTLS is refused within a transaction, with arguments, and where it is not offered', async () => {
  await withTls({}, async (client) => {
    await client.ehlo()
    await client.command('MAIL FROM:<>')
    assert.match(await client.command('STARTTLS'), /^503 5\.5\.1/)
    assert.match(await client.command('RCPT TO:<x@local.example>'), /^250/)
    await client.command('RSET')
    assert.match(await client.command('STARTTLS now'), /^501 5\.5\.4/)
    await startTls(client)
  })
  await withClient({ options: files.options }, async (client) => {
    assert.ok(!(await client.ehlo()).includes('STARTTLS'))
    assert.match(await client.command('STARTTLS'), /^454 4\.7\.0/)
  })
})

test('bytes behind STARTTLS: reject ends the session, ignore drops them, allow runs them inside TLS', async () => {
  await withTls({}, async (client, host) => {
    client.sendRaw('STARTTLS\r\nEHLO evil.example\r\n')
    assert.match(await client.reply(), /^421 4\.7\.0/)
    await client.closed()
    assert.deepEqual(host.rejected(), [
      'awaiting ehlo/helo: 421 4.7.0 commands after STARTTLS are not accepted (tls)',
    ])
  })
  await withTls({ options: { starttls_injection_policy: 'ignore' } }, async (client) => {
    client.sendRaw('STARTTLS\r\nEHLO evil.example\r\nNO')
    assert.match(await client.reply(), /^220/)
    await client.secure({})
    assert.equal((await client.context()).get('connection.ehlo_domain'), undefined)
    assert.match(await client.command('NOOP'), /^250/)
  })
  await withTls({ options: { starttls_injection_policy: 'allow' } }, async (client) => {
    client.sendRaw('STARTTLS\r\nEHLO evil.example\r\n')
    assert.match(await client.reply(), /^220/)
    await client.secure({})
    assert.match(await client.reply(), /^250-/)
    assert.equal((await client.context()).get('connection.ehlo_domain'), 'evil.example')
  })
})

test('a fault of ours in the handshake says nothing more, in clear or otherwise, and is told once', async () => {
  const tls = { offers: () => true, accept: () => Promise.reject(new Error('odd')) }
  await withClient({ tls, options: { smtp_extensions: ['STARTTLS'] } }, async (client, host) => {
    assert.match(await client.command('STARTTLS'), /^220/)
    await client.closed()
    await host.sessionsEnded()
    assert.equal(client.pending, '')
    assert.deepEqual(host.rejected(), ['awaiting ehlo/helo: 421 internal error (tls)'])
    assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 1)
  })
})

test('a pathway chosen in clear text keeps its context keys through the handshake', async () => {
  const policy = {
    ehlo: ({ session }: { session: { context: ValidationContext } }) => {
      session.context.set('connection', 'pathway', 'strict')
      return undefined
    },
  }
  const options = { context: { trusted: 'yes', site: 'a' } }
  const pathways = { strict: { ...files.options, context: { trusted: 'no', site: 'a' } } }
  await withTls({ options, pathways, policy }, async (client) => {
    await client.ehlo()
    assert.equal((await client.context()).get('connection.trusted'), 'no')
    await startTls(client)
    const context = await client.context()
    assert.equal(context.get('connection.pathway'), 'strict')
    assert.equal(context.get('connection.trusted'), 'no')
    assert.equal(context.get('connection.site'), 'a')
  })
})

test('commands that race the handshake are never run', async () => {
  await withTls({}, async (client, host) => {
    assert.match(await client.command('STARTTLS'), /^220/)
    client.sendRaw('EHLO evil.example\r\nMAIL FROM:<>\r\n')
    await client.closed()
    await host.sessionsEnded()
    assert.equal(client.pending.includes('250'), false)
    assert.equal(host.rejections().length, 1)
    assert.equal(host.rejections()[0]?.module, 'tls')
  })
})

test('require: without a certificate no SMTP inside TLS, with any certificate the session goes on', async () => {
  const options = { tls_verify_mode: 'require' } as const
  await withTls({ options }, async (client, host) => {
    await client.command('STARTTLS')
    await client.secure({}).catch(() => undefined)
    client.send('NOOP')
    assert.ok((await client.closed()) instanceof ConnectionLost)
    await host.sessionsEnded()
    assert.equal(client.pending, '')
    const [rejection] = host.rejections()
    assert.equal(host.rejections().length, 1)
    assert.equal(rejection?.module, 'tls')
    assert.match(rejection?.text ?? '', /peer did not return a certificate/)
    assert.deepEqual(tlsOutcomes(host.events), ['failed'])
  })
  await withTls({ options }, async (client) => {
    await startTls(client, 'untrusted')
    const context = await client.context()
    assert.equal(context.get('connection.tls_client_verified'), undefined)
    assert.equal(context.get('connection.tls_client_verify_error'), 'untrusted')
  })
})

test('a handshake that stalls ends by its deadline', async () => {
  await withTls({ options: { tls_handshake_timeout: 0.1 } }, async (client, host) => {
    await client.command('STARTTLS')
    await client.closed()
    await host.sessionsEnded()
    assert.equal(host.rejections()[0]?.text, 'handshake timeout')
  })
})

test('the tls phase is asked after the handshake, and whatever it refuses ends the session inside TLS', async () => {
  for (const kind of ['reply', 'disconnect'] as const) {
    const policy: HostOptions['policy'] = {
      tls: ({ session }) =>
        session.context.get('connection', 'tls_client_verified') === 'yes'
          ? undefined
          : { kind, code: 550, text: '5.7.1 a certificate is needed', module: 'script' },
    }
    await withTls({ policy }, async (client, host) => {
      await startTls(client)
      assert.equal(await client.reply(), '550 5.7.1 a certificate is needed')
      await client.closed()
      assert.equal(host.rejections().length, 1)
    })
    await withTls({ policy }, async (client) => {
      await startTls(client, 'valid')
      assert.match(await client.command('NOOP'), /^250/)
    })
  }
})

test('implicit TLS: the handshake comes before the banner, the tls phase is asked, refusals are said inside', async () => {
  let refuse = false
  const order: string[] = []
  const given = await tlsHost({
    options: { use_ssl: true },
    policy: {
      connect: () => {
        order.push('connect')
        return refuse ? { kind: 'reply', code: 554, text: '5.7.1 no', module: 'script' } : undefined
      },
      tls: () => {
        order.push('tls')
        return undefined
      },
    },
  })
  await withHost(given, async (client) => {
    await client.secure(files.pki.clients.valid)
    assert.match(await client.reply(), /^220 /)
    assert.deepEqual(order, ['connect', 'tls'])
    assert.ok(!(await client.ehlo()).includes('STARTTLS'))
    assert.match(await client.command('STARTTLS'), /^503/)
    assert.equal((await client.context()).get('connection.tls'), 'on')
  })
  refuse = true
  await withHost(given, async (client, host) => {
    await client.secure({})
    assert.equal(await client.reply(), '554 5.7.1 no')
    await client.closed()
    assert.equal(host.rejections().length, 1)
  })
  await withHost(given, async (client, host) => {
    client.sendRaw('EHLO plain.example\r\n')
    await client.closed()
    await host.sessionsEnded()
    assert.equal(client.pending.includes('220'), false)
    assert.equal((host.rejections()[0] as Rejection).state, 'just connected')
  })
})

test('implicit TLS: a client that leaves while policy lets it wait does not hold its handshake', {
  timeout: 10_000,
}, async () => {
  const then = { kind: 'continue' } as const
  // oxlint-disable-next-line unicorn/no-thenable -- the Verdict's own word; it holds no function
  const policy = { connect: () => ({ kind: 'tarpit', seconds: 0.2, then }) as const }
  const options = { use_ssl: true, tls_handshake_timeout: 60 }
  await withHost(await tlsHost({ options, policy }), async (client, host) => {
    const shaking = client.secure({}).catch(() => undefined)
    await new Promise((resolve) => setTimeout(resolve, 100))
    client.destroy()
    await host.sessionsEnded()
    await shaking
  })
})

test('a verified peer may relay only where the scope says so, and only under the rules it was judged by', async () => {
  const relays = async (
    options: Partial<InboundValues>,
    pathway?: Partial<InboundValues>,
  ): Promise<string> => {
    let reply = ''
    const policy: HostOptions['policy'] = {
      ehlo: ({ session }) => {
        if (pathway !== undefined) session.context.set('connection', 'pathway', 'other')
        return undefined
      },
    }
    const pathways = pathway === undefined ? {} : { other: { ...files.options, ...options, ...pathway } }
    await withTls({ options, policy, pathways }, async (client) => {
      await startTls(client, 'valid')
      await client.ehlo()
      await client.command('MAIL FROM:<>')
      reply = (await client.command('RCPT TO:<x@elsewhere.example>')).slice(0, 9)
    })
    return reply
  }
  assert.equal(await relays({}), '550 5.7.1')
  assert.equal(await relays({ tls_verified_peer_can_relay: true }), '250 2.1.5')
  const other = { path: `${files.folder}/other-ca.pem`, text: 'other-ca.pem' }
  assert.equal(await relays({}, { tls_verified_peer_can_relay: true }), '250 2.1.5')
  assert.equal(await relays({}, { tls_verified_peer_can_relay: true, tls_client_ca: other }), '550 5.7.1')
})

test('a script that moves a TLS session to a scope that requires a certificate cannot leave it without one', async () => {
  const policy: HostOptions['policy'] = {
    ehlo: ({ session }) => {
      session.context.set('connection', 'pathway', 'strict')
      return undefined
    },
  }
  const pathways = { strict: { ...files.options, tls_verify_mode: 'require' as const } }
  await withTls({ policy, pathways }, async (client, host) => {
    await startTls(client)
    assert.equal(await client.command('EHLO x'), '421 4.7.0 TLS Negotiation failed.')
    await client.closed()
    assert.equal(host.rejections().length, 1)
  })
})

test('close_notify in mid-message keeps nothing', async () => {
  await withTls({}, async (client, host) => {
    await startTls(client)
    await openData(client)
    client.sendRaw('A: b\r\n\r\nhalf')
    client.end()
    await client.closed()
    await host.sessionsEnded()
    assert.equal(host.enqueued.length, 0)
  })
})

function tlsOutcomes(events: readonly ServerEvent[]): string[] {
  return events.filter((event) => event.kind === 'tls').map(({ outcome }) => outcome)
}
