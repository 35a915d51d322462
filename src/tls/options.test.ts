/** What does not need a handshake: options, PEM, ticket secret, context keys, the statement, the judge. */

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { createSecureContext } from 'node:tls'
import { checkCipherOptions, cipherText, protocolRange } from './cipher-options.ts'
import { ContextCache, HandshakeSlots } from './context-cache.ts'
import { tlsContextEntries, tlsContextKeys } from './context-keys.ts'
import {
  type CertificateFacts,
  type ChainFindings,
  type ChainProblem,
  judgePeer,
  type TlsFacts,
  type VerifyCause,
  type VerifyFailure,
} from './peer.ts'
import { blocksOf, PemError, parsePem, toPem } from './pem.ts'
import { cipherBits } from './session-facts.ts'
import { tlsStatement } from './statement.ts'
import { TicketSecret } from './ticket-secret.ts'

const HOUR = 3_600_000

function range(value?: string): string {
  const { minVersion, maxVersion } = protocolRange(value)
  return `${minVersion} ${maxVersion}`
}

suite('TLS_Protocols', () => {
  test('unset is 1.2 and 1.3; a list is read from the left', () => {
    assert.equal(range(), 'TLSv1.2 TLSv1.3')
    assert.equal(range('+ALL'), 'TLSv1 TLSv1.3')
    assert.equal(range('+ALL:-SSLv3:-TLSv1.0'), 'TLSv1.1 TLSv1.3')
    assert.equal(range('+all:-tlsv1.0:-TLSV1.1'), 'TLSv1.2 TLSv1.3')
    assert.equal(range('+TLSv1.2'), 'TLSv1.2 TLSv1.2')
    assert.equal(range('-TLSv1.3'), 'TLSv1 TLSv1.2')
    assert.equal(range('-ALL:+TLSv1.3'), 'TLSv1.3 TLSv1.3')
  })

  test('a version in between can be off', () => {
    const { minVersion, maxVersion, secureOptions } = protocolRange('+TLSv1.1:+TLSv1.3')
    assert.deepEqual([minVersion, maxVersion], ['TLSv1.1', 'TLSv1.3'])
    assert.notEqual(secureOptions & 0x08000000, 0, 'SSL_OP_NO_TLSv1_2')
  })

  test('what is no list, or leaves nothing, is an error', () => {
    for (const value of ['', 'ALL', '+TLSv1.4', '+ALL:TLSv1.0', '+SSLv3', '+ALL:-ALL']) {
      assert.throws(() => protocolRange(value), RangeError)
    }
  })
})

suite('ciphers', () => {
  const values = {
    tls_protocols: undefined,
    tls_ciphers: undefined,
    tlsv13_ciphersuites: undefined,
    tls_ec_curve_names: undefined,
  }
  const findings = (more: Partial<Record<keyof typeof values, string>>) =>
    checkCipherOptions({ ...values, ...more }).map(({ option, severity }) => `${severity} ${option}`)

  test('good values pass', () => {
    assert.deepEqual(findings({}), [])
    assert.deepEqual(findings({ tls_ciphers: 'HIGH:!aNULL:!RC4:!EXPORT:-MD5:+SHA1:@STRENGTH' }), [])
    assert.deepEqual(findings({ tls_ciphers: 'ECDHE+AESGCM:DEFAULT@SECLEVEL=1' }).length < 2, true)
    assert.deepEqual(findings({ tlsv13_ciphersuites: 'TLS_AES_128_CCM_SHA256:TLS_AES_256_GCM_SHA384' }), [])
    assert.deepEqual(findings({ tls_ec_curve_names: 'X25519MLKEM768:X25519:prime256v1' }), [])
  })

  test('bad values are found, a word that excludes nothing is an error', () => {
    assert.deepEqual(findings({ tls_ciphers: 'BOGUS' }), ['error tls_ciphers'])
    assert.deepEqual(findings({ tls_ciphers: 'HIGH:BOGUS' }), ['warning tls_ciphers'])
    assert.deepEqual(findings({ tls_ciphers: 'HIGH:!MD55' }), ['error tls_ciphers'])
    assert.deepEqual(findings({ tls_ciphers: 'HIGH:TLS_AES_128_GCM_SHA256' }), ['error tls_ciphers'])
    assert.deepEqual(findings({ tlsv13_ciphersuites: 'TLS_AES_256_GCM_SHA384:TLS_BOGUS' }), [
      'error tlsv13_ciphersuites',
    ])
    assert.deepEqual(findings({ tls_ec_curve_names: 'P-256:bogus' }), ['error tls_ec_curve_names'])
    assert.deepEqual(findings({ tls_protocols: 'ALL' }), ['error tls_protocols'])
  })

  test('a cipher list of its own leaves TLS 1.3 on', () => {
    assert.match(cipherText({ ...values, tls_ciphers: 'HIGH' }), /^TLS_AES_256_GCM_SHA384:.*:HIGH$/)
  })

  test('key lengths follow from the name of the suite', () => {
    assert.deepEqual(cipherBits('TLS_AES_256_GCM_SHA384'), { algorithm: 256, used: 256 })
    assert.deepEqual(cipherBits('ECDHE-RSA-AES128-GCM-SHA256'), { algorithm: 128, used: 128 })
    assert.deepEqual(cipherBits('ECDHE-ECDSA-CHACHA20-POLY1305'), { algorithm: 256, used: 256 })
    assert.deepEqual(cipherBits('DES-CBC3-SHA'), { algorithm: 168, used: 112 })
    assert.deepEqual(cipherBits('NULL-SHA256'), { algorithm: 0, used: 0 })
  })
})

