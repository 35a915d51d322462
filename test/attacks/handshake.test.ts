/** Handshakes that stall, lie, break off or come in crumbs: each ends by itself, is told once, and harms nobody else. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, afterEach, before, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic, assertServes, connectionOf, handshakesOf, refusalsOf } from './attack-gate.ts'
import { isTlsRecord, octetByOctet, RawClient, secure } from './raw-client.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.3.1:0" { TLS_Max_Handshakes_Per_Address = 0 }
  Listen "127.0.3.2:0" { Use_SSL = true TLS_Max_Handshakes_Per_Address = 0 }
  Listen "127.0.3.3:0" { TLS_Handshake_Timeout = 1 }
  Listen "127.0.3.4:0" { Use_SSL = true TLS_Handshake_Timeout = 1 }
  Listen "127.0.3.5:0" { Use_SSL = true TLS_Handshake_Timeout = 1 TLS_Max_Handshakes_Per_Address = 3 }
}
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
`
const ways = ['starttls', 'implicit'] as const
type Way = (typeof ways)[number]
const OPEN: Readonly<Record<Way, number>> = { starttls: 0, implicit: 1 }
const SHORT: Readonly<Record<Way, number>> = { starttls: 2, implicit: 3 }
const CAPPED = 4

let gate: TestGate
before(async () => {
  gate = await startTestGate({ conf, pki: await testPki() })
})
afterEach(() => assertNoPanic(gate))
after(async () => {
  await assertServes(gate.address())
  await gate.stop()
})

/** A client at the point where its handshake begins. */
async function poised(way: Way, index = OPEN[way]): Promise<RawClient> {
  const client = await RawClient.connect(gate.address(index))
  if (way === 'starttls') {
    await client.until(/^220 .*\r\n/)
    await client.command('EHLO client.example')
    assert.match(await client.command('STARTTLS'), /^220 /)
  }
  client.received = ''
  return client
}

/** Nothing of SMTP came back: at most TLS records that are alerts or the server's part of a handshake. */
function assertNoSmtp(client: RawClient): void {
  assert.doesNotMatch(client.received, /^\d{3}[ -]/m)
  if (client.received !== '')
    assert.ok(isTlsRecord(client.received), JSON.stringify(client.received.slice(0, 100)))
}

async function assertFailedOnce(client: RawClient, reason: RegExp): Promise<void> {
  const refusals = await refusalsOf(gate, client)
  assert.equal(refusals.length, 1, String(refusals))
  assert.match(refusals[0] ?? '', /^421 tls /)
  assert.match(refusals[0] ?? '', reason)
  assert.deepEqual(
    (await handshakesOf(gate, client)).map(({ outcome }) => outcome),
    ['failed'],
  )
  assertNoSmtp(client)
}

/** The octets of the first flight of a client. */
async function clientHello(options: ConnectionOptions = {}): Promise<Buffer> {
  const client = await poised('implicit')
  const { promise, resolve } = Promise.withResolvers<Buffer>()
  secure(client, options, async (bytes) => resolve(bytes)).catch(() => undefined)
  const hello = await promise
  client.destroy()
  return hello
}

