/** Policy around a handshake: it can set parameters and distrust a peer; it can raise nobody. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { SmtpClient } from '../../test/support/smtp-client.ts'
import type { InboundValues } from '../config/settings.ts'
import type { PresentedCertificate } from '../policy/phases.ts'
import type { Verdict } from '../policy/verdict.ts'
import type { HandshakeParameters } from '../tls/gate.ts'
import type { ClientKind } from '../tls/pki.ts'
import type { HostOptions, ScriptedPolicy, SessionHost } from './session-host.fixture.ts'
import type { TlsFiles } from './tls-host.fixture.ts'
import { makeTlsFiles } from './tls-host.fixture.ts'
import { withClient } from './with-client.fixture.ts'

let files: TlsFiles
before(async () => {
  files = await makeTlsFiles()
})
after(() => files.remove())

const refuse: Verdict = { kind: 'reply', code: 550, text: '5.7.1 no', module: 'test' }
const accept: Verdict = { kind: 'reply', code: 250, text: '2.0.0 yes', module: 'test' }

async function withPolicy(
  policy: ScriptedPolicy,
  body: (client: SmtpClient, host: SessionHost) => Promise<void>,
  given: Partial<InboundValues> = {},
): Promise<void> {
  const options: Partial<InboundValues> = { ...files.options, ...given }
  const host: HostOptions = { options, policy, tls: await files.gate(options) }
  await withClient(host, body)
}

async function startTls(client: SmtpClient, kind?: ClientKind): Promise<void> {
  assert.equal(await client.command('STARTTLS'), '220 2.0.0 Ready to start TLS')
  await client.secure(kind === undefined ? {} : files.pki.clients[kind])
}

/** the context after a handshake in which policy answered this */
async function contextAfter(
  verdict: Verdict | undefined,
  kind: ClientKind | undefined,
  given?: Partial<InboundValues>,
): Promise<Map<string, string>> {
  let context = new Map<string, string>()
  const body = async (client: SmtpClient): Promise<void> => {
    await startTls(client, kind)
    context = await client.context()
  }
  await withPolicy({ tls_verify: () => verdict }, body, given)
  return context
}

test('a verified peer that policy refuses is unverified, with the cause policy, and may not relay', async () => {
  const given: Partial<InboundValues> = { tls_verified_peer_can_relay: true }
  const trusted = await contextAfter(undefined, 'valid', given)
  assert.equal(trusted.get('connection.tls_client_verified'), 'yes')
  assert.equal(trusted.get('connection.can_relay'), 'true')
  const distrusted = await contextAfter(refuse, 'valid', given)
  assert.equal(distrusted.get('connection.tls'), 'on')
  assert.equal(distrusted.get('connection.tls_client_verified'), undefined)
  assert.equal(distrusted.get('connection.tls_client_verify_error'), 'policy')
  assert.equal(distrusted.get('connection.can_relay'), undefined)
  assert.notEqual(distrusted.get('connection.tls_client_cert_subject'), undefined)
})

test('nothing that policy answers makes an unverified peer a verified one', async () => {
  const unverified = {
    untrusted: 'untrusted',
    expired: 'expired',
    'wrong-usage': 'wrong-usage',
  } as const
  for (const [kind, cause] of Object.entries(unverified)) {
    for (const verdict of [undefined, accept, { kind: 'done' } as const, refuse]) {
      const context = await contextAfter(verdict, kind as ClientKind, { tls_verified_peer_can_relay: true })
      assert.equal(context.get('connection.tls_client_verified'), undefined, kind)
      assert.equal(context.get('connection.tls_client_verify_error'), cause, kind)
      assert.equal(context.get('connection.can_relay'), undefined, kind)
    }
  }
  const anonymous = await contextAfter(accept, undefined)
  assert.equal(anonymous.get('connection.tls_client_verified'), undefined)
})

test('policy is asked about every certificate, the leaf last; once without any; in every mode', async () => {
  const asked: PresentedCertificate[] = []
  const policy: ScriptedPolicy = {
    tls_verify: ({ session, certificate }) => {
      // nothing rests on the certificate yet
      assert.equal(session.peer.kind, 'plaintext')
      assert.equal(session.context.get('connection', 'tls_client_verified'), '')
      asked.push(certificate)
      return undefined
    },
  }
  const valid = files.pki.clients.valid
  await withPolicy(policy, async (client) => {
    assert.equal(await client.command('STARTTLS'), '220 2.0.0 Ready to start TLS')
    await client.secure({ cert: `${valid.cert}${files.pki.files.get('ca.pem')}`, key: valid.key })
    await client.context()
  })
  assert.ok(asked.length >= 2)
  const leaf = asked.at(-1)
  assert.equal(leaf?.verified, true)
  assert.equal(leaf?.issuer, asked[0]?.subject)
  assert.notEqual(leaf?.subject, leaf?.issuer)
  for (const [kind, mode] of [
    [undefined, undefined],
    ['valid', 'none'],
  ] as const) {
    asked.length = 0
    await withPolicy(
      policy,
      async (client) => {
        await startTls(client, kind)
        await client.context()
      },
      mode === undefined ? {} : { tls_verify_mode: mode },
    )
    assert.deepEqual(asked, [{ verified: false, subject: undefined, issuer: undefined }])
  }
})

