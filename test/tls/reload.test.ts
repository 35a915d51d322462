/** Files at start, at a reload, and in `postern check`. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ConfigError, type Diagnostic } from '../../src/config/diagnostic.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import { auditTls } from '../../src/tls/audit.ts'
import { Authority } from '../../src/tls/authority.ts'
import { intermediateAuthority, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import {
  factsOf,
  file,
  LINES,
  load,
  openGate,
  scopeOf,
  settingsOf,
  type TlsOptions,
  visit,
} from './gate-harness.ts'

const DAY = 86_400_000

function options(directory: PkiDirectory, more: TlsOptions = {}): TlsOptions {
  return {
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    ...more,
  }
}

/** `line: message` of all findings. */
function short(diagnostics: readonly Diagnostic[]): string[] {
  return diagnostics.map(({ at, message }) => `${at?.line ?? '-'}: ${message}`)
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}

async function errorsOf(more: TlsOptions): Promise<string[]> {
  await using directory = await pkiDirectory()
  const error: unknown = await load([scopeOf(options(directory, more))]).catch((error: unknown) => error)
  assert.ok(error instanceof ConfigError, 'the configuration is refused')
  return short(error.diagnostics)
}

suite('at start', () => {
  test('a file that cannot be read is an error at the option that names it', async () => {
    assert.deepEqual(await errorsOf({ tls_client_ca: file('/nowhere/ca.pem') }), [
      `${LINES.tls_client_ca}: TLS_Client_CA "ca.pem": no such file`,
    ])
    assert.deepEqual(await errorsOf({ tls_client_ca: file('/') }), [
      `${LINES.tls_client_ca}: TLS_Client_CA "": is a directory`,
    ])
    assert.deepEqual(await errorsOf({ tls_certificate: file('/dev/null') }), [
      `${LINES.tls_certificate}: TLS_Certificate "null": is not a regular file`,
    ])
  })

  test('all findings are reported, not only the first', async () => {
    const findings = await errorsOf({
      tls_certificate: file('/nowhere/a.pem'),
      tls_key: file('/nowhere/b.pem'),
      tls_client_ca: file('/nowhere/c.pem'),
      tls_ciphers: 'BOGUS',
      tls_ec_curve_names: 'P-256:bogus',
    })
    assert.deepEqual(
      new Set(findings.map((finding) => finding.split(':')[0])),
      new Set(['2', '3', '4', '8', '10']),
    )
  })

  test('key and certificate must belong together; the key may lie in the certificate file', async () => {
    await using directory = await pkiDirectory()
    assert.match(
      (await errorsOf({ tls_key: file(directory.file('client-valid.key')) }))[0] ?? '',
      /do not match/,
    )
    const { server, clients } = directory.pki
    const both = await directory.write('both.pem', server.cert + server.key)
    const scope = scopeOf(options(directory, { tls_certificate: file(both), tls_key: undefined }))
    assert.equal((await load([scope])).offers(scope), true)
    const none = await errorsOf({ tls_certificate: file(directory.file('server.pem')), tls_key: undefined })
    assert.match(none[0] ?? '', /^2: .*holds no private key, and TLS_Key is not set$/)
    const two = await directory.write('two.pem', server.key + clients.valid.key)
    assert.match((await errorsOf({ tls_key: file(two) }))[0] ?? '', /more than one private key/)
  })

  test('a damaged CRL or CA is an error', async () => {
    await using directory = await pkiDirectory()
    const damaged = await directory.write('damaged.pem', directory.pki.crl.replace(/\n.{64}\n/, '\n'))
    assert.match((await errorsOf({ tls_client_crl: file(damaged) }))[0] ?? '', /^5: .*(malformed|base64)/)
    // well-formed for us, but with a signature algorithm that is none
    const odd = Buffer.from(directory.pki.crl.replace(/-----[^-]+-----|\n/g, ''), 'base64')
    odd[odd.lastIndexOf(Buffer.from('2a8648ce3d040302', 'hex')) - 1] = 0x07
    assert.match(
      (await errorsOf({ tls_client_crl: file(await directory.write('odd.pem', odd)) }))[0] ?? '',
      /malformed/,
    )
    const wrong = file(directory.file('server.key'))
    assert.match(
      (await errorsOf({ tls_client_ca: wrong }))[0] ?? '',
      /^4: .*holds no certificate, only "PRIVATE KEY"/,
    )
  })

  test('the same fault of ten thousand scopes is one finding, and good files are loaded once', async () => {
    await using directory = await pkiDirectory()
    const many = (more: TlsOptions) =>
      Array.from({ length: 10_000 }, (_, i) => scopeOf(options(directory, more), `peer ${i}`))
    const error: unknown = await load(many({ tls_client_ca: file('/nowhere/ca.pem') })).catch(
      (e: unknown) => e,
    )
    assert.ok(error instanceof ConfigError)
    assert.equal(error.diagnostics.length, 1)
    const scopes = many({})
    const contexts = await load(scopes)
    assert.equal(
      scopes.every((scope) => contexts.offers(scope)),
      true,
    )
    assert.equal(contexts.shared.cache.size, 0, 'contexts are made when they are needed')
  })

  test('implicit TLS needs a certificate', async () => {
    const scope = scopeOf({ use_ssl: true })
    await assert.rejects(load([scope]), /Use_SSL needs a TLS_Certificate/)
  })

  test('a scope that was not known at loading gets no TLS, and an alarm', async () => {
    await using directory = await pkiDirectory()
    const events: ServerEvent[] = []
    const contexts = await load([], { events })
    assert.equal(contexts.offers(scopeOf(options(directory))), false)
    assert.equal(events.length, 1)
  })
})