suite('PEM', () => {
  test('bundles come apart; text around the blocks and CR LF do not matter', () => {
    const [a, b] = [Buffer.alloc(100, 1), Buffer.alloc(3, 2)]
    const text = `hello\n${toPem('X509 CRL', a)}between\n${toPem('CERTIFICATE', b)}`.replaceAll('\n', '\r\n')
    assert.deepEqual(parsePem(text), [
      { label: 'X509 CRL', der: a },
      { label: 'CERTIFICATE', der: b },
    ])
    assert.deepEqual(blocksOf(Buffer.from(text), ['X509 CRL'], 'CRL'), [a])
    assert.throws(
      () => blocksOf(Buffer.from(text), ['PRIVATE KEY'], 'key'),
      /no key, only "X509 CRL", "CERTIFICATE"/,
    )
  })

  test('damage is an error and never a block less', () => {
    const good = toPem('CERTIFICATE', Buffer.alloc(100, 1))
    for (const bad of [
      good.replace('-----END CERTIFICATE-----', ''),
      good.replace('-----END CERTIFICATE-----', '-----END X509 CRL-----'),
      good + good.replace('-----BEGIN CERTIFICATE-----', ''),
      good.replace('AQEB', 'AQ*B'),
      good.replace('AQEB', 'AQE'),
      good.replace('-----END', `${good}-----END`),
    ]) {
      assert.throws(() => parsePem(good + bad), PemError)
    }
  })
})

suite('ticket secret', () => {
  const digest = Buffer.alloc(32, 7)

  test('keys differ by digest and by hour, and are 48 octets', () => {
    const secret = new TicketSecret()
    const keys = secret.keysFor(digest, HOUR * 5)
    assert.equal(keys.length, 48)
    assert.deepEqual(secret.keysFor(digest, HOUR * 6 - 1), keys)
    assert.notDeepEqual(secret.keysFor(Buffer.alloc(32, 8), HOUR * 5), keys)
    assert.notDeepEqual(secret.keysFor(digest, HOUR * 6), keys)
  })

  test('processes that began with the same state agree, whenever they look; the past is forgotten', () => {
    const first = new TicketSecret()
    const second = new TicketSecret(first.state(HOUR * 10))
    first.period(HOUR * 11)
    first.period(HOUR * 12)
    assert.deepEqual(second.keysFor(digest, HOUR * 13), first.keysFor(digest, HOUR * 13))
    const late = first.keysFor(digest, HOUR * 13)
    assert.deepEqual(first.keysFor(digest, HOUR * 10), late, 'a clock that goes back opens nothing')
  })
})

suite('bounds', () => {
  test('the cache forgets what was not used for long, by weight', () => {
    const cache = new ContextCache(100)
    const context = createSecureContext({ ca: [] })
    let made = 0
    const get = (digest: string, weight: number) =>
      cache.get(digest, weight, () => {
        made += 1
        return context
      })
    get('a', 40)
    get('b', 40)
    get('a', 40)
    get('c', 40)
    assert.equal(made, 3)
    get('a', 40)
    assert.equal(made, 3, 'a was used after b')
    get('b', 40)
    assert.equal(made, 4)
    get('huge', 1000)
    assert.equal(cache.size, 1, 'one context stays, however large')
  })

  test('slots leave nothing behind', () => {
    const slots = new HandshakeSlots()
    assert.deepEqual([slots.take('a', 1), slots.take('a', 1), slots.take('b', 1)], [true, false, true])
    slots.release('a')
    assert.equal(slots.take('a', 1), true)
    assert.equal(slots.take('a', 0), true, '0 is no limit')
  })
})

