/**
 * Certificates made to do harm: whatever is in a name or a chain, identity is the leaf's, no value starts a line in a
 * reply, a log or a header, and the process goes on.
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { type AltName, Authority } from '../../src/tls/authority.ts'
import { walkChain } from '../../src/tls/chain-walk.ts'
import { TAG } from '../../src/tls/der-writer.ts'
import { toPem } from '../../src/tls/pem.ts'
import { certificateOf } from '../../src/tls/x509.ts'
import { ConnectionLost } from '../support/smtp-client.ts'
import { hostileNames } from '../support/test-ca.ts'
import { rejectionsOf } from './attack-gate.ts'
import {
  altNamesOf,
  assertHeader,
  connect,
  contextOf,
  credential,
  delivered,
  gate,
  leaveTraces,
  names,
  ONELINE,
  pki,
  REQUIRE,
  UNSET,
  unreadable,
  WITH_CRL,
} from './certificates.fixture.ts'
import { RawClient, secure } from './raw-client.ts'

describe('hostile names', { concurrency: true }, () => {
  for (const [index, [what, subject]] of names.entries()) {
    test(`${what}, in subject and alternative names of a certificate that verifies`, async () => {
      const altNames = altNamesOf(subject[0])
      const client = await connect(UNSET, credential(pki.authority.issue({ subject, altNames })))
      const context = await contextOf(client)
      assert.equal(context.get('tls_client_verified'), 'yes')
      assert.equal(context.get('tls_client_cert_issuer_cn'), 'Postern test CA')
      assertHeader(await leaveTraces(client, `subject${index}`))
      client.destroy()
    })

    test(`${what}, in the issuer of one that does not, with DNs on one line`, async () => {
      const stranger = Authority.root({ subject })
      const client = await connect(ONELINE, credential(stranger.issue({ subject }), stranger.cert))
      const context = await contextOf(client)
      assert.equal(context.get('tls_client_verified'), undefined)
      assert.equal(context.get('tls_client_verify_error'), 'untrusted')
      const text = await leaveTraces(client, `issuer${index}`)
      assertHeader(text)
      assert.match(text, /\n\t\(using [^\n]* NOT verified: untrusted\)\n/)
      client.destroy()
    })
  }

  test('two names that differ never read the same', async () => {
    const seen = new Set<string>()
    const pairs = [
      'a\0b',
      'a\\00b',
      'a',
      'a ',
      ' a',
      'a\u200b',
      'ａ',
      'a,CN=b',
      'a\r\nb',
      'a\\0D\\0Ab',
      'А',
      'A',
    ]
    for (const cn of pairs) {
      const client = await connect(UNSET, credential(pki.authority.issue({ subject: cn })))
      const context = await contextOf(client)
      seen.add(`${context.get('tls_client_cert_subject')}`)
      client.destroy()
    }
    assert.equal(seen.size, pairs.length, [...seen].join(' | '))
  })

  test('a thousand alternative names are cut at a bound, and the cut shows', async () => {
    const altNames = Array.from(
      { length: 1500 },
      (_, n): AltName => ({ kind: 'dns', value: `n${n}.example` }),
    )
    const client = await connect(UNSET, credential(pki.authority.issue({ subject: 'many', altNames })))
    const value = (await contextOf(client)).get('tls_client_cert_san_dns') ?? ''
    assert.ok(value.startsWith('n0.example n1.example '))
    assert.ok(value.endsWith(' \\...'))
    assert.ok(value.length < 10_000)
    client.destroy()
  })
})

describe('chains', { concurrency: true }, () => {
  test('identity is the leaf’s, whatever certificates come along', async () => {
    const admin = pki.authority.issue({
      subject: 'admin.example',
      altNames: [{ kind: 'dns', value: 'admin.example' }],
    })
    const crowd = Array.from(
      { length: 20 },
      (_, n) => pki.authority.issue({ subject: `crowd${n}.example` }).cert,
    )
    const client = await connect(
      UNSET,
      credential(pki.clients.valid, admin.cert, pki.clients.revoked.cert, ...crowd),
    )
    const context = await contextOf(client)
    assert.equal(context.get('tls_client_cert_subject_cn'), 'client-valid.example')
    assert.equal(context.get('tls_client_cert_san_dns'), 'client-valid.example')
    assert.doesNotMatch([...context.values()].join(' '), /admin|crowd|revoked/)
    client.destroy()
  })

  test('a certificate that verifies, behind one that does not, is worth nothing', async () => {
    for (const kind of ['untrusted', 'selfsigned'] as const) {
      const client = await connect(
        REQUIRE,
        credential(pki.clients[kind], pki.clients.valid.cert, pki.authority.cert),
      )
      const context = await contextOf(client)
      assert.equal(context.get('tls_client_cert_subject_cn'), `client-${kind}.example`)
      assert.equal(context.get('tls_client_verify_error'), 'untrusted')
      assert.equal(context.get('can_relay'), undefined)
      client.destroy()
    }
  })

  test('a CA of the same name as ours does not make one verified', async () => {
    const impostor = Authority.root({ subject: 'Postern test CA' })
    const leaf = impostor.issue({ subject: 'client-valid.example' })
    const client = await connect(REQUIRE, credential(leaf, impostor.cert, pki.authority.cert))
    const context = await contextOf(client)
    assert.equal(context.get('tls_client_verified'), undefined)
    assert.equal(context.get('can_relay'), undefined)
    client.destroy()
  })

  test('a leaf that signs another leaf, and names that go in circles', async () => {
    const leaf = Authority.root({ subject: 'loop' })
    const inner = leaf.issue({ subject: 'loop' })
    const other = Authority.root({ subject: 'loop' })
    const client = await connect(UNSET, credential(inner, other.cert, leaf.cert, inner.cert))
    assert.equal((await contextOf(client)).get('tls_client_verify_error'), 'untrusted')
    client.destroy()
  })

  test('a certificate without CN and alternative names verifies and names nobody', async () => {
    const client = await connect(REQUIRE, credential(pki.authority.issue({ subject: [] })))
    const context = await contextOf(client)
    assert.equal(context.get('tls_client_verified'), 'yes')
    for (const key of ['subject', 'subject_cn', 'san_dns', 'san_email', 'san_uri', 'san_ip']) {
      assert.equal(context.get(`tls_client_cert_${key}`), undefined, key)
    }
    assert.equal(context.get('can_relay'), 'true', 'the scope asks for any certificate that verifies')
    client.destroy()
    const elsewhere = await connect(UNSET, credential(pki.authority.issue({ subject: [] })))
    const text = await leaveTraces(elsewhere, 'nameless')
    assert.match(text, /client certificate without a name from 'Postern test CA' verified/)
    elsewhere.destroy()
  })

  test('a walk of the chain ends at a key that cannot be read', () => {
    const stranger = Authority.root({ subject: 'Stranger' })
    const broken = withoutPoint(stranger)
    const leaf = certificateOf(stranger.issue({ subject: 'client' }).der)
    const sent = [certificateOf(broken)]
    const found = walkChain({ leaf, sent, resumed: false, cas: undefined, lists: [], now: Date.now() })
    assert.deepEqual(
      found.problems.map(({ cause, depth }) => `${cause} ${depth}`),
      ['untrusted 0'],
    )
  })

  test('an intermediate whose key is no point of its curve, where the chain is walked for the cause', {
    skip:
      spawnSync('gnutls-cli', ['--version']).status !== 0 &&
      'gnutls-cli, which would send it, is not installed',
  }, async () => {
    const stranger = Authority.root({ subject: 'Stranger' })
    const broken = withoutPoint(stranger)
    const leaf = stranger.issue({ subject: 'client' })
    const chain = path.join(gate.folder, 'broken.pem')
    writeFileSync(chain, `${leaf.cert}\n${toPem('CERTIFICATE', broken)}`)
    writeFileSync(`${chain}.key`, leaf.key)
    const { host, port } = gate.address(WITH_CRL)
    const args = [
      '--insecure',
      '--x509certfile',
      chain,
      '--x509keyfile',
      `${chain}.key`,
      '-p',
      String(port),
      host,
    ]
    const child = spawn('gnutls-cli', args, { stdio: ['pipe', 'pipe', 'ignore'] })
    child.stdin.on('error', () => undefined)
    const timer = setTimeout(() => child.kill('SIGKILL'), 5000)
    let output = ''
    for await (const chunk of child.stdout) {
      const before = output
      output += String(chunk)
      if (!/^220 /m.test(before) && /^220 /m.test(output)) child.stdin.write('XDUMPCONTEXT\r\nQUIT\r\n')
    }
    clearTimeout(timer)
    assert.match(output, /tls_client_cert_subject_cn client\s/)
    assert.match(output, /tls_client_verify_error untrusted\s/)
  })

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    test(`${version}: a chain of a hundred kilobytes and more ends the handshake`, async () => {
      const crowd = Array.from(
        { length: 300 },
        (_, n) => pki.authority.issue({ subject: `crowd${n}.example` }).cert,
      )
      const before = gate.events.length
      const options = { ...credential(pki.clients.valid, ...crowd), minVersion: version, maxVersion: version }
      await assert.rejects(connect(UNSET, options), ConnectionLost)
      const rejection = await gate.event('rejection', (event) => gate.events.indexOf(event) >= before)
      assert.match(rejection.text, /excessive message size/)
    })
  }
})

/** Its certificate with a key that is no point of the curve. */
function withoutPoint({ credential: { der } }: Authority): Buffer {
  const broken = Buffer.from(der)
  const point = broken.indexOf(Buffer.from('2a8648ce3d030107034200', 'hex')) + 12
  return broken.fill(0xff, point, point + 64)
}

