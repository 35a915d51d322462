/** TLS_SNI: the name chooses the server's certificate, and nothing that a client is judged by. */

import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { after, before, suite, test } from 'node:test'
import {
  type ConnectionOptions,
  connect as connectTls,
  createSecureContext,
  type SecureVersion,
} from 'node:tls'
import type { Authority } from '../../src/tls/authority.ts'
import { handshake } from '../../src/tls/handshake.ts'
import { TicketSecret } from '../../src/tls/ticket-secret.ts'
import { intermediateAuthority, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import {
  factsOf,
  failureOf,
  file,
  type Gate,
  load,
  openGate,
  scopeOf,
  type TlsOptions,
  visit,
} from './gate-harness.ts'

let directory: PkiDirectory
let gate: Gate
const ticketSecret = new TicketSecret()

before(async () => {
  directory = await pkiDirectory()
  await serverFile(directory.pki.authority, 'mx.example')
  await serverFile(directory.pki.otherAuthority, 'other.example')
  const scope = scopeWith()
  gate = await openGate(await load([scope], { ticketSecret }), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

async function serverFile(authority: Authority, host: string): Promise<void> {
  const { cert, key } = authority.issue({
    subject: host,
    usage: 'server',
    altNames: [{ kind: 'dns', value: host }],
  })
  await directory.write(`${host}.pem`, cert + key)
}

function scopeWith(more: TlsOptions = {}) {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    tls_client_crl: file(directory.file('crl.pem')),
    tls_sni: ['mx.example', 'other.example'].map((host) => {
      return { host, certificate: file(directory.file(`${host}.pem`)), key: undefined }
    }),
    ...more,
  })
}

async function use(more: TlsOptions = {}): Promise<void> {
  const scope = scopeWith(more)
  gate.use(await load([scope], { ticketSecret }), scope)
}

/** The CN of the certificate that a client is shown which asks for a name; '' asks for none. */
async function shown(servername: string, more: ConnectionOptions = {}): Promise<string> {
  const socket = connectTls({
    host: '127.0.0.1',
    port: gate.port,
    servername,
    rejectUnauthorized: false,
    ...more,
  })
  // the server's greeting: in TLS 1.3 a client is ready before the server is
  await once(socket, 'data')
  const subject = socket.getPeerX509Certificate()?.subject ?? ''
  socket.destroy()
  await factsOf(gate)
  return subject
}

suite('the certificate', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}: by exact name; every other name gets the scope's own`, async () => {
      await use()
      const limits = { minVersion: version, maxVersion: version }
      assert.equal(await shown('mx.example', limits), 'CN=mx.example')
      assert.equal(await shown('other.example', limits), 'CN=other.example')
      const others = [
        '',
        'MX.example',
        'mx.example.',
        'unknown.example',
        'x.mx.example',
        'example',
        '*.example',
      ]
      for (const name of [...others, '__proto__', 'constructor', 'a'.repeat(250)]) {
        assert.equal(await shown(name, limits), 'CN=localhost', JSON.stringify(name))
      }
    })
  }
})

const print = (pem: string): string => new X509Certificate(pem).fingerprint256

async function show(tls_certificate: string, tls_client_ca: string, more: TlsOptions = {}): Promise<void> {
  await use({
    tls_certificate: file(directory.file(tls_certificate)),
    tls_key: file(directory.file(tls_certificate)),
    tls_client_ca: file(directory.file(tls_client_ca)),
    tls_client_crl: undefined,
    ...more,
  })
}

/** Of all that a client is shown, the leaf first. */
async function fingerprints(tls_certificate: string, tls_client_ca: string): Promise<string[]> {
  await show(tls_certificate, tls_client_ca)
  const socket = connectTls({ host: '127.0.0.1', port: gate.port, rejectUnauthorized: false })
  await once(socket, 'data')
  const found: string[] = []
  // a root is its own issuer
  for (
    let next = socket.getPeerCertificate(true);
    next !== undefined && !found.includes(next.fingerprint256);
    next = next.issuerCertificate
  )
    found.push(next.fingerprint256)
  socket.destroy()
  await factsOf(gate)
  return found
}

suite('the chain', () => {
  test('a leaf alone is followed by its issuers among the CAs, and by none of theirs who did not issue it', async () => {
    const { authority, otherAuthority } = directory.pki
    const intermediate = await intermediateAuthority()
    const leaf = intermediate.issue({ subject: 'leaf', usage: 'server', altNames: [] })
    await directory.write('leaf.pem', leaf.cert + leaf.key)
    await directory.write('chain.pem', leaf.cert + intermediate.cert + leaf.key)
    await directory.write('both.pem', otherAuthority.cert + intermediate.cert + authority.cert)
    const [own, middle, root] = [leaf.cert, intermediate.cert, authority.cert].map(print)
    assert.deepEqual(await fingerprints('leaf.pem', 'both.pem'), [own, middle, root])
    assert.deepEqual(await fingerprints('leaf.pem', 'other-ca.pem'), [own])
    assert.deepEqual(await fingerprints('chain.pem', 'both.pem'), [own, middle])
  })

  test('of a CA that was renewed with its key, a leaf is followed by the one whose dates hold', async () => {
    const { authority } = directory.pki
    const renewed = await intermediateAuthority()
    const { key } = renewed.credential
    const [notBefore, notAfter] = [Date.now() - 20_000_000, Date.now() - 10_000_000]
    const expired = await intermediateAuthority({ key, notBefore, notAfter })
    const leaf = renewed.issue({ subject: 'leaf', usage: 'server' })
    await directory.write('renewed-leaf.pem', leaf.cert + leaf.key)
    await directory.write('renewed.pem', expired.cert + renewed.cert + authority.cert)
    const shown = [leaf.cert, renewed.cert, authority.cert].map(print)
    assert.deepEqual(await fingerprints('renewed-leaf.pem', 'renewed.pem'), shown)
  })

  test('an issuer that is too weak for the security level ends the handshake with an alert', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp224r1' })
    const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    const weak = await intermediateAuthority({ key })
    const leaf = weak.issue({ subject: 'leaf', usage: 'server' })
    await directory.write('weak-leaf.pem', leaf.cert + leaf.key)
    await directory.write('weak.pem', weak.cert)
    await show('weak-leaf.pem', 'weak.pem', { tls_ciphers: 'DEFAULT:@SECLEVEL=3' })
    const socket = connectTls({ host: '127.0.0.1', port: gate.port, rejectUnauthorized: false })
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR')
    assert.match(await failureOf(gate), /ca key too small/)
  })
})

