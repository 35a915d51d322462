/**
 * What a proxy says of its client's TLS in a PROXY header: asserted, under names of its own, and worth nothing by itself.
 * With HAProxy, too, which ends its clients' TLS and tells of their certificates.
 */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const TOLD = '127.0.90.1'
const UNTOLD = '127.0.90.2'

const conf = `
Partner "acme" {
  SAN_DNS = "client-valid.example"
  Sender_Domains = ( "acme.example" )
  Sender_Domains_Exclusive = true
  Relay = true
}
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verified_Peer_Can_Relay = true
  Peer "192.0.2.0/24" { SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "XCLIENT" "XSETCONTEXT" ) }
  Listen "127.0.0.1:0" { Proxy_Protocol = true Proxy_TLS_Hosts = ( ${TOLD} 127.0.0.1 ) }
}
${MAILDIR}`

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki })
})
after(() => gate.stop())

const tlv = (type: number, value: string): string =>
  `${String.fromCharCode(type, value.length >> 8, value.length & 255)}${value}`
const ssl = (flags: number, verify: number, ...parts: string[]): string =>
  tlv(0x20, `${String.fromCharCode(flags, 0, 0, 0, verify)}${parts.join('')}`)

/** TCP over IPv4 from 192.0.2.1. */
function header(...tlvs: string[]): string {
  const rest = `\xc0\0\x02\x01\xc0\0\x02\x19\x10\xe1\0\x19${tlvs.join('')}`
  return `\r\n\r\n\0\r\nQUIT\n\x21\x11${String.fromCharCode(rest.length >> 8, rest.length & 255)}${rest}`
}

async function through(from: string, ...tlvs: string[]): Promise<SmtpClient> {
  const client = await SmtpClient.connect({ ...gate.address(), from })
  client.sendRaw(header(...tlvs))
  assert.match(await client.reply(), /^220 /)
  await client.ehlo()
  return client
}

/** The keys that begin with `proxy_tls`, and all that a handshake of ours would have set. */
async function told(client: SmtpClient): Promise<Record<string, string>> {
  const context = [...(await client.context())].map(
    ([key, value]) => [key.replace('connection.', ''), value] as const,
  )
  return Object.fromEntries(context.filter(([key]) => /^(?:proxy_tls|tls|can_relay)/.test(key)))
}

async function grants(client: SmtpClient): Promise<string> {
  const mail = await client.command('MAIL FROM:<x@acme.example>')
  await client.command('RSET')
  await client.command('MAIL FROM:<x@free.example>')
  const rcpt = await client.command('RCPT TO:<b@elsewhere.example>')
  await client.command('RSET')
  return `${mail.slice(0, 3)} ${rcpt.slice(0, 3)}`
}

const NOTHING = '550 550'
const verified = ssl(7, 0, tlv(0x21, 'TLSv1.3'), tlv(0x22, 'client-valid.example'), tlv(0x23, 'TLS_X'))

describe('a trusted proxy', () => {
  test('tells, and what it tells grants nothing', async () => {
    const client = await through(TOLD, tlv(0x02, 'MX.example.org'), verified)
    assert.deepEqual(await told(client), {
      proxy_tls: 'on',
      proxy_tls_asserted_by: TOLD,
      proxy_tls_authority: 'MX.example.org',
      proxy_tls_cipher: 'TLS_X',
      proxy_tls_client_cert: 'connection',
      proxy_tls_client_cn: 'client-valid.example',
      proxy_tls_client_verified: 'yes',
      proxy_tls_client_verify: '0',
      proxy_tls_protocol: 'TLSv1.3',
    })
    assert.equal(await grants(client), NOTHING)
    client.destroy()
  })
  test('a certificate that was not shown, or did not verify, is not verified', async () => {
    for (const [flags, verify, expected] of [
      [1, 0, [undefined, undefined, undefined]],
      [3, 20, ['connection', '20', undefined]],
      [5, 0, ['session', '0', 'yes']],
      [6, 0, [undefined, undefined, undefined]],
    ] as const) {
      const client = await through(TOLD, ssl(flags, verify, tlv(0x22, 'x')))
      const keys = await told(client)
      assert.deepEqual(
        [keys['proxy_tls_client_cert'], keys['proxy_tls_client_verify'], keys['proxy_tls_client_verified']],
        expected,
      )
      client.destroy()
    }
  })
  test('hostile text comes out as one printable word', async () => {
    for (const text of ['a\r\nX: y', 'a b', '\u001b[2J', '\0', '\xff\xfe', '\\', 'x'.repeat(1900)]) {
      const client = await through(TOLD, tlv(0x02, text), ssl(3, 0, tlv(0x22, text)))
      const { proxy_tls_authority: authority = '', proxy_tls_client_cn: name = '' } = await told(client)
      assert.match(authority, /^[!-~]{1,512}$/)
      assert.equal(name, authority)
      client.destroy()
    }
  })
  test('an own handshake, another client or a request cannot be mixed up with it', async () => {
    const client = await through(TOLD, verified)
    assert.match(await client.command('XSETCONTEXT proxy_tls_client_cn=boss'), /^501 /)
    assert.match(await client.command('STARTTLS'), /^220 /)
    await client.secure({})
    await client.ehlo()
    const keys = await told(client)
    assert.equal(keys['tls_client_verified'], undefined)
    assert.equal(keys['tls_partner'], undefined)
    assert.equal(keys['proxy_tls_client_verified'], 'yes')
    assert.equal(await grants(client), NOTHING)
    assert.match(await client.command('XCLIENT ADDR=192.0.2.9'), /^220 /)
    await client.ehlo()
    assert.equal(
      Object.keys(await told(client)).some((key) => key.startsWith('proxy')),
      false,
    )
    client.destroy()
  })
})