/** A handshake of TLS 1.2, where the certificate goes out in clear and can be changed on its way. */
async function refusal(cn: string, replacement: Buffer, tag: number = TAG.utf8String): Promise<string> {
  const { cert, key } = pki.authority.issue({ subject: [{ type: '2.5.4.3', value: cn }] })
  const client = await RawClient.connect(gate.address(UNSET))
  const changed = secure(client, { cert, key, maxVersion: 'TLSv1.2' }, async (bytes, raw) => {
    const at = bytes.indexOf(Buffer.concat([Buffer.of(TAG.utf8String, cn.length), Buffer.from(cn)]))
    if (at >= 0) {
      bytes[at] = tag
      replacement.copy(bytes, at + 2)
    }
    raw.send(bytes)
  })
  await assert.rejects(changed)
  await client.closed()
  const [rejection, ...more] = await rejectionsOf(gate, client)
  assert.deepEqual(more, [])
  return rejection?.text ?? ''
}

describe('certificates that OpenSSL does not read', { concurrency: true }, () => {
  test('a name that is no text', async () => {
    const [invalid, other] = unreadable.map((name) => hostileNames.get(name)?.value)
    assert.ok(Buffer.isBuffer(invalid) && Buffer.isBuffer(other))
    assert.match(await refusal('z'.repeat(invalid.length), invalid), /./)
    assert.match(await refusal('z'.repeat(other.length), other, TAG.octetString), /./)
  })

  test('a name with a length that reaches past its end', async () => {
    assert.match(await refusal('zzzzzzzz', Buffer.alloc(8, 0xff), TAG.sequence), /./)
  })

  test('a CN of 64 kilobytes: too much for a session ticket, and for OpenSSL', async () => {
    const long = hostileNames.get('long')
    assert.ok(long)
    const before = gate.events.length
    await assert.rejects(connect(UNSET, credential(pki.authority.issue({ subject: [long] }))), ConnectionLost)
    await gate.event('rejection', (event) => gate.events.indexOf(event) >= before)
  })
})