test('an error of a script, or a disconnect, ends the session inside TLS; the peer was never verified', async () => {
  const policy: ScriptedPolicy = {
    tls_verify: () => ({ kind: 'disconnect', code: 421, text: '4.3.0 oops', module: 'test' }),
  }
  await withPolicy(policy, async (client, host) => {
    await startTls(client, 'valid')
    assert.equal(await client.reply(), '421 4.3.0 oops')
    const [told] = host.events.filter((event) => event.kind === 'tls')
    assert.equal(told?.outcome, 'unverified')
    assert.equal(told?.cause, 'policy')
  })
  const failing: ScriptedPolicy = {
    tls_verify: () => {
      throw new Error('oops')
    },
  }
  await withPolicy(failing, async (client) => {
    await startTls(client, 'valid')
    assert.match(await client.reply(), /^421 /)
  })
})

test('where policy has a say no ticket is given and none is taken, in TLS 1.2 and 1.3', async () => {
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    const options: Partial<InboundValues> = { ...files.options }
    const tls = await files.gate(options)
    let session: Buffer | undefined
    const connect = (policy: ScriptedPolicy, check: (client: SmtpClient) => void): Promise<void> =>
      withClient({ options, policy, tls }, async (client) => {
        assert.match(await client.command('STARTTLS'), /^220/)
        await client.secure({
          ...files.pki.clients.valid,
          maxVersion,
          ...(session === undefined ? {} : { session }),
        })
        await client.context()
        check(client)
      })
    const without = (client: SmtpClient): void => {
      assert.equal(client.tls.isSessionReused(), false)
      session = client.session
    }
    for (const policy of [
      { tls_verify: () => undefined },
      { tls_parameters: () => undefined },
    ] satisfies ScriptedPolicy[]) {
      // OpenSSL gives a TLS 1.3 client a number in the place of a ticket: it is good for nothing
      await connect(policy, without)
      await connect(policy, without)
      await connect({}, without)
      session = undefined
    }
    await connect({}, (client) => {
      session = client.session
    })
    assert.notEqual(session, undefined)
    // a ticket of before leads to a full handshake: the script is asked about the chain
    let asked = 0
    const verify: ScriptedPolicy = {
      tls_verify: () => {
        asked += 1
        return undefined
      },
    }
    await connect(verify, (client) => assert.equal(client.tls.isSessionReused(), false))
    assert.ok(asked >= 1)
    // and without the script it is good
    await connect({}, (client) => assert.equal(client.tls.isSessionReused(), true))
  }
})

type SetParameters = (parameters: HandshakeParameters) => void

function setting(set: SetParameters) {
  const policy: ScriptedPolicy = {
    tls_parameters: ({ parameters }) => {
      set(parameters)
      return undefined
    },
  }
  return (body: (client: SmtpClient) => Promise<void>, given?: Partial<InboundValues>): Promise<void> =>
    withPolicy(policy, body, given)
}

test('parameters that policy sets stand above the scope', async () => {
  await setting((parameters) => {
    parameters.mode = 'require'
  })(async (client) => {
    assert.match(await client.command('STARTTLS'), /^220/)
    await assert.rejects(async () => {
      await client.secure({ maxVersion: 'TLSv1.2' })
      await client.command('NOOP')
    })
  })
  await setting((parameters) => {
    parameters.mode = 'none'
  })(
    async (client) => {
      await startTls(client, 'valid')
      const context = await client.context()
      assert.equal(context.get('connection.tls_verify_mode'), 'none')
      assert.equal(context.get('connection.tls_verify_mode_from'), 'policy')
      assert.equal(context.get('connection.tls_client_verified'), undefined)
    },
    { tls_verify_mode: 'require' },
  )
  await setting((parameters) => {
    parameters.ca = join(files.folder, 'ca.pem')
  })(
    async (client) => {
      await startTls(client, 'valid')
      assert.equal((await client.context()).get('connection.tls_client_verified'), 'yes')
    },
    { tls_client_ca: undefined },
  )
})

test('parameters that cannot be used refuse STARTTLS, and nothing is put in their place', async () => {
  for (const broken of [
    { ca: join(files.folder, 'missing.pem') },
    { ca: join(files.folder, 'server.key') },
    { certificate: join(files.folder, 'server.pem'), key: join(files.folder, 'ca.key') },
    { key: join(files.folder, 'server.key') },
    { ciphers: 'NO-SUCH-SUITE' },
  ]) {
    const policy: ScriptedPolicy = {
      tls_parameters: ({ parameters }) => {
        Object.assign(parameters, broken)
        return undefined
      },
    }
    await withPolicy(policy, async (client) => {
      assert.match(await client.command('STARTTLS'), /^454 4\.7\.0/, JSON.stringify(broken))
      // the session goes on in clear text
      assert.match(await client.command('NOOP'), /^250/)
    })
  }
  const never: ScriptedPolicy = {
    tls_parameters: ({ parameters }) => {
      parameters.use = false
      return undefined
    },
  }
  await withPolicy(never, async (client) => {
    assert.equal(await client.command('STARTTLS'), '454 4.7.0 TLS not available')
  })
})

test('a pathway that the verify hook chooses does not inherit the verdict of the scope before', async () => {
  const options: Partial<InboundValues> = { ...files.options }
  const policy: ScriptedPolicy = {
    tls_verify: ({ session }) => {
      session.context.set('connection', 'pathway', 'strict')
      return undefined
    },
  }
  const pathways = { strict: { tls_verify_mode: 'require' as const } }
  const host: HostOptions = { options, policy, pathways, tls: await files.gate(options) }
  await withClient(host, async (client) => {
    await startTls(client, 'valid')
    assert.match(await client.command('NOOP'), /^421 4\.7\.0/)
  })
})
