/**
 * Connections that come through a proxy, end to end: who speaks a PROXY header is the address in it, for everything, and
 * who does not or may not is closed without a word.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import path from 'node:path'
import { Duplex } from 'node:stream'
import { after, before, describe, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Peer "192.0.2.0/24" { Context = [ peer = "v4" ] TLS_Verify_Mode = require }
  Peer "2001:db8::/32" { Context = [ peer = "v6" ] }
  Peer "198.51.100.0/24" { Relay_Hosts = ( 198.51.100.7 ) }
  Peer "203.0.113.9" { Listener_Sessions = 1 }
  Peer "127.0.50.0/24" { Context = [ peer = "proxy" ] }

  Listen "127.0.0.1:0" {
    Proxy_Protocol = true
    Proxy_Hosts = ( 127.0.0.1 127.0.50.0/24 )
    Peer "127.0.50.5" { Proxy_Protocol_Timeout = 1 }
    Peer "127.0.50.6" { Proxy_Protocol = false }
  }
  Listen "127.0.0.2:0" { Proxy_Protocol = true Use_SSL = true SMTP_Extensions = ( "XDUMPCONTEXT" ) }
  Listen "127.0.0.3:0" { Peer "127.0.50.7" { Proxy_Protocol = true } }
  Listen "FOLDER/gate.sock" { Proxy_Protocol = true }
}
${MAILDIR}`

const V2 = '\r\n\r\n\0\r\nQUIT\n'
const plain = 0
const implicit = 1
const byPeer = 2

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki })
})
after(() => gate.stop())

function v1(source: string, port = 4321): string {
  const family = source.includes(':') ? 'TCP6' : 'TCP4'
  return `PROXY ${family} ${source} ${family === 'TCP6' ? '2001:db8::25' : '192.0.2.25'} ${port} 25\r\n`
}

/** TCP over IPv4, or what `rest` says. */
function v2(source: string, tlvs = ''): string {
  const octets = [...source.split('.'), ...'192.0.2.25'.split('.')].map(Number)
  const block = Buffer.concat([
    Buffer.from(octets),
    Buffer.of(0x10, 0xe1, 0, 25),
    Buffer.from(tlvs, 'latin1'),
  ])
  return `${V2}\x21\x11${String.fromCharCode(0, block.length)}${block.toString('latin1')}`
}

async function open(listen = plain, from = '127.0.50.1'): Promise<SmtpClient> {
  return SmtpClient.connect({ ...gate.address(listen), from })
}

async function greeted(header: string, listen = plain, from?: string): Promise<SmtpClient> {
  const client = await open(listen, from)
  client.sendRaw(header)
  assert.match(await client.reply(), /^220 /)
  return client
}

/** EHLO's first line says which address the session goes by. */
async function seenAs(client: SmtpClient): Promise<string> {
  return /to (\S+)/.exec(await client.command('EHLO client.example'))?.[1] ?? ''
}