for (const way of ways) {
  describe(way, { concurrency: true }, () => {
    test('a client that says nothing is let go at TLS_Handshake_Timeout', async () => {
      const client = await poised(way, SHORT[way])
      await client.closed()
      await assertFailedOnce(client, /handshake timeout/)
    })

    test('a ClientHello that comes octet by octet does not lengthen the deadline', async () => {
      const client = await poised(way, SHORT[way])
      const start = performance.now()
      await client.trickle(await clientHello(), 40)
      await client.closed()
      assert.ok(performance.now() - start < 8000)
      await assertFailedOnce(client, /handshake timeout/)
    })

    test('a client that stops after its ClientHello is let go as well', async () => {
      const client = await poised(way, SHORT[way])
      client.send(await clientHello())
      await client.closed()
      await assertFailedOnce(client, /handshake timeout/)
    })

    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      test(`${version}: a handshake in segments of one octet works, with a certificate`, async () => {
        const { clients } = await testPki()
        const client = await poised(way)
        const options = { minVersion: version, maxVersion: version, ...keyPair(clients.valid) } as const
        const tls = await secure(client, options, octetByOctet)
        tls.write('EHLO client.example\r\nXDUMPCONTEXT\r\nQUIT\r\n')
        let text = ''
        for await (const chunk of tls) text += String(chunk)
        assert.match(text, /^250-\[connection\] tls_client_verified yes\r$/m)
        assert.match(text, /^221 /m)
      })
    }

    test('a ClientHello in records of one octet is served or refused, never left half', async () => {
      const client = await poised(way)
      const hello = await clientHello()
      const fragments = [...hello.subarray(5)].map((octet) => Buffer.of(0x16, 3, 1, 0, 1, octet))
      client.send(Buffer.concat(fragments))
      const received = await client.until(isTlsRecord)
      client.destroy()
      if (isTlsRecord(received, 'alert')) await assertFailedOnce(client, /./)
    })

    const garbage: readonly (readonly [string, () => Buffer | Promise<Buffer>])[] = [
      ['random octets', () => randomBytes(4096)],
      ['SSLv2', () => Buffer.from('802e0100020015000000100100800200800300800400800500800600400700c0', 'hex')],
      [
        'a record of 65,535 octets',
        () => Buffer.concat([Buffer.of(0x16, 3, 1, 0xff, 0xff), Buffer.alloc(65_535)]),
      ],
      ['an alert', () => Buffer.of(0x15, 3, 3, 0, 2, 2, 40)],
      ['an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')],
      ['application data', () => Buffer.concat([Buffer.of(0x17, 3, 3, 0, 5), Buffer.from('EHLO ')])],
      ['a ClientHello with its length wrong', async () => corrupt(await clientHello(), 8)],
      ['a ClientHello with its extensions broken', async () => corrupt(await clientHello(), -40)],
      ['SMTP', () => Buffer.from('EHLO evil.example\r\nMAIL FROM:<a@b.example>\r\n')],
      ['SSL 3.0 only', async () => withVersion(await clientHello({ maxVersion: 'TLSv1.2' }), 0)],
    ]
    for (const [what, bytes] of garbage) {
      test(`${what} instead of a ClientHello: an alert or a close`, async () => {
        const client = await poised(way)
        client.send(await bytes())
        client.socket.end()
        await client.closed()
        await assertFailedOnce(client, /./)
      })
    }

    test('a client that leaves with RST at each point of its handshake', async () => {
      const hello = await clientHello()
      for (const octets of [0, 1, 5, 100, hello.length]) {
        const client = await poised(way)
        client.send(hello.subarray(0, octets))
        if (octets === hello.length) await client.until(isTlsRecord)
        await connectionOf(gate, client)
        client.reset()
        await assertFailedOnce(client, /./)
      }
    })

    test('a client that closes its side in mid-handshake is not waited for', async () => {
      const hello = await clientHello()
      for (const octets of [0, 7, hello.length - 1]) {
        const client = await poised(way)
        client.send(hello.subarray(0, octets))
        client.socket.end()
        await client.closed()
        await assertFailedOnce(client, /./)
      }
    })

    test('after close_notify in mid-message, neither TLS nor clear text goes on', async () => {
      const client = await poised(way)
      const tls = await secure(client, {})
      let text = ''
      tls.on('data', (chunk: string) => {
        text += chunk
      })
      tls.write('EHLO x.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<truncated@gate.example>\r\nDATA\r\n')
      while (!/^354 /m.test(text)) await new Promise((resolve) => tls.once('data', resolve))
      tls.write('Subject: truncated\r\n\r\nPay 1')
      await new Promise<void>((resolve) => tls.end(resolve))
      client.send('\r\n.\r\nNOOP\r\n')
      await client.closed()
      assert.deepEqual(await refusalsOf(gate, client, 0), [])
      assert.doesNotMatch(text, /^354 .*\r\n\d/m)
      const kept = gate.events.filter(
        (event) => event.kind === 'reception' && event.envelope.recipient.local === 'truncated',
      )
      assert.deepEqual(kept, [])
    })

    test('clear text after the handshake ends the session, and none of it is run', async () => {
      const client = await poised(way)
      const tls = await secure(client, {})
      tls.on('error', () => undefined)
      tls.write('EHLO x.example\r\n')
      while (!/^250 /m.test(String(tls.read() ?? '')))
        await new Promise((resolve) => tls.once('readable', resolve))
      const before = client.received.length
      client.send('MAIL FROM:<clear@b.example>\r\nRCPT TO:<clear@gate.example>\r\nDATA\r\n')
      await client.closed()
      assert.doesNotMatch(client.received.slice(before), /^[235]\d\d /m)
      assert.deepEqual(await refusalsOf(gate, client, 0), [])
    })
  })
}

test('clear text on the implicit port, then RST: nothing of it reaches policy or spool (CVE-2023-40217)', async () => {
  const before = gate.events.length
  for (const leave of ['reset', 'end', 'destroy'] as const) {
    const client = await RawClient.connect(gate.address(OPEN.implicit))
    client.send(
      'EHLO evil.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<evil@gate.example>\r\nDATA\r\nA: b\r\n\r\nc\r\n.\r\n',
    )
    if (leave === 'end') client.socket.end()
    else {
      await connectionOf(gate, client)
      client[leave]()
    }
    const refusals = await refusalsOf(gate, client)
    assert.equal(refusals.length, 1, String(refusals))
    assert.match(refusals[0] ?? '', /^421 tls /)
  }
  const since = gate.events.slice(before)
  assert.deepEqual(
    since.filter(({ kind }) => kind === 'reception'),
    [],
  )
  for (const event of since) {
    if (event.kind === 'rejection') assert.deepEqual(event.messageContext, {})
  }
})