suite('bundles', () => {
  test('a file with several CRLs serves chains through an intermediate CA', async () => {
    await using directory = await pkiDirectory()
    const { authority, crl } = directory.pki
    const middle = await intermediateAuthority()
    const good = middle.issue({ subject: 'good.example' })
    const bad = middle.issue({ subject: 'bad.example' })
    const bundle = await directory.write('bundle.pem', crl + middle.crl({ revoked: [bad.serial] }))
    const cas = await directory.write('cas.pem', `the root\n${authority.cert}and the other\n${middle.cert}`)
    const scope = scopeOf(options(directory, { tls_client_ca: file(cas), tls_client_crl: file(bundle) }))
    await using gate = await openGate(await load([scope]), scope)
    await visit(gate.port, { credential: good })
    assert.equal((await factsOf(gate)).peer.kind, 'verified')
    await visit(gate.port, { credential: bad })
    const { peer } = await factsOf(gate)
    assert.ok(peer.kind === 'unverified' && peer.cause === 'revoked')
  })

  test('a missing CRL of a CA of ours is told from a CA that is not ours', async () => {
    await using directory = await pkiDirectory()
    const { authority, otherAuthority, crl, clients } = directory.pki
    const middle = await intermediateAuthority({ subject: 'Without a list' })
    const client = middle.issue({ subject: 'client.example' })
    const list = await directory.write('root-only.pem', crl)
    const scope = scopeOf(options(directory, { tls_client_crl: file(list) }))
    await using gate = await openGate(await load([scope]), scope)
    const causeOf = async (credential: { cert: string; key: string }) => {
      await visit(gate.port, { credential })
      const { peer } = await factsOf(gate)
      return peer.kind === 'unverified' ? `${peer.cause} ${peer.code}` : peer.kind
    }
    assert.equal(
      await causeOf({ cert: client.cert + middle.cert, key: client.key }),
      'crl-missing UNABLE_TO_GET_CRL',
    )
    assert.equal(await causeOf(clients.selfsigned), 'untrusted UNABLE_TO_GET_CRL')
    const foreign = otherAuthority.intermediate({ subject: 'Without a list' })
    const stranger = foreign.issue({ subject: 'client.example' })
    const chain = { cert: stranger.cert + foreign.cert + otherAuthority.cert, key: stranger.key }
    assert.match(await causeOf(chain), /^untrusted /)
    assert.equal(
      await causeOf({ cert: client.cert, key: client.key }),
      'untrusted UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    )
    assert.equal(
      await causeOf({ cert: clients.valid.cert + authority.cert, key: clients.valid.key }),
      'verified',
    )
  })

  test('expired, unsigned and dateless CRLs', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients } = directory.pki
    const impostor = Authority.root({ subject: 'Postern test CA' })
    const now = Date.now()
    const cases: readonly [string, string][] = [
      [authority.crl({ thisUpdate: now - 2 * DAY, nextUpdate: now - DAY }), 'crl-expired'],
      [authority.crl({ thisUpdate: now + DAY, nextUpdate: now + 2 * DAY }), 'crl-expired'],
      [authority.crl({ nextUpdate: 'never' }), 'verified'],
    ]
    for (const [text, expected] of cases) {
      const path = await directory.write('case.pem', text)
      const scope = scopeOf(options(directory, { tls_client_crl: file(path) }))
      await using gate = await openGate(await load([scope]), scope)
      await visit(gate.port, { credential: clients.valid })
      const { peer } = await factsOf(gate)
      assert.equal(peer.kind === 'unverified' ? peer.cause : peer.kind, expected)
    }
    const forged = await directory.write('case.pem', impostor.crl())
    const [finding] = await errorsOf({
      tls_client_ca: file(directory.file('ca.pem')),
      tls_client_crl: file(forged),
    })
    assert.equal(
      finding,
      '5: TLS_Client_CRL "case.pem": a list of "CN=Postern test CA" is not signed by that CA',
    )
  })
})