suite('everything else is the scope’s', () => {
  const names = ['mx.example', 'other.example', 'unknown.example']
  const kinds = ['valid', 'untrusted', 'revoked', 'expired'] as const

  test('CAs and revocation lists: no name changes a verdict', async () => {
    await use()
    for (const servername of names) {
      for (const kind of kinds) {
        await visit(gate.port, { credential: directory.pki.clients[kind], more: { servername } })
        const { peer, sni } = await factsOf(gate)
        assert.equal(sni, servername)
        assert.equal(
          peer.kind === 'unverified' ? peer.cause : peer.kind,
          kind === 'valid' ? 'verified' : kind,
        )
      }
    }
  })

  test('the mode: require lets nobody in without a certificate, none asks nobody', async () => {
    await use({ tls_verify_mode: 'require' })
    for (const servername of names) {
      const { error } = await visit(gate.port, { more: { servername } })
      assert.match(error ?? '', /CERTIFICATE_REQUIRED/)
      assert.match(await failureOf(gate), /peer did not return a certificate/)
    }
    await use({ tls_verify_mode: 'none' })
    for (const servername of names) {
      await visit(gate.port, { credential: directory.pki.clients.valid, more: { servername } })
      assert.equal((await factsOf(gate)).peer.kind, 'anonymous')
    }
  })

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const satisfies readonly SecureVersion[]) {
    test(`${version}: tickets are the scope's: taken again under the same name, and not after a revocation`, async () => {
      await directory.write('growing.pem', directory.pki.authority.crl())
      const lists = { tls_client_crl: file(directory.file('growing.pem')) }
      await use(lists)
      const { valid } = directory.pki.clients
      const options = { credential: valid, version, more: { servername: 'mx.example' } }
      const { session } = await visit(gate.port, options)
      const again = await visit(gate.port, { ...options, session })
      const kinds = [await factsOf(gate), await factsOf(gate)].map(({ peer }) => peer.kind)
      assert.deepEqual([again.reused, ...kinds], [true, 'verified', 'verified'])
      await directory.write('growing.pem', directory.pki.authority.crl({ revoked: [valid.serial] }))
      await use(lists)
      const after = await visit(gate.port, { ...options, session })
      const { peer } = await factsOf(gate)
      assert.deepEqual([after.reused, peer.kind === 'unverified' && peer.cause], [false, 'revoked'])
    })

    test(`${version}: a scope without tickets has none under any name`, async () => {
      await use({ tls_session_tickets: false })
      const options = { version, more: { servername: 'mx.example' } }
      const { session } = await visit(gate.port, options)
      const { reused } = await visit(gate.port, { ...options, session })
      await factsOf(gate)
      await factsOf(gate)
      assert.equal(reused, false)
    })
  }

  test('a depth counts under every name', async () => {
    const middle = directory.pki.authority.intermediate({ subject: 'middle' })
    const leaf = middle.issue({ subject: 'leaf' })
    await use({ tls_verify_depth: 0, tls_client_crl: undefined })
    for (const servername of names) {
      await visit(gate.port, {
        credential: { cert: leaf.cert + middle.cert, key: leaf.key },
        more: { servername },
      })
      const { peer } = await factsOf(gate)
      assert.equal(peer.kind === 'unverified' && peer.cause, 'too-deep')
    }
  })
})

function noSuchThing(): never {
  throw new Error('no such thing')
}

suite('failures', () => {
  test('a choice that throws ends the handshake and nothing else', async () => {
    const { server } = directory.pki
    const secureContext = createSecureContext({ ca: [], cert: server.cert, key: server.key })
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const listener = createServer((raw) => {
      handshake(raw, { secureContext, contextFor: noSuchThing, mode: 'unset', timeout: 5000 }).then(
        resolve,
        resolve,
      )
    }).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const { port } = listener.address() as { port: number }
    const client = connectTls({
      socket: connect(port, '127.0.0.1'),
      servername: 'x.example',
      rejectUnauthorized: false,
    })
    client.on('error', () => {})
    assert.match(String(await promise), /TLS handshake failed: no such thing/)
    client.destroy()
    listener.close()
  })

  test('a certificate that cannot be loaded is an error, and without one for all other names there is a warning', async () => {
    const entry = { host: 'x.example', certificate: file('/nowhere/x.pem'), key: undefined }
    await assert.rejects(
      load([scopeWith({ tls_sni: [entry] })]),
      /TLS_SNI "x.example", TLS_Certificate "x.pem": no such file/,
    )
    const bare = scopeWith({ tls_certificate: undefined, tls_key: undefined })
    const contexts = await load([bare])
    assert.equal(contexts.offers(bare), false)
    assert.match(contexts.diagnostics[0]?.message ?? '', /TLS_SNI does nothing in a scope without/)
  })
})
