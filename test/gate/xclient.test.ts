/**
 * XCLIENT, XREMOTEIP and XSETCONTEXT, end to end: the session becomes that of the client that a trusted proxy names, and
 * nothing that the proxy was granted, and no certificate of the proxy's, helps that client.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const PROXY = '127.0.70.1'
/** trusted by the Listen that trusts everybody */
const OPEN = 1

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verified_Peer_Can_Relay = true
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  Allow_Plaintext_Auth = true
  Context = [ from = "listener" ]

  Peer "${PROXY}" {
    SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" "XCLIENT" "XREMOTEIP" "XSETCONTEXT" )
    Relay_Hosts = ( ${PROXY} )
    Context = [ from = "proxy" only_proxy = "yes" ]
    Pathway = "inner"
  }
  Peer "127.0.70.3" { SMTP_Extensions = ( "XREMOTEIP" ) }
  Peer "192.0.2.0/24" { TLS_Verify_Mode = require Context = [ from = "strict" ] }
  Peer "198.51.100.7" { Relay_Hosts = ( 198.51.100.7 ) Banner_Hostname = "friend.example" }
  Peer "198.51.100.8" { Pathway = "outer" }
  Peer "203.0.113.9" { Listener_Sessions = 1 }

  Listen "127.0.0.1:0" { }
  Listen "127.0.0.2:0" { SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "XCLIENT" "XREMOTEIP" "XSETCONTEXT" ) }
}
Pathway "inner" { }
Pathway "outer" { }
scriptlet "scriptlet" { script "gate" { source = "gate.lua" } }
${MAILDIR}`

const script = `
require("msys.core")
local mod = {}
function mod:validate_connect(ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "met", tostring(ac.remote_addr))
  vctx:set(msys.core.VCTX_CONN, "saw", vctx:get(msys.core.VCTX_CONN, "xclient_login") .. "/" .. vctx:get(msys.core.VCTX_CONN, "tenant"))
  if string.find(tostring(ac.remote_addr), "203.0.113.66", 1, true) then
    vctx:set_code(554, "5.7.1 no " .. tostring(ac.remote_addr))
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end
function mod:validate_ehlo(str, ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "noted", "ehlo")
  return msys.core.VALIDATE_CONT
