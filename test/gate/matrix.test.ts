/**
 * The gate's matrix, end to end: every TLS_Verify_Mode × every kind of client certificate × TLS 1.2 and 1.3 ×
 * STARTTLS and implicit TLS × fresh and resumed, seen through XDUMPCONTEXT on a running server. No cell is skipped.
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { type ClientKind, makePki, type Pki } from '../../src/tls/pki.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const modes = ['unset', 'none', 'require'] as const
const certificates = ['none', 'valid', 'untrusted', 'expired', 'wrong-usage', 'revoked'] as const
const versions = ['TLSv1.2', 'TLSv1.3'] as const
const ways = ['starttls', 'implicit'] as const

type Mode = (typeof modes)[number]
type Version = (typeof versions)[number]
type Way = (typeof ways)[number]

/** What Node's client calls the alert that ends a handshake without the certificate that was demanded. */
const presenceAlert: Readonly<Record<Version, RegExp>> = {
  'TLSv1.2': /handshake failure/i,
  'TLSv1.3': /certificate required/i,
}

/** one Listen for each mode and way, each on a loopback address of its own */
const listenIndex = (mode: Mode, way: Way): number => modes.indexOf(mode) * 2 + ways.indexOf(way)

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
${modes
  .flatMap((mode) =>
    ways.map((way) => {
      const index = listenIndex(mode, way)
      const settings = [
        ...(mode === 'unset' ? [] : [`    TLS_Verify_Mode = "${mode}"`]),
        ...(way === 'implicit' ? ['    Use_SSL = true', '    SMTP_Extensions = ( "XDUMPCONTEXT" )'] : []),
      ]
      return `  Listen "127.0.1.${index + 1}:0" {\n${settings.join('\n')}\n  }`
    }),
  )
  .join('\n')}
}
`

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki })
})
after(() => gate.stop())

interface Cell {
  readonly mode: Mode
  readonly certificate: (typeof certificates)[number]
  readonly version: Version
  readonly way: Way
}

async function secureClient(cell: Cell, extra: ConnectionOptions = {}): Promise<SmtpClient> {
  const address = gate.address(listenIndex(cell.mode, cell.way))
  const client = await SmtpClient.connect(address)
  const options: ConnectionOptions = {
    minVersion: cell.version,
    maxVersion: cell.version,
    ...(cell.certificate === 'none' ? {} : pickCredential(pki, cell.certificate)),
    ...extra,
  }
  if (cell.way === 'starttls') {
    assert.match(await client.reply(), /^220 /)
    assert.ok((await client.ehlo()).includes('STARTTLS'))
    assert.match(await client.command('STARTTLS'), /^220 /)
  }
  await client.secure(options)
  if (cell.way === 'implicit') assert.match(await client.reply(), /^220 /)
  assert.match(await client.command('EHLO client.example'), /^250/)
  return client
}

function pickCredential(from: Pki, kind: ClientKind): { cert: string; key: string } {
  const { cert, key } = from.clients[kind]
  return { cert, key }
}

/** What design §3.2 says of a cell in which the session goes on. */
function assertContext(cell: Cell, context: Map<string, string>, resumed: boolean): void {
  const value = (key: string): string | undefined => context.get(`connection.${key}`)
  assert.equal(value('tls'), 'on')
  assert.equal(value('tls_protocol'), cell.version)
  assert.equal(value('tls_resumed'), resumed ? 'yes' : 'no')
  assert.equal(value('tls_verify_mode'), cell.mode)
  if (cell.mode !== 'unset') assert.match(value('tls_verify_mode_from') ?? '', /gate\.conf:\d+$/)
  const received = cell.mode !== 'none' && cell.certificate !== 'none'
  if (!received) {
    const keys = [...context.keys()].filter((key) => key.startsWith('connection.tls_client_'))
    assert.deepEqual(keys, [], 'no key of a client certificate without one')
    return
  }
  assert.match(value('tls_client_cert_subject') ?? '', new RegExp(`client-${cell.certificate}`))
  assert.equal(value('tls_client_cert_subject_cn'), `client-${cell.certificate}.example`)
  assert.match(value('tls_client_cert_fingerprint') ?? '', /^[0-9a-f]{64}$/)
  assert.match(value('tls_client_cert_spki') ?? '', /^[0-9a-f]{64}$/)
  if (cell.certificate === 'valid') {
    assert.equal(value('tls_client_verified'), 'yes')
    assert.equal(value('tls_client_verify_error'), undefined)
  } else {
    assert.equal(value('tls_client_verified'), undefined)
    assert.equal(value('tls_client_verify_error'), cell.certificate)
  }
}

async function assertRefused(cell: Cell, extra: ConnectionOptions = {}): Promise<void> {
  const before = gate.events.length
  await assert.rejects(secureClient(cell, extra), (error) => {
    assert.ok(error instanceof ConnectionLost, String(error))
    assert.match(error.message, presenceAlert[cell.version])
    return true
  })
  const rejection = await gate.event('rejection', (event) => gate.events.indexOf(event) >= before)
  assert.equal(rejection.module, 'tls')
  assert.match(rejection.text, /certificate|handshake/i)
}

for (const mode of modes) {
  describe(`TLS_Verify_Mode ${mode}`, () => {
    for (const certificate of certificates) {
      for (const version of versions) {
        for (const way of ways) {
          const cell: Cell = { mode, certificate, version, way }
          const name = `${certificate} certificate, ${version}, ${way}`
          if (mode === 'require' && certificate === 'none') {
            test(`${name}: fresh, refused with the alert`, () => assertRefused(cell))
            test(`${name}: a ticket from another scope does not help`, async () => {
              const elsewhere = await secureClient({ ...cell, mode: 'unset' })
              const session = await ticketOf(elsewhere)
              elsewhere.destroy()
              await assertRefused(cell, { session })
            })
          } else {
            test(`${name}: fresh, then resumed`, () => freshThenResumed(cell))
          }
        }
      }
    }
  })
}

async function freshThenResumed(cell: Cell): Promise<void> {
  const first = await secureClient(cell)
  assert.equal(first.tls.isSessionReused(), false)
  assertContext(cell, await first.context(), false)
  const session = await ticketOf(first)
  first.destroy()
  const second = await secureClient(cell, { session })
  assert.equal(second.tls.isSessionReused(), true, 'the client saw a resumption')
  assertContext(cell, await second.context(), true)
  second.destroy()
}

/** The ticket; in TLS 1.3 it comes with the first bytes after the handshake, which have been read by now. */
async function ticketOf(client: SmtpClient): Promise<Buffer> {
  const session = client.session ?? client.tls.getSession()
  assert.ok(session !== undefined, 'the server gave a ticket')
  return session
}

describe('trust changes between handshake and resumption', () => {
  for (const version of versions) {
    test(`${version}: a certificate that has expired since is judged again`, async () => {
      const lifetime = 2500
      const now = Date.now()
      const brief = pki.authority.issue({
        subject: 'brief.example',
        usage: 'client',
        now,
        notBefore: now - 60_000,
        notAfter: Math.ceil((now + lifetime) / 1000) * 1000,
      })
      const cell: Cell = { mode: 'unset', certificate: 'none', version, way: 'starttls' }
      const credential = { cert: brief.cert, key: brief.key }
      const first = await secureClient(cell, credential)
      assert.equal((await first.context()).get('connection.tls_client_verified'), 'yes')
      const session = await ticketOf(first)
      first.destroy()
      await new Promise((resolve) =>
        setTimeout(resolve, Math.ceil((now + lifetime) / 1000) * 1000 - Date.now() + 50),
      )
      const second = await secureClient(cell, { ...credential, session })
      const context = await second.context()
      assert.equal(context.get('connection.tls_client_verified'), undefined)
      assert.equal(context.get('connection.tls_client_verify_error'), 'expired')
      second.destroy()
    })

    test(`${version}: a ticket is worth nothing in any other scope`, async () => {
      const from: Cell = { mode: 'unset', certificate: 'valid', version, way: 'starttls' }
      const first = await secureClient(from)
      const session = await ticketOf(first)
      first.destroy()
      for (const mode of modes) {
        for (const way of ways) {
          if (mode === 'unset' && way === 'starttls') continue
          const other = await secureClient({ ...from, mode, way }, { session })
          assert.equal(other.tls.isSessionReused(), false, `${mode}, ${way}`)
          other.destroy()
        }
      }
    })
  }
})