describe('the address in the header is the client', () => {
  const cases: readonly (readonly [
    name: string,
    header: string,
    address: string,
    peer: string | undefined,
  ])[] = [
    ['version 1, IPv4', v1('192.0.2.1'), '192.0.2.1', 'v4'],
    ['version 1, IPv6', v1('2001:DB8:0::1'), '2001:db8::1', 'v6'],
    ['version 1, IPv4 mapped into IPv6', v1('::ffff:192.0.2.7'), '192.0.2.7', 'v4'],
    ['version 2, IPv4', v2('192.0.2.1'), '192.0.2.1', 'v4'],
    ['version 2 with TLVs', v2('192.0.2.1', '\x02\x00\x03abc'), '192.0.2.1', 'v4'],
    [
      'version 2, IPv4 mapped into IPv6',
      `${V2}\x21\x21\0\x24${`${'\0'.repeat(10)}\xff\xff\xc0\0\x02\x01`.repeat(2)}\0\x01\0\x02`,
      '192.0.2.1',
      'v4',
    ],
    ['another network', v1('203.0.113.1'), '203.0.113.1', undefined],
    ['UNKNOWN: the proxy itself', 'PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n', '127.0.50.1', 'proxy'],
    [
      'LOCAL: the proxy itself',
      `${V2}\x20\x11\0\x0c${'\xc0\0\x02\x01'.repeat(2)}\0\x01\0\x02`,
      '127.0.50.1',
      'proxy',
    ],
    ['UNIX: the proxy itself', `${V2}\x21\x31\0\xd8${'\0'.repeat(216)}`, '127.0.50.1', 'proxy'],
  ]
  for (const [name, header, address, peer] of cases) {
    test(name, async () => {
      const client = await greeted(header)
      assert.equal(await seenAs(client), address)
      assert.equal((await client.context()).get('connection.peer'), peer)
      client.destroy()
    })
  }

  test('octet by octet', async () => {
    for (const header of [v1('192.0.2.33'), v2('192.0.2.33')]) {
      const client = await open()
      for (const octet of header) {
        client.sendRaw(octet)
        await new Promise((resolve) => setImmediate(resolve))
      }
      assert.match(await client.reply(), /^220 /)
      assert.equal(await seenAs(client), '192.0.2.33')
      client.destroy()
    }
  })

  test('commands right behind the header are the session’s', async () => {
    for (const header of [v1('192.0.2.34'), v2('192.0.2.34')]) {
      const client = await open()
      client.sendRaw(`${header}EHLO client.example\r\nNOOP\r\nQUIT\r\n`)
      assert.match(await client.reply(), /^220 /)
      assert.match(await client.reply(), /EHLO to 192\.0\.2\.34/)
      assert.match(await client.reply(), /^250 /)
      assert.match(await client.reply(), /^221 /)
      await client.closed()
    }
  })

  test('a client that says everything at once and closes its side is still answered', async () => {
    const client = await open()
    client.sendRaw(`${v1('192.0.2.35')}QUIT\r\n`)
    client.end()
    assert.match(await client.reply(), /^220 /)
    assert.match(await client.reply(), /^221 /)
  })

  test('a second header is a command like any other', async () => {
    const client = await greeted(v1('192.0.2.36'))
    assert.match(await client.command(v1('198.51.100.7').trim()), /^500 /)
    assert.equal(await seenAs(client), '192.0.2.36')
    client.destroy()
  })

  test('on a UNIX socket', async () => {
    const client = await SmtpClient.connectUnix(path.join(gate.folder, 'gate.sock'))
    client.sendRaw(v1('192.0.2.37'))
    assert.match(await client.reply(), /^220 /)
    assert.equal(await seenAs(client), '192.0.2.37')
    client.destroy()
  })

  test('relaying is granted to the address in the header, and not to the proxy', async () => {
    const granted = await greeted(v1('198.51.100.7'))
    const denied = await greeted(v1('198.51.100.8'))
    for (const client of [granted, denied]) {
      await client.ehlo()
      await client.command('MAIL FROM:<a@client.example>')
    }
    assert.match(await granted.command('RCPT TO:<b@elsewhere.example>'), /^250 /)
    assert.match(await denied.command('RCPT TO:<b@elsewhere.example>'), /^550 /)
    const rejection = await gate.event('rejection', ({ remote }) => remote.address === '198.51.100.8')
    assert.equal(rejection.remote.port, 4321)
    assert.equal(rejection.local.address, '192.0.2.25')
    granted.destroy()
    denied.destroy()
  })
})

const certificate = (): { cert: string; key: string } => {
  const { cert, key } = pki.clients.valid
  return { cert, key }
}