const certificate: CertificateFacts = {
  subject: 'CN=gate,O=Acme',
  subjectCn: 'ga(te)\\0D',
  issuer: 'CN=CA',
  issuerCn: 'CA',
  subjectOneline: '/O=Acme/CN=gate',
  issuerOneline: '/CN=CA',
  serial: 'ab',
  fingerprint: 'ff',
  spki: 'ee',
  sanDns: ['a.example', 'b.example'],
  sanEmail: [],
  sanUri: [],
  sanIp: [],
  notBefore: Date.UTC(2026, 0, 1),
  notAfter: Date.UTC(2027, 0, 1),
}

function judge(
  failure: VerifyFailure | undefined,
  more: { now?: number; malformed?: boolean; chain?: Partial<ChainFindings> } = {},
) {
  const peer = judgePeer({
    mode: 'unset',
    leaf: { facts: certificate, malformed: more.malformed ?? false },
    failure,
    chain: () => ({ ...nothingFound(), ...more.chain }),
    now: more.now ?? Date.UTC(2026, 5, 1),
  })
  return peer.kind === 'unverified' ? `${peer.cause} ${peer.code}` : peer.kind
}

function nothingFound(): ChainFindings {
  return { complete: true, reachesCa: true, path: [], problems: [] }
}

function problem(cause: VerifyCause): ChainProblem {
  return { cause, depth: 1, subject: 'CN=x', subjectOneline: '/CN=x' }
}

function failure(code: string, message = ''): string {
  return judge({ code, message })
}

suite('the judge', () => {
  test('only a present, readable, faultless certificate within its dates verifies', () => {
    assert.equal(judge(undefined), 'verified')
    assert.equal(judge(undefined, { malformed: true }), 'malformed UNREADABLE')
    assert.equal(judge(undefined, { now: certificate.notAfter }), 'expired CERT_HAS_EXPIRED')
    assert.equal(judge(undefined, { now: certificate.notBefore - 1 }), 'not-yet-valid CERT_NOT_YET_VALID')
    assert.equal(judge(undefined, { now: Number.NaN }), 'expired CERT_HAS_EXPIRED')
    const absent = { leaf: undefined, failure: undefined, chain: nothingFound, now: 0 }
    assert.deepEqual(judgePeer({ mode: 'require', ...absent }), { kind: 'anonymous' })
  })

  test('no code is ever excused, known or not', () => {
    assert.equal(failure('SELF_SIGNED_CERT_IN_CHAIN'), 'untrusted SELF_SIGNED_CERT_IN_CHAIN')
    assert.equal(failure('CERT_CHAIN_TOO_LONG'), 'too-deep CERT_CHAIN_TOO_LONG')
    assert.equal(failure('UNSPECIFIED', 'permitted subtree violation'), 'name-constraint PERMITTED_VIOLATION')
    assert.equal(failure('UNSPECIFIED', 'whatever'), 'other UNSPECIFIED')
    assert.equal(failure('A_NEW_CODE'), 'other A_NEW_CODE')
    assert.equal(failure('OK'), 'other OK')
  })

  test('a CRL that is missing is told from a CA that is not ours', () => {
    const missing = { code: 'UNABLE_TO_GET_CRL', message: '' }
    assert.equal(judge(missing, { chain: { reachesCa: true } }), 'crl-missing UNABLE_TO_GET_CRL')
    assert.equal(judge(missing, { chain: { reachesCa: false } }), 'untrusted UNABLE_TO_GET_CRL')
  })

  test('what a walk finds changes the cause, never the code and never to verified', () => {
    const expired = { code: 'CERT_HAS_EXPIRED', message: '' }
    assert.equal(judge(expired, { chain: { reachesCa: false } }), 'untrusted CERT_HAS_EXPIRED')
    const resumed = { complete: false, reachesCa: false }
    assert.equal(judge(expired, { chain: resumed }), 'expired CERT_HAS_EXPIRED')
    assert.equal(judge(expired, { chain: { problems: [problem('revoked')] } }), 'revoked CERT_HAS_EXPIRED')
    assert.equal(judge(expired, { chain: { problems: [problem('too-deep')] } }), 'expired CERT_HAS_EXPIRED')
    const forged = { problems: [problem('revoked'), problem('bad-signature')] }
    assert.equal(judge(expired, { chain: forged }), 'bad-signature CERT_HAS_EXPIRED')
    assert.equal(judge(undefined, { chain: forged }), 'verified')
  })
})