test('a proxy that is not listed tells nothing', async () => {
  const client = await through(UNTOLD, tlv(0x02, 'mx.example.org'), verified)
  assert.deepEqual(await told(client), {})
  client.destroy()
})

test('TLVs that do not come out even, and wrong checksums, end the connection from whomever they come', async () => {
  for (const from of [TOLD, UNTOLD]) {
    for (const rest of ['\x02\0\x09a', '\x20\0\x02ab', tlv(0x03, 'abcd')]) {
      const client = await SmtpClient.connect({ ...gate.address(), from })
      client.sendRaw(header(rest))
      await client.closed()
      assert.equal(client.pending, '')
    }
  }
})

describe('HAProxy', () => {
  let haproxy: ChildProcess
  let port: number

  before(async () => {
    port = await freePort()
    const file = path.join(gate.folder, 'haproxy.cfg')
    const bundle = path.join(gate.folder, 'haproxy.pem')
    writeFileSync(bundle, `${pki.server.cert}${pki.server.key}`)
    const { host, port: inner } = gate.address()
    writeFileSync(
      file,
      `defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen smtps
  bind 127.0.0.1:${port} ssl crt ${bundle} ca-file ${gate.folder}/pki/ca.pem verify optional crt-ignore-err all
  server gate ${host}:${inner} send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c
`,
    )
    haproxy = spawn('haproxy', ['-db', '-f', file], {
      stdio: 'ignore',
      // where Debian puts it, which is not on everybody's PATH
      env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` },
    })
    await once(haproxy, 'spawn')
    await listening(port)
  })
  after(async () => {
    const ended = once(haproxy, 'exit')
    haproxy.kill('SIGKILL')
    await ended
  })

  async function over(options: ConnectionOptions): Promise<Record<string, string>> {
    const client = await SmtpClient.connectTls({ host: '127.0.0.1', port }, options)
    assert.match(await client.reply(), /^220 /)
    await client.ehlo()
    const keys = await told(client)
    assert.equal(await grants(client), NOTHING)
    client.destroy()
    return keys
  }

  test('tells of a certificate that it has verified, of the name asked for and the version', async () => {
    const { cert, key } = pki.clients.valid
    const keys = await over({ cert, key, servername: 'mx.example.org' })
    assert.equal(keys['proxy_tls_client_verified'], 'yes')
    assert.equal(keys['proxy_tls_client_cn'], 'client-valid.example')
    assert.equal(keys['proxy_tls_protocol'], 'TLSv1.3')
    assert.equal(keys['proxy_tls_authority'], 'mx.example.org')
    assert.equal(keys['proxy_tls_asserted_by'], '127.0.0.1')
    assert.equal(keys['tls_client_verified'], undefined)
  })
  test('tells of none, and of one that it could not verify', async () => {
    assert.equal((await over({}))['proxy_tls_client_cert'], undefined)
    const { cert, key } = pki.clients.untrusted
    const keys = await over({ cert, key })
    assert.equal(keys['proxy_tls_client_cert'], 'connection')
    assert.notEqual(keys['proxy_tls_client_verify'], '0')
    assert.equal(keys['proxy_tls_client_verified'], undefined)
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Nothing tells when HAProxy has bound its port. */
async function listening(port: number): Promise<void> {
  for (let left = 500; ; left -= 1) {
    try {
      const client = await SmtpClient.connect({ host: '127.0.0.1', port })
      client.destroy()
      return
    } catch (error) {
      if (left === 0) throw error
      await delay(20)
    }
  }
}