describe('TLS comes after the header', () => {
  test('implicit TLS: the scope of the address in the header asks for the certificate', async () => {
    const client = await open(implicit, '127.0.0.1')
    client.sendRaw(v1('192.0.2.40'))
    await client.secure(certificate())
    assert.match(await client.reply(), /^220 /)
    const context = await client.context()
    assert.equal(context.get('connection.tls_verify_mode'), 'require')
    assert.equal(context.get('connection.tls_client_verified'), 'yes')
    client.destroy()

    const without = await open(implicit, '127.0.0.1')
    without.sendRaw(v1('192.0.2.41'))
    await assert.rejects(async () => {
      await without.secure({ maxVersion: 'TLSv1.2' })
    }, /handshake failure/i)
  })

  test('implicit TLS: header and ClientHello in one segment', async () => {
    const raw = connectTcp({ ...gate.address(implicit), localAddress: '127.0.0.1' })
    let ahead = Buffer.from(v2('192.0.2.42', '\x04\0\x10'.padEnd(19, '\0')), 'latin1')
    const joined = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        raw.write(Buffer.concat([ahead, chunk]), done)
        ahead = Buffer.alloc(0)
      },
    })
    raw.on('data', (chunk: Buffer) => joined.push(chunk))
    const secure = connectTls({ socket: joined, rejectUnauthorized: false, ...certificate() })
    const [banner] = (await once(secure, 'data')) as [Buffer]
    assert.match(banner.toString(), /^220 /)
    secure.write('EHLO client.example\r\n')
    const [reply] = (await once(secure, 'data')) as [Buffer]
    assert.match(reply.toString(), /EHLO to 192\.0\.2\.42/)
    raw.destroy()
    secure.destroy()
  })

  test('TLS without a header is no header', async () => {
    const client = await open(implicit, '127.0.60.2')
    await assert.rejects(client.secure(certificate()), ConnectionLost)
    assert.equal(await problemFrom('127.0.60.2'), 'PROXY header: missing')
  })

  test('STARTTLS: the certificate is the client’s own', async () => {
    const client = await greeted(v2('192.0.2.43'))
    await client.ehlo()
    assert.match(await client.command('STARTTLS'), /^220 /)
    await client.secure(certificate())
    const context = await client.context()
    assert.equal(context.get('connection.tls_client_verified'), 'yes')
    assert.equal(await seenAs(client), '192.0.2.43')
    client.destroy()
  })
})

/** Why a connection from this address was closed, for the log. */
async function problemFrom(address: string): Promise<string> {
  const rejection = await gate.event(
    'rejection',
    ({ module, remote }) => module === 'proxy' && remote.address === address,
  )
  assert.equal(rejection.state, 'just connected')
  return rejection.text
}

describe('without a header that can be believed there is no banner', () => {
  const cases: readonly (readonly [bytes: string, problem: string])[] = [
    ['EHLO client.example\r\n', 'missing'],
    [`${v1('192.0.2.1').replace('\r\n', '\n')}EHLO x\r\n`, 'line not ended by CR LF'],
    ['PROXY TCP4 192.0.2.999 192.0.2.2 1 2\r\n', 'bad address'],
    ['PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n', 'bad port'],
    [`PROXY UNKNOWN ${'x'.repeat(4000)}`, 'line too long'],
    [`${V2}\x21\x12\0\x0c${'\0'.repeat(12)}`, 'unknown address family or protocol'],
    [`${V2}\x21\x11\xff\xff`, 'header too long'],
  ]
  for (const [index, [bytes, problem]] of cases.entries()) {
    test(problem, async () => {
      const from = `127.0.50.${100 + index}`
      const client = await open(plain, from)
      client.sendRaw(bytes)
      await client.closed()
      assert.equal(client.pending, '')
      assert.equal(await problemFrom(from), `PROXY header: ${problem}`)
    })
  }

  test('a client that leaves in the middle of the header', async () => {
    const client = await open(plain, '127.0.50.120')
    client.sendRaw('PROXY TCP4 ')
    client.end()
    await client.closed()
    assert.equal(await problemFrom('127.0.50.120'), 'PROXY header: connection closed before its end')
  })

  test('a header that takes longer than Proxy_Protocol_Timeout, however it trickles', async () => {
    const client = await open(plain, '127.0.50.5')
    const began = Date.now()
    const trickle = setInterval(() => client.sendRaw(' '), 100)
    client.sendRaw('PROXY UNKNOWN')
    await client.closed().finally(() => clearInterval(trickle))
    assert.ok(Date.now() - began >= 990)
    assert.equal(client.pending, '')
    assert.equal(await problemFrom('127.0.50.5'), 'PROXY header: timeout')
  })

  test('a host that is not among Proxy_Hosts, before it says anything', async () => {
    const client = await open(plain, '127.0.60.1')
    await client.closed()
    assert.equal(client.pending, '')
    assert.equal(await problemFrom('127.0.60.1'), 'PROXY header: this address is not among Proxy_Hosts')
  })
})