test('one address has so many handshakes under way and no more; they end and it is served again', async () => {
  const address = gate.address(CAPPED)
  const stalling = await Promise.all([1, 2, 3].map(() => RawClient.connect(address)))
  const refused = await RawClient.connect(address)
  await refused.closed()
  await assertFailedOnce(refused, /too many handshakes/)
  const elsewhere = await SmtpClient.connectTls({ ...address, from: '127.0.0.2' }, {})
  assert.match(await elsewhere.reply(), /^220 /)
  elsewhere.destroy()
  for (const client of stalling) {
    await client.closed()
    await assertFailedOnce(client, /handshake timeout/)
  }
  const again = await SmtpClient.connectTls(address, {})
  assert.match(await again.reply(), /^220 /)
  again.destroy()
})

test('a handshake that stalls does not hold up the end of service', async () => {
  const other = await startTestGate({
    pki: await testPki(),
    conf: `ESMTP_Listener { TLS_Certificate = "pki/server.pem" TLS_Key = "pki/server.key"
      Listen "127.0.0.1:0" { Use_SSL = true } }`,
  })
  const client = await RawClient.connect(other.address())
  await connectionOf(other, client)
  const start = performance.now()
  await other.stop()
  assert.ok(performance.now() - start < 10_000)
  await client.closed()
})

const openssl = spawnSync('openssl', ['version'], { encoding: 'utf8' })

describe('with openssl s_client', {
  skip: openssl.status !== 0 && 'openssl is not installed',
  concurrency: true,
}, () => {
  test('TLS 1.2 renegotiation is refused', async () => {
    const output = await sClient(
      ['-tls1_2'],
      [
        [/^220 /m, 'EHLO x.example'],
        [/^250 /m, 'R'],
      ],
    )
    assert.match(output, /^RENEGOTIATING\n.*no renegotiation/ms)
  })

  test('TLS 1.3 key updates are answered', async () => {
    const output = await sClient(
      ['-tls1_3'],
      [
        [/^220 /m, 'k'],
        [/^KEYUPDATE/m, 'NOOP'],
        [/^250 2\.0\.0 OK/m, 'K'],
        [/KEYUPDATE[^]*KEYUPDATE/, 'quit'],
      ],
    )
    assert.match(output, /^221 /m)
  })

  for (const [version, flag] of [
    ['SSLv3', '-ssl3'],
    ['TLS 1.0', '-tls1'],
    ['TLS 1.1', '-tls1_1'],
  ] as const) {
    test(`${version} is not spoken by default`, async () => {
      const output = await sClient([flag, '-cipher', 'ALL:@SECLEVEL=0'], [])
      assert.doesNotMatch(output, /^220/m)
    })
  }

  test('neither are ciphers without authentication or encryption', async () => {
    for (const cipher of [
      'aNULL:@SECLEVEL=0',
      'eNULL:@SECLEVEL=0',
      'EXPORT:@SECLEVEL=0',
      'RC4:@SECLEVEL=0',
    ]) {
      const output = await sClient(['-tls1_2', '-cipher', cipher], [])
      assert.doesNotMatch(output, /^220/m, cipher)
    }
  })
})

/** What s_client shows of a session on the implicit port. Each input is given when what came before it was seen. */
async function sClient(
  args: readonly string[],
  dialogue: readonly (readonly [RegExp, string])[],
): Promise<string> {
  const { host, port } = gate.address(OPEN.implicit)
  const child = spawn('openssl', ['s_client', '-connect', `${host}:${port}`, '-crlf', ...args])
  const steps = [...dialogue]
  let output = ''
  const collect = (chunk: Buffer): void => {
    output += chunk.toString('latin1')
    const due = steps.findIndex(([pattern]) => !pattern.test(output))
    for (const [, input] of steps.splice(0, due < 0 ? steps.length : due)) child.stdin.write(`${input}\n`)
    if (dialogue.length === 0 && /^220 /m.test(output)) child.kill()
  }
  child.stdout.on('data', collect)
  child.stderr.on('data', collect)
  child.stdin.on('error', () => undefined)
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
  await once(child, 'close')
  clearTimeout(timer)
  assert.deepEqual(steps, [], output)
  return output
}

function keyPair({ cert, key }: { readonly cert: string; readonly key: string }): {
  cert: string
  key: string
} {
  return { cert, key }
}

function corrupt(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  const index = at < 0 ? copy.length + at : at
  copy[index] = (copy[index] ?? 0) ^ 0xff
  return copy
}

/** The ClientHello's version set to 3.minor. */
function withVersion(bytes: Buffer, minor: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[2] = minor
  copy[10] = minor
  return copy
}