suite('what policy and headers get', () => {
  const facts: TlsFacts = {
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    cipherAlgorithmBits: 256,
    cipherUsedBits: 256,
    sni: '',
    resumed: false,
    mode: 'require',
    modeFrom: 'gate.conf:12',
    peer: { kind: 'unverified', certificate, cause: 'expired', code: 'CERT_HAS_EXPIRED' },
  }

  const seen = (peer: TlsFacts['peer'], form: 'rfc4514' | 'oneline' = 'rfc4514') =>
    tlsContextEntries({ ...facts, peer }, form)

  test('the context has the keys of the certificate, and "yes" only for one that verifies', () => {
    const entries = tlsContextEntries(facts, 'rfc4514')
    assert.equal(entries.get('tls'), 'on')
    assert.equal(entries.has('tls_client_verified'), false)
    assert.equal(entries.get('tls_client_verify_error'), 'expired')
    assert.equal(entries.get('tls_client_cert_subject'), 'CN=gate,O=Acme')
    assert.equal(entries.get('tls_client_cert_san_dns'), 'a.example b.example')
    assert.equal(entries.get('tls_client_cert_not_after'), '2027-01-01T00:00:00Z')
    assert.equal(entries.get('tls_verify_mode_from'), 'gate.conf:12')
    assert.equal(entries.has('tls_sni'), false)
    assert.equal(tlsContextEntries(facts, 'oneline').get('tls_client_cert_subject'), '/O=Acme/CN=gate')
    for (const key of entries.keys())
      assert.ok(tlsContextKeys.includes(key), `${key} is cleared before a handshake`)
    const anonymous = tlsContextEntries({ ...facts, peer: { kind: 'anonymous' } }, 'rfc4514')
    assert.equal(
      [...anonymous.keys()].some((key) => key.startsWith('tls_client')),
      false,
    )
  })

  test('what is kept of a known certificate is what it says, in each form, and never a verdict', () => {
    const frozen = Object.freeze({ ...certificate })
    const expired = { kind: 'unverified', certificate: frozen, cause: 'expired', code: 'X' } as const
    const first = seen(expired)
    assert.deepEqual(seen(expired), first)
    assert.deepEqual(seen({ ...expired, certificate: { ...frozen } }), first)
    assert.equal(seen(expired, 'oneline').get('tls_client_cert_subject'), '/O=Acme/CN=gate')
    assert.equal(seen(expired).get('tls_client_cert_subject'), 'CN=gate,O=Acme')
    assert.equal(seen({ ...expired, cause: 'revoked' }).get('tls_client_verify_error'), 'revoked')
    assert.equal(seen(expired).get('tls_client_verify_error'), 'expired')
    // facts that may still change are read each time
    const loose = { ...certificate }
    seen({ ...expired, certificate: loose })
    Object.assign(loose, { subject: 'CN=other' })
    assert.equal(seen({ ...expired, certificate: loose }).get('tls_client_cert_subject'), 'CN=other')
  })

  test('the statement is one balanced comment of plain ASCII, however long or hostile the names', () => {
    assert.equal(
      tlsStatement(facts),
      "(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits), client certificate 'ga?te??0D' NOT verified: expired)",
    )
    const failing = { depth: 1, subject: 'CN=middle)', subjectOneline: '/CN=middle)' }
    const above: TlsFacts['peer'] = { kind: 'unverified', certificate, cause: 'revoked', code: 'X', failing }
    assert.match(
      tlsStatement({ ...facts, peer: above }),
      / NOT verified: revoked at depth 1 'CN=middle\?'\)$/,
    )
    const bad = `)("\\\r\n'\u00e9`.repeat(200)
    const hostile = { ...certificate, subjectCn: bad }
    const element = { depth: 3, subject: bad, subjectOneline: bad }
    const peer = {
      kind: 'unverified',
      certificate: hostile,
      cause: 'other',
      code: 'X',
      failing: element,
    } as const
    const text = tlsStatement({ ...facts, peer })
    assert.match(text, /^\([\x20-\x7e]+\)$/)
    assert.ok(text.length <= 400)
    assert.deepEqual([text.match(/\(/g)?.length, text.match(/\)/g)?.length], [2, 2])
    assert.match(
      tlsStatement({ ...facts, mode: 'none', peer: { kind: 'anonymous' } }),
      /no client certificate requested\)$/,
    )
  })
})
