/**
 * XCLIENT, XREMOTEIP and XSETCONTEXT, end to end: the session becomes that of the client that a trusted proxy names, and
 * nothing that the proxy was granted, and no certificate of the proxy's, helps that client.
 */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { SmtpClient } from '../support/smtp-client.ts'
import { gate, login, OPEN, PROXY, pki, proxy, relays, seenAs, starttls, ways } from './xclient.fixture.ts'

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