describe('Proxy_Protocol in a Peer', () => {
  test('makes the header the rule for that proxy alone', async () => {
    const proxied = await greeted(v1('192.0.2.50'), byPeer, '127.0.50.7')
    assert.equal(await seenAs(proxied), '192.0.2.50')
    proxied.destroy()
    const direct = await open(byPeer, '127.0.50.8')
    assert.match(await direct.reply(), /^220 /)
    assert.match(await direct.command(v1('198.51.100.7').trim()), /^500 /)
    assert.equal(await seenAs(direct), '127.0.50.8')
    direct.destroy()
  })

  test('takes it back for one that speaks for itself', async () => {
    const direct = await open(plain, '127.0.50.6')
    assert.match(await direct.reply(), /^220 /)
    assert.equal(await seenAs(direct), '127.0.50.6')
    direct.destroy()
  })
})

test('sessions are counted by the address in the header', async () => {
  const first = await greeted(v1('203.0.113.9'))
  const second = await open()
  second.sendRaw(v1('203.0.113.9'))
  assert.match(await second.reply(), /^421 4\.4\.5 /)
  const other = await greeted(v1('203.0.113.10'))
  const rejection = await gate.event('rejection', ({ state }) => state === 'concurrency limit')
  assert.equal(rejection.remote.address, '203.0.113.9')
  const closed = gate.event('disconnected', ({ remote }) => remote.address === '203.0.113.9')
  first.destroy()
  await closed
  const third = await greeted(v1('203.0.113.9'))
  third.destroy()
  other.destroy()
})

describe('swaks, a client that we did not write', () => {
  for (const version of ['1', '2']) {
    test(`speaks version ${version}`, async (t) => {
      const { host, port } = gate.address(plain)
      const address = `192.0.2.6${version}`
      const proxy = ['--proxy-version', version, '--proxy-family', version === '1' ? 'TCP4' : 'AF_INET']
      const ends = [
        '--proxy-source',
        address,
        '--proxy-source-port',
        '1234',
        '--proxy-dest',
        '192.0.2.25',
        '--proxy-dest-port',
        '25',
      ]
      const more = version === '1' ? [] : ['--proxy-command', 'PROXY', '--proxy-protocol', 'STREAM']
      const envelope = ['-f', 'a@client.example', '-t', `swaks${version}@gate.example`]
      const swaks = spawn(
        'swaks',
        ['-s', host, '-p', String(port), ...proxy, ...ends, ...more, ...envelope],
        { stdio: 'pipe' },
      )
      let output = ''
      swaks.stdout.on('data', (chunk) => (output += String(chunk)))
      swaks.stderr.on('data', (chunk) => (output += String(chunk)))
      const code = await Promise.race([
        once(swaks, 'exit').then(([status]) => status as number),
        once(swaks, 'error').then(() => 'missing' as const),
      ])
      if (code === 'missing') return t.skip('swaks is not installed')
      assert.equal(code, 0, output)
      await gate.event('delivery', ({ envelope: { recipient } }) => recipient.local === `swaks${version}`)
      const folder = path.join(gate.folder, 'mail', `swaks${version}`, 'new')
      const [file = ''] = readdirSync(folder)
      assert.match(
        readFileSync(path.join(folder, file), 'latin1'),
        new RegExp(`^Received: from \\[${address}\\]`, 'm'),
      )
    })
  }
})