describe('SNI', { concurrency: true }, () => {
  // biome-ignore format: a list
  const sent = [
    'localhost', 'LOCALHOST', 'LocalHost', 'localhost.', 'xn--bcher-kva.example', 'unknown.example', 'a', '.', '..',
    'x'.repeat(255), 'with space', 'back\\slash', 'trailing\\', '../../etc/passwd', '$(id)', '%n%s', "'\"`", '*',
    'b\xfccher.example', 'cr\r\nlf', 'esc\u001b[2J', '[::1]', '_', '-',
  ]
  for (const servername of sent) {
    test(`${JSON.stringify(servername.slice(0, 30))} changes neither mode nor trust`, async () => {
      for (const kind of ['valid', 'untrusted'] as const) {
        const client = await connect(REQUIRE, { ...credential(pki.clients[kind]), servername })
        const context = await contextOf(client)
        assert.equal(context.get('tls_verify_mode'), 'require')
        // one word, and an octet that is no plain character only as `\\XX`
        assert.match(context.get('tls_sni') ?? '', /^(?:[!-[\]-~]|\\\\|\\[0-9A-F]{2}|\\\.\.\.$)*$/)
        assert.equal(context.get('tls_client_verified'), kind === 'valid' ? 'yes' : undefined)
        if (kind === 'valid') assertHeader(await delivered(client, `sni${sent.indexOf(servername)}`))
        client.destroy()
      }
      await assert.rejects(connect(REQUIRE, { servername }), ConnectionLost)
    })
  }

  test('octets that no client library would send end in an alert', async () => {
    const name = 'abcdefgh.example'
    for (const hostile of [
      'abcdefgh\0example',
      '\0'.repeat(16),
      '\xff'.repeat(16),
      'a\r\nb: c\r\n\r\n1234',
    ]) {
      const client = await RawClient.connect(gate.address(UNSET))
      const changed = secure(client, { servername: name }, async (bytes, raw) => {
        const at = bytes.indexOf(name)
        if (at >= 0) bytes.write(hostile.slice(0, 16), at, 'latin1')
        raw.send(bytes)
      })
      await assert.rejects(changed)
      await client.closed()
    }
  })
})