end
msys.registerModule("gate", mod)
`

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki, files: { 'gate.lua': script, users: 'ann:secret\n' } })
})
after(() => gate.stop())

async function proxy(listen = 0, from = PROXY): Promise<SmtpClient> {
  const client = await SmtpClient.connect({ ...gate.address(listen), from })
  assert.match(await client.reply(), /^220 /)
  await client.ehlo('proxy.example')
  return client
}

async function starttls(client: SmtpClient, withCertificate = true): Promise<void> {
  assert.match(await client.command('STARTTLS'), /^220 /)
  const { cert, key } = pki.clients.valid
  await client.secure(withCertificate ? { cert, key } : {})
  await client.ehlo('proxy.example')
}

async function relays(client: SmtpClient): Promise<boolean> {
  assert.match(await client.command('MAIL FROM:<a@client.example>'), /^250 /)
  const reply = await client.command('RCPT TO:<b@elsewhere.example>')
  await client.command('RSET')
  return reply.startsWith('250 ')
}

async function seenAs(client: SmtpClient): Promise<string> {
  return /to (\S+)/.exec(await client.command('EHLO client.example'))?.[1] ?? ''
}

const login = `AUTH PLAIN ${Buffer.from('\0ann\0secret').toString('base64')}`

/** Both ways of naming a client. */
const ways = [
  { verb: 'XCLIENT', name: (address: string) => `XCLIENT ADDR=${address} PORT=1234`, code: /^220 / },
  { verb: 'XREMOTEIP', name: (address: string) => `XREMOTEIP ${address}`, code: /^250 / },
] as const

for (const { verb, name, code } of ways) {
  describe(`${verb} names the client`, () => {
    test('the scope is that of its address, and the proxy’s own is gone', async () => {
      const client = await proxy()
      assert.equal((await client.context()).get('connection.only_proxy'), 'yes')
      assert.match(await client.command(name('198.51.100.8')), code)
      const context = await client.context()
      assert.equal(context.get('connection.from'), 'listener')
      assert.equal(context.get('connection.only_proxy'), undefined)
      assert.equal(context.get('connection.pathway'), 'outer')
      assert.equal(await seenAs(client), '198.51.100.8')
      client.destroy()
    })

    test('what the proxy may relay, its client may not', async () => {
      const client = await proxy()
      assert.equal(await relays(client), true)
      assert.match(await client.command(name('198.51.100.9')), code)
      assert.equal((await client.context()).get('connection.can_relay'), undefined)
      assert.equal(await relays(client), false)
      const rejection = await gate.event('rejection', ({ remote }) => remote.address === '198.51.100.9')
      assert.equal(rejection.state, 'relaying denied')
      client.destroy()
    })

    test('what the client may relay is granted by its own address', async () => {
      const client = await proxy()
      assert.match(await client.command(name('198.51.100.7')), code)
      assert.equal(await relays(client), true)
      client.destroy()
    })

    test('STARTTLS does not bring the proxy’s grants back', async () => {
      const client = await proxy()
      assert.match(await client.command(name('198.51.100.9')), code)
      await starttls(client, false)
      assert.equal(await seenAs(client), '198.51.100.9')
      assert.equal((await client.context()).get('connection.only_proxy'), undefined)
      assert.equal(await relays(client), false)
      client.destroy()
    })

    test('authentication ends', async () => {
      const client = await proxy()
      assert.match(await client.command(login), /^235 /)
      assert.match(await client.command(name('198.51.100.9')), code)
      const context = await client.context()
      assert.equal(context.get('connection.auth_user'), undefined)
      assert.equal(context.get('connection.auth_status'), undefined)
      assert.equal(await relays(client), false)
      client.destroy()
    })

    test('policy meets the new client, and its notes on the old one are gone', async () => {
      const client = await proxy()
      assert.equal((await client.context()).get('connection.noted'), 'ehlo')
      assert.match(await client.command(name('198.51.100.9')), code)
      const context = await client.context()
      assert.equal(context.get('connection.noted'), undefined)
      assert.match(context.get('connection.met') ?? '', /^198\.51\.100\.9/)
      client.destroy()
    })

    test('policy that refuses the new client ends the session', async () => {
      const client = await proxy()
      assert.match(await client.command(name('203.0.113.66')), /^554 5\.7\.1 no 203\.0\.113\.66/)
      await client.closed()
      const rejection = await gate.event('rejection', ({ code }) => code === 554)
      assert.equal(rejection.remote.address, '203.0.113.66')
    })

    test('a certificate is the proxy’s, and says nothing of the client', async () => {
      const client = await proxy()
      await starttls(client)
      assert.equal((await client.context()).get('connection.tls_client_verified'), 'yes')
      assert.match(await client.command(name('198.51.100.9')), code)
      const context = await client.context()
      assert.equal(context.get('connection.tls'), 'on')
      assert.deepEqual(
        [...context.keys()].filter((key) => key.startsWith('connection.tls_client_')),
        [],
      )
      assert.equal(await relays(client), false)
      client.destroy()
    })

    test('a certificate that is presented later is not the client’s either', async () => {
      const client = await proxy()
      assert.match(await client.command(name('198.51.100.9')), code)
      await starttls(client)
      assert.equal((await client.context()).get('connection.tls_client_verified'), undefined)
      assert.equal(await relays(client), false)
      client.destroy()
    })

    for (const when of ['before', 'after'] as const) {
      test(`in a scope that requires a certificate, named ${when} TLS: 421`, async () => {
        const client = await proxy()
        if (when === 'after') await starttls(client)
        assert.match(await client.command(name('192.0.2.1')), code)
        if (when === 'before') {
          assert.match(await client.command('STARTTLS'), /^220 /)
          const { cert, key } = pki.clients.valid
          await client.secure({ cert, key })
        }
        assert.match(await client.command('NOOP'), /^421 4\.7\.0 /)
        await client.closed()
        const named = gate.events.findLast((event) => event.kind === 'tls')?.connectionId
        const record = await gate.event('decision', ({ connectionId }) => connectionId === named)
        const [change, ...more] = record.changes
        assert.deepEqual(more, [])
        assert.deepEqual(
          [change?.by, change?.was.address, change?.remote.address, change?.mode],
          [verb, PROXY, '192.0.2.1', 'require'],
        )
        assert.match(change?.scope ?? '', /192\.0\.2\.0\/24/)
        assert.match(change?.modeFrom ?? '', /gate\.conf:\d+$/)
        // before TLS there is nothing to withdraw; afterwards what the proxy showed counts for nothing
        assert.deepEqual(
          [change?.peer, change?.lacksCertificate],
          when === 'before' ? ['plaintext', false] : ['anonymous', true],
        )
        assert.deepEqual(
          [record.remote.address, record.outcome],
          when === 'before' ? ['192.0.2.1', 'anonymous'] : [PROXY, 'verified'],
        )
        assert.deepEqual(
          record.answers.map(({ code, module }) => [code, module]),
          [[421, 'tls']],
        )
        assert.equal(record.end?.how, 'closed')
      })
    }

    test('in a scope that requires a certificate, a session in clear goes on', async () => {
      const client = await proxy()
      assert.match(await client.command(name('192.0.2.2')), code)
      assert.match(await client.command('NOOP'), /^250 /)
      assert.equal((await client.context()).get('connection.from'), 'strict')
      client.destroy()
    })

    test('IPv6, and IPv4 mapped into it', async () => {
      const prefix = verb === 'XCLIENT' ? 'IPV6:' : ''
      for (const [written, address] of [
        ['2001:DB8::0:1', '2001:db8::1'],
        ['::ffff:198.51.100.7', '198.51.100.7'],
      ] as const) {
        const client = await proxy()
        assert.match(await client.command(name(prefix + written)), code)
        assert.equal(await seenAs(client), address)
        client.destroy()
      }
    })

    test('sessions are counted by the client’s address', async () => {
      const first = await proxy()
      assert.match(await first.command(name('203.0.113.9')), code)
      const second = await proxy()
      assert.match(await second.command(name('203.0.113.9')), /^421 4\.4\.5 /)
      await second.closed()
      assert.match(await first.command(name('203.0.113.10')), /^500 /)
      first.destroy()
    })

    test('a client to whom the proxy hands the connection over cannot name another one', async () => {
      const client = await proxy()
      assert.match(await client.command(name('198.51.100.9')), code)
      const offered = await client.ehlo()
      assert.deepEqual(
        offered.filter((line) => line.startsWith('X')),
        ['XDUMPCONTEXT'],
      )
      for (const command of [
        name(PROXY),
        'XSETCONTEXT tenant=a',
        'XREMOTEIP 127.0.70.1',
        'XCLIENT NAME=x.example',
      ])
        assert.match(await client.command(command), /^500 5\.5\.2 /)
      assert.equal(await seenAs(client), '198.51.100.9')
      client.destroy()
    })

    test('where the whole Listen is trusted, one client after the other', async () => {
      const client = await proxy(OPEN, '127.0.70.2')
      for (const address of ['198.51.100.1', '198.51.100.2', '198.51.100.3']) {
        assert.match(await client.command(name(address)), code)
        assert.equal(await seenAs(client), address)
      }
      client.destroy()
    })

    test('it is nothing to anybody else', async () => {
      const client = await proxy(0, '127.0.70.9')
      assert.ok((await client.ehlo()).every((line) => !line.startsWith(verb)))
      assert.match(await client.command(name('198.51.100.7')), /^500 5\.5\.2 /)
      assert.match(await client.command(verb), /^500 5\.5\.2 /)
      assert.equal(await seenAs(client), '127.0.70.9')
      const rejection = await gate.event('rejection', ({ remote }) => remote.address === '127.0.70.9')
      assert.equal(rejection.code, 500)
      client.destroy()
    })
  })
}

describe('XCLIENT', () => {
  test('is announced with its attributes', async () => {
    const client = await SmtpClient.connect({ ...gate.address(), from: PROXY })
    await client.reply()
    const offered = await client.ehlo()
    assert.ok(offered.includes('XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT'))
    assert.ok(offered.includes('XREMOTEIP'))
    assert.ok(offered.includes('XSETCONTEXT'))
    client.destroy()
  })

  test('starts the session anew, with the banner of the new scope', async () => {
    const client = await proxy()
    assert.match(await client.command('XCLIENT ADDR=198.51.100.7'), /^220 friend\.example ESMTP/)
    assert.equal((await client.context()).get('connection.ehlo_domain'), undefined)
    client.destroy()
  })

  test('tells policy what else the proxy says, and LOGIN authenticates nobody', async () => {
    const client = await proxy()
    const attributes =
      'NAME=mx.client.example HELO=helo.example PROTO=ESMTP LOGIN=ann+20b DESTADDR=192.0.2.25 DESTPORT=2525'
    assert.match(await client.command(`XCLIENT ADDR=198.51.100.9 ${attributes}`), /^220 /)
    const context = await client.context()
    const told = ['name', 'helo', 'proto', 'login'].map((key) => context.get(`connection.xclient_${key}`))
    assert.deepEqual(told, ['mx.client.example', 'helo.example', 'ESMTP', 'ann b'])
    assert.equal(context.get('connection.saw'), 'ann b/')
    assert.equal(context.get('connection.auth_user'), undefined)
    assert.equal(await relays(client), false)
    const rejection = await gate.event(
      'rejection',
      ({ remote, local }) => remote.address === '198.51.100.9' && local.port === 2525,
    )
    assert.equal(rejection.local.address, '192.0.2.25')
    client.destroy()
  })

  test('forgets what it said before of another client', async () => {
    const client = await proxy(OPEN, '127.0.70.2')
    assert.match(await client.command('XCLIENT ADDR=198.51.100.1 PORT=99 LOGIN=ann'), /^220 /)
    assert.match(await client.command('XCLIENT ADDR=198.51.100.2 LOGIN=[UNAVAILABLE]'), /^220 /)
    const context = await client.context()
    assert.equal(context.get('connection.xclient_login'), undefined)
    assert.match(context.get('connection.met') ?? '', /^198\.51\.100\.2:0$/)
    client.destroy()
  })

  test('an address that is not known is nobody’s', async () => {
    for (const word of ['[UNAVAILABLE]', '[tempunavail]']) {
      const client = await proxy()
      assert.match(await client.command(`XCLIENT ADDR=${word} NAME=${word} PORT=${word}`), /^220 /)
      assert.equal(await seenAs(client), '0.0.0.0')
      assert.equal(await relays(client), false)
      client.destroy()
    }
  })

  test('is refused during a transaction, which goes on', async () => {
    const client = await proxy()
    await client.command('MAIL FROM:<a@client.example>')
    assert.match(await client.command('XCLIENT ADDR=198.51.100.9'), /^503 5\.5\.1 /)
    assert.match(await client.command('RCPT TO:<b@gate.example>'), /^250 /)
    client.destroy()
  })

  const malformed = [
    'XCLIENT',
    'XCLIENT ADDR',
    'XCLIENT ADDR=',
    'XCLIENT ADDR=client.example',
    'XCLIENT ADDR=198.51.100.256',
    'XCLIENT ADDR=IPV6:198.51.100.7',
    'XCLIENT ADDR=fe80::1%eth0',
    'XCLIENT ADDR=198.51.100.7 ADDR=198.51.100.7',
    'XCLIENT ADDR=198.51.100.7 FOO=bar',
    'XCLIENT PORT=65536',
    'XCLIENT PORT=-1',
    'XCLIENT PROTO=LMTP',
    'XCLIENT NAME=a+0Ab.example',
    'XCLIENT HELO=a+0D+0Ab',
    'XCLIENT LOGIN=a+00',
    'XCLIENT LOGIN=a+0A250+20OK',
    'XCLIENT LOGIN=a+2',
    `XCLIENT LOGIN=${'a'.repeat(256)}`,
  ]
  for (const line of malformed) {
    test(`${line.slice(0, 50)}: 501, and nothing has changed`, async () => {
      const client = await proxy()
      assert.match(await client.command(line), /^501 5\.5\.4 [ -~]+$/)
      const context = await client.context()
      assert.equal(context.get('connection.only_proxy'), 'yes')
      assert.equal(context.get('connection.ehlo_domain'), 'proxy.example')
      assert.equal(await seenAs(client), PROXY)
      client.destroy()
    })
  }
})

describe('XREMOTEIP', () => {
  test('gives a proxy nothing that only the client’s scope lists', async () => {
    const client = await proxy(0, '127.0.70.3')
    assert.match(await client.command(`XREMOTEIP ${PROXY}`), /^250 /)
    const offered = await client.ehlo()
    assert.ok(offered.includes('XREMOTEIP') && !offered.some((line) => line.startsWith('XCLIENT')))
    assert.match(await client.command('XSETCONTEXT tenant=a'), /^500 /)
    assert.match(await client.command('XCLIENT ADDR=198.51.100.7'), /^500 /)
    client.destroy()
  })

  test('drops the transaction of the other client, and the greeting holds', async () => {
    const client = await proxy()
    await client.command('MAIL FROM:<a@client.example>')
    assert.match(await client.command('XREMOTEIP 198.51.100.9'), /^250 /)
    assert.match(await client.command('RCPT TO:<b@gate.example>'), /^503 /)
    assert.equal((await client.context()).get('connection.ehlo_domain'), 'proxy.example')
    client.destroy()
  })

  for (const args of ['', 'client.example', '198.51.100.7 198.51.100.8', '198.51.100.256', 'fe80::1%lo']) {
    test(`${JSON.stringify(args)}: 501`, async () => {
      const client = await proxy()
      assert.match(await client.command(`XREMOTEIP ${args}`), /^501 5\.5\.4 /)
      assert.equal(await seenAs(client), PROXY)
      client.destroy()
    })
  }
})

describe('XSETCONTEXT', () => {
  test('sets keys that policy sees, over a change of the client too', async () => {
    const client = await proxy()
    assert.match(await client.command('XSETCONTEXT tenant=a+20b+E4 from=told empty='), /^250 /)
    const context = await client.context()
    assert.equal(context.get('connection.tenant'), 'a b\xe4')
    assert.equal(context.get('connection.from'), 'told')
    assert.equal(context.get('connection.empty'), '')
    assert.match(await client.command('XCLIENT ADDR=198.51.100.9 LOGIN=ann'), /^220 /)
    assert.equal((await client.context()).get('connection.saw'), 'ann/a b\xe4')
    client.destroy()
  })

  test('STARTTLS forgets them', async () => {
    for (const line of [undefined, 'XREMOTEIP 198.51.100.9', 'XCLIENT ADDR=198.51.100.9']) {
      const client = await proxy()
      assert.match(await client.command('XSETCONTEXT tenant=a from=told'), /^250 /)
      if (line !== undefined) assert.match(await client.command(line), /^2/)
      await starttls(client)
      const context = await client.context()
      assert.equal(context.get('connection.tenant'), undefined)
      assert.equal(context.get('connection.from'), line === undefined ? 'proxy' : 'listener')
      client.destroy()
    }
  })

  test('what STARTTLS made it forget does not come back with another client', async () => {
    const client = await proxy()
    assert.match(await client.command('XSETCONTEXT tenant=a'), /^250 /)
    await starttls(client)
    assert.match(await client.command('XREMOTEIP 198.51.100.9'), /^250 /)
    assert.equal((await client.context()).get('connection.tenant'), undefined)
    client.destroy()
  })

  const reserved = [
    'can_relay',
    'Can_Relay',
    'pathway',
    'tls',
    'tls_client_verified',
    'TLS_future',
    'auth_user',
    'auth_status',
    'ehlo_domain',
    'mailfrom_domain',
    'rcptto_domain',
    'connection_message_count',
    'message_rcpt_count',
    'xclient_login',
  ]
  test('cannot set what the server goes by, nor anything beside it', async () => {
    const client = await proxy()
    const before = await client.context()
    for (const name of reserved) {
      assert.match(
        await client.command(`XSETCONTEXT tenant=a ${name}=true`),
        new RegExp(`^501 5\\.5\\.4 XSETCONTEXT cannot set ${name}$`),
      )
    }
    assert.deepEqual(await client.context(), before)
    client.destroy()
  })

  test('names and values are bounded and hold no control characters', async () => {
    const client = await proxy()
    const lines = [
      '',
      'x',
      '=y',
      '#8bitmime=true',
      'a=b=c',
      'a=+0A',
      'a=+0d+0aX',
      'a=+00',
      'a=+7F',
      `${'a'.repeat(65)}=b`,
    ]
    for (const line of lines) assert.match(await client.command(`XSETCONTEXT ${line}`), /^501 5\.5\.4 /, line)
    const many = Array.from({ length: 100 }, (_, index) => `k${index}=v`).join(' ')
    assert.match(await client.command(`XSETCONTEXT ${many}`), /^250 /)
    assert.match(await client.command('XSETCONTEXT k0=other'), /^250 /)
    assert.match(await client.command('XSETCONTEXT one_more=v'), /^501 5\.5\.4 too many keys/)
    client.destroy()
  })
})

async function swaks(...args: string[]): Promise<{ code: number | 'missing'; output: string }> {
  const { host, port } = gate.address()
  const run = spawn('swaks', ['-s', host, '-p', String(port), '--local-interface', PROXY, ...args], {
    stdio: 'pipe',
  })
  let output = ''
  run.stdout.on('data', (chunk) => (output += String(chunk)))
  run.stderr.on('data', (chunk) => (output += String(chunk)))
  const code = await Promise.race([
    once(run, 'close').then(([status]) => status as number),
    once(run, 'error').then(() => 'missing' as const),
  ])
  return { code, output }
}

describe('swaks, a client that we did not write', () => {
  const envelope = ['-f', 'a@client.example', '-t', 'swaks@gate.example']
  const attributes = [
    '--xclient-addr',
    '198.51.100.31',
    '--xclient-name',
    'mx.client.example',
    '--xclient-helo',
    'helo.example',
  ]

  test('names a client in clear and delivers for it', async (t) => {
    const { code, output } = await swaks(...envelope, ...attributes, '--xclient-login', 'ann')
    if (code === 'missing') return t.skip('swaks is not installed')
    assert.equal(code, 0, output)
    assert.match(output, /EHLO to 198\.51\.100\.31/)
    const { envelope: kept } = await gate.event(
      'reception',
      ({ envelope: { client } }) => client.address === '198.51.100.31',
    )
    assert.equal(kept.recipient.local, 'swaks')
  })

  test('names a client inside TLS', async (t) => {
    const { code, output } = await swaks(...envelope, ...attributes, '-tls')
    if (code === 'missing') return t.skip('swaks is not installed')
    assert.equal(code, 0, output)
    assert.match(output, /EHLO to 198\.51\.100\.31/)
  })

  test('may not relay for the client that it named', async (t) => {
    const { code, output } = await swaks('-f', 'a@client.example', '-t', 'b@elsewhere.example', ...attributes)
    if (code === 'missing') return t.skip('swaks is not installed')
    assert.notEqual(code, 0)
    assert.match(output, /550 5\.7\.1/)
  })
})
