/**
 * Trust that changes, and trust from where it must not come: after a reload old tickets are worth nothing more than the
 * new configuration gives them, and no root store of the system or of Node makes anybody verified.
 */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ConnectionOptions } from 'node:tls'
import { type Pki, writePki } from '../../src/tls/pki.ts'
import { startGateProcess } from '../support/gate-process.ts'
import { type Address, ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const versions = ['TLSv1.2', 'TLSv1.3'] as const
type Version = (typeof versions)[number]

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Listen "127.0.0.1:0" { Use_SSL = true TLS_Verified_Peer_Can_Relay = true }
}
${MAILDIR}
`

let pki: Pki
before(async () => {
  pki = await testPki()
})

interface Visit {
  readonly resumed: boolean
  /** connection keys */
  readonly context: Map<string, string>
  readonly session: Buffer
}

/** Comes, looks at the context, and leaves with a ticket. */
async function visit(address: Address, options: ConnectionOptions): Promise<Visit> {
  const client = await SmtpClient.connectTls(address, options)
  assert.match(await client.reply(), /^220 /)
  const all = await client.context()
  const session = client.session ?? client.tls.getSession()
  const resumed = client.tls.isSessionReused()
  client.destroy()
  const context = new Map([...all].map(([key, value]) => [key.replace('connection.', ''), value]))
  assert.equal(context.get('tls_resumed'), resumed ? 'yes' : 'no')
  assert.ok(session)
  return { resumed, context, session }
}

function verdict({ context }: Visit): string {
  return context.get('tls_client_verified') === 'yes'
    ? 'verified'
    : (context.get('tls_client_verify_error') ?? 'none')
}

function as(kind: 'valid' | 'untrusted' | 'revoked' | 'nobody', version: Version): ConnectionOptions {
  const limits = { minVersion: version, maxVersion: version }
  if (kind === 'nobody') return limits
  const { cert, key } = pki.clients[kind]
  return { ...limits, cert, key }
}

async function withGate(use: (gate: TestGate) => Promise<void>): Promise<void> {
  const gate = await startTestGate({ conf, pki })
  try {
    await use(gate)
  } finally {
    await gate.stop()
  }
}

const revokeValid = (): string =>
  pki.authority.crl({ revoked: [pki.clients.valid.serial, pki.clients.revoked.serial] })

test('a session of one version of TLS is not taken in the other', () =>
  withGate(async (gate) => {
    const old = await visit(gate.address(), as('valid', 'TLSv1.2'))
    const both = { ...as('valid', 'TLSv1.3'), minVersion: 'TLSv1.2' } as const
    const newer = await visit(gate.address(), { ...both, session: old.session })
    assert.deepEqual(
      [newer.context.get('tls_protocol'), newer.resumed, verdict(newer)],
      ['TLSv1.3', false, 'verified'],
    )
    const older = await visit(gate.address(), { ...as('nobody', 'TLSv1.2'), session: newer.session })
    assert.deepEqual(
      [older.context.get('tls_protocol'), older.resumed, verdict(older)],
      ['TLSv1.2', false, 'none'],
    )
  }))

describe('a reload', { concurrency: true }, () => {
  for (const version of versions) {
    test(`${version}: a client that was revoked comes with its old ticket and is revoked`, () =>
      withGate(async (gate) => {
        const address = gate.address()
        const first = await visit(address, as('valid', version))
        assert.equal(verdict(first), 'verified')
        assert.equal(first.context.get('can_relay'), 'true')
        writeFileSync(path.join(gate.folder, 'pki/crl.pem'), revokeValid())
        await gate.server.reload()
        const after = await visit(address, { ...as('valid', version), session: first.session })
        assert.equal(after.resumed, false)
        assert.equal(verdict(after), 'revoked')
        assert.equal(after.context.get('can_relay'), undefined)
        const again = await visit(address, { ...as('valid', version), session: after.session })
        assert.ok(again.resumed)
        assert.equal(verdict(again), 'revoked')
      }))

    test(`${version}: without a reload a revocation is in force within two seconds, old ticket or not`, () =>
      withGate(async (gate) => {
        const address = gate.address()
        const first = await visit(address, as('valid', version))
        assert.equal(verdict(first), 'verified')
        writeFileSync(path.join(gate.folder, 'pki/crl.pem'), revokeValid())
        const written = performance.now()
        const comesAgain = () => visit(address, { ...as('valid', version), session: first.session })
        let last = await comesAgain()
        while (verdict(last) === 'verified' && performance.now() - written < 20_000) {
          await delay(50)
          last = await comesAgain()
        }
        const seconds = (performance.now() - written) / 1000
        assert.deepEqual([verdict(last), last.resumed], ['revoked', false])
        // the rest is for a machine that is busy
        assert.ok(seconds < 8, `it took ${seconds} seconds`)
      }))

    test(`${version}: another CA, and who was verified is untrusted`, () =>
      withGate(async (gate) => {
        const address = gate.address()
        const valid = await visit(address, as('valid', version))
        const stranger = await visit(address, as('untrusted', version))
        writeFileSync(path.join(gate.folder, 'pki/ca.pem'), pki.otherAuthority.cert)
        writeFileSync(path.join(gate.folder, 'pki/crl.pem'), pki.otherAuthority.crl())
        await gate.server.reload()
        const validAgain = await visit(address, { ...as('valid', version), session: valid.session })
        const strangerAgain = await visit(address, { ...as('untrusted', version), session: stranger.session })
        assert.deepEqual([validAgain, strangerAgain].map(verdict), ['untrusted', 'verified'])
        assert.deepEqual([validAgain.resumed, strangerAgain.resumed], [false, false])
      }))

    test(`${version}: require where nothing was set, and a ticket without a certificate opens nothing`, () =>
      withGate(async (gate) => {
        const nobody = await visit(gate.address(), as('nobody', version))
        assert.ok(
          (await visit(gate.address(), { ...as('nobody', version), session: nobody.session })).resumed,
        )
        const file = path.join(gate.folder, 'gate.conf')
        writeFileSync(
          file,
          readFileSync(file, 'utf8').replace('Use_SSL', 'TLS_Verify_Mode = "require" Use_SSL'),
        )
        await gate.server.reload()
        await assert.rejects(
          visit(gate.address(), { ...as('nobody', version), session: nobody.session }),
          ConnectionLost,
        )
        assert.equal(verdict(await visit(gate.address(), as('valid', version))), 'verified')
      }))

    test(`${version}: tickets switched off, and the old ones are not taken`, () =>
      withGate(async (gate) => {
        const valid = await visit(gate.address(), as('valid', version))
        const file = path.join(gate.folder, 'gate.conf')
        writeFileSync(
          file,
          readFileSync(file, 'utf8').replace('Use_SSL', 'TLS_Session_Tickets = false Use_SSL'),
        )
        await gate.server.reload()
        const again = await visit(gate.address(), { ...as('valid', version), session: valid.session })
        assert.equal(again.resumed, false)
        assert.equal(verdict(again), 'verified')
      }))

    test(`${version}: nothing changed, and tickets stay good`, () =>
      withGate(async (gate) => {
        const valid = await visit(gate.address(), as('valid', version))
        await gate.server.reload()
        const again = await visit(gate.address(), { ...as('valid', version), session: valid.session })
        assert.ok(again.resumed)
        assert.equal(verdict(again), 'verified')
      }))
  }

  test('a CRL that fails to load leaves the last good one in force, and an alarm', () =>
    withGate(async (gate) => {
      const broken = pki.crl.replace(/[A-Za-z0-9+/]{40}\n/, '\n')
      for (const text of ['', 'garbage', broken, pki.authority.cert, pki.clients.valid.key]) {
        writeFileSync(path.join(gate.folder, 'pki/crl.pem'), text)
        const before = gate.events.length
        await gate.server.reload()
        await gate.event(
          'panic',
          (event) => gate.events.indexOf(event) >= before && /crl\.pem/.test(event.text),
        )
        assert.equal(verdict(await visit(gate.address(), as('revoked', 'TLSv1.3'))), 'revoked')
        assert.equal(verdict(await visit(gate.address(), as('valid', 'TLSv1.3'))), 'verified')
      }
    }))

  test('a session that began before it is asked to come again, however it was verified', () =>
    withGate(async (gate) => {
      const client = await SmtpClient.connectTls(gate.address(), as('valid', 'TLSv1.3'))
      await client.reply()
      await client.ehlo()
      writeFileSync(path.join(gate.folder, 'pki/crl.pem'), revokeValid())
      await gate.server.reload()
      assert.match(await client.command('MAIL FROM:<a@b.example>'), /^421 4\.3\.2 /)
      await client.closed()
    }))
})

/** A gate in a process of its own, for what only a process can be told. */
async function withProcess(
  wrapper: readonly string[],
  text: string,
  use: (gate: Awaited<ReturnType<typeof startGateProcess>>, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-trust-'))
  await writePki(path.join(folder, 'pki'), pki)
  const file = path.join(folder, 'gate.conf')
  writeFileSync(file, `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\n${text}`)
  const gate = await startGateProcess(file, wrapper)
  try {
    await use(gate, folder)
  } finally {
    assert.equal(await gate.end('SIGTERM'), 0)
    rmSync(folder, { recursive: true })
  }
}

describe('a process', { concurrency: true }, () => {
  test('SIGHUP revokes: the old ticket leads to a full handshake with the new verdict', () =>
    withProcess([], conf, async (gate, folder) => {
      const [address] = gate.addresses
      assert.ok(address)
      const first = await visit(address, as('valid', 'TLSv1.3'))
      writeFileSync(path.join(folder, 'pki/crl.pem'), revokeValid())
      gate.child.kill('SIGHUP')
      const until = Date.now() + 10_000
      while (!/reloaded/.test(gate.complaints()) && Date.now() < until) await delay(20)
      const after = await visit(address, { ...as('valid', 'TLSv1.3'), session: first.session })
      assert.deepEqual([after.resumed, verdict(after)], [false, 'revoked'])
    }))

  for (const store of ['--use-openssl-ca', '--use-system-ca', '--use-bundled-ca']) {
    test(`root stores from the environment make nobody verified (${store})`, async () => {
      const roots = mkdtempSync(path.join(tmpdir(), 'postern-roots-'))
      const file = path.join(roots, 'roots.pem')
      writeFileSync(file, `${pki.authority.cert}\n${pki.otherAuthority.cert}`)
      const environment = [
        `NODE_EXTRA_CA_CERTS=${file}`,
        `SSL_CERT_FILE=${file}`,
        `SSL_CERT_DIR=${roots}`,
        `NODE_OPTIONS=${store}`,
      ]
      const text = `
        ESMTP_Listener {
          SMTP_Extensions = ( "XDUMPCONTEXT" )
          TLS_Certificate = "pki/server.pem"
          TLS_Key = "pki/server.key"
          Listen "127.0.0.1:0" { Use_SSL = true }
          Listen "127.0.0.2:0" { Use_SSL = true TLS_Client_CA = "pki/ca.pem" }
          Listen "127.0.0.3:0" { Use_SSL = true TLS_Verify_Mode = "require" }
        }`
      await withProcess(['env', ...environment], text, async ({ addresses }) => {
        const seen = addresses.map(async (address) => [
          verdict(await visit(address, as('valid', 'TLSv1.3'))),
          verdict(await visit(address, as('untrusted', 'TLSv1.2'))),
        ])
        assert.deepEqual(await Promise.all(seen), [
          ['untrusted', 'untrusted'],
          ['verified', 'untrusted'],
          ['untrusted', 'untrusted'],
        ])
      })
      rmSync(roots, { recursive: true })
    })
  }
})