suite('at a reload', () => {
  test('a CRL or CA that fails keeps the last good one and raises an alarm', async () => {
    await using directory = await pkiDirectory()
    const events: ServerEvent[] = []
    const list = await directory.write('list.pem', directory.pki.crl)
    const scope = scopeOf(options(directory, { tls_client_crl: file(list) }))
    const first = await load([scope], { events })
    await directory.write('list.pem', 'garbage')
    await directory.write('ca.pem', '')
    const second = await load([scope], { events, previous: first })
    assert.deepEqual(
      events.map((event) => event.kind === 'panic' && [event.level, event.module]),
      [
        ['critical', 'tls'],
        ['critical', 'tls'],
      ],
    )
    await using gate = await openGate(second, scope)
    await visit(gate.port, { credential: directory.pki.clients.revoked })
    const { peer } = await factsOf(gate)
    assert.ok(peer.kind === 'unverified' && peer.cause === 'revoked')
    await visit(gate.port, { credential: directory.pki.clients.valid })
    assert.equal((await factsOf(gate)).peer.kind, 'verified')
    // and it goes on being kept
    const third = await load([scope], { events, previous: second })
    assert.equal(third.offers(scope), true)
  })

  test('a list that another key signed in the name of our CA leaves the last good one in force', async () => {
    await using directory = await pkiDirectory()
    const events: ServerEvent[] = []
    const list = await directory.write('list.pem', directory.pki.crl)
    const scope = scopeOf(options(directory, { tls_client_crl: file(list) }))
    const first = await load([scope], { events })
    await directory.write('list.pem', Authority.root({ subject: 'Postern test CA' }).crl())
    await using gate = await openGate(await load([scope], { events, previous: first }), scope)
    const [alarm] = events
    assert.ok(
      alarm?.kind === 'panic' && alarm.level === 'critical' && /is not signed by that CA/.test(alarm.text),
    )
    await visit(gate.port, { credential: directory.pki.clients.revoked })
    const { peer } = await factsOf(gate)
    assert.ok(peer.kind === 'unverified' && peer.cause === 'revoked')
  })

  test("a server's certificate that fails refuses the reload", async () => {
    await using directory = await pkiDirectory()
    const scope = scopeOf(options(directory))
    const first = await load([scope])
    await directory.write('server.pem', 'garbage')
    await assert.rejects(load([scope], { previous: first }), ConfigError)
  })
})

suite('postern check', () => {
  test('warns of what has expired or soon will, and of lists that do not fit', async () => {
    await using directory = await pkiDirectory()
    const now = Date.now()
    const { authority } = directory.pki
    const server = authority.issue({
      subject: 'old',
      usage: 'server',
      notBefore: now - 9 * DAY,
      notAfter: now - DAY,
    })
    const dying = Authority.root({ subject: 'Dying CA', notAfter: now + 9.5 * DAY })
    const stranger = Authority.root({ subject: 'Stranger' })
    const client = authority.issue({ subject: 'No CA' })
    const scope = scopeOf({
      tls_certificate: file(await directory.write('old.pem', server.cert + server.key)),
      tls_client_ca: file(await directory.write('cas.pem', dying.cert + client.cert)),
      tls_client_crl: file(await directory.write('lists.pem', stranger.crl({ nextUpdate: 'never' }))),
    })
    const found = await auditTls(settingsOf(scope, scopeOf(scope.options, 'again')), now)
    assert.deepEqual(
      new Set(short(found)),
      new Set([
        `2: TLS_Certificate "old.pem": the server's certificate expired on ${day(now - DAY)}`,
        `4: TLS_Client_CA "cas.pem": the CA "CN=Dying CA" expires on ${day(now + 9.5 * DAY)}, in 9 days`,
        '4: TLS_Client_CA "cas.pem": "CN=No CA" is not a CA; nothing can verify against it',
        '5: TLS_Client_CRL "lists.pem": CRL 1 of "CN=Stranger" names no next update; it is used however old it gets',
        '5: TLS_Client_CRL "lists.pem": its CRL of "CN=Stranger" belongs to no CA of TLS_Client_CA',
        '5: TLS_Client_CRL "lists.pem": it holds no CRL of the CA "CN=Dying CA", so no client of that CA verifies',
        '5: TLS_Client_CRL "lists.pem": it holds no CRL of the CA "CN=No CA", so no client of that CA verifies',
      ]),
    )
    assert.ok(found.every(({ severity }) => severity === 'warning'))
  })

  test('says nothing of good files', async () => {
    await using directory = await pkiDirectory()
    const scope = scopeOf(options(directory, { tls_client_crl: file(directory.file('crl.pem')) }))
    assert.deepEqual(await auditTls(settingsOf(scope), Date.now()), [])
  })
})
