import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { suite, test } from 'node:test'
import { rootCertificates } from 'node:tls'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { hostileNames, testPki } from '../../test/support/test-ca.ts'
import { type AltName, Authority, selfSigned } from './authority.ts'
import { readCertificate } from './certificate.ts'
import { readCrl } from './crl.ts'
import { MalformedCertificate } from './der.ts'
import { element, TAG } from './der-writer.ts'

const PLAIN = /^[\x20-\x7e\x80-\xff]*$/

function parse(der: Buffer): ReturnType<typeof readCertificate> | undefined {
  try {
    return readCertificate(der)
  } catch (error) {
    assert.ok(error instanceof MalformedCertificate, `only MalformedCertificate, not ${String(error)}`)
    return undefined
  }
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8')
}

suite('facts', () => {
  test('agree with OpenSSL, for our own certificates and for the roots of the world', async () => {
    const { server, clients, authority } = await testPki()
    const ours = [server.der, authority.credential.der, ...Object.values(clients).map(({ der }) => der)]
    const all = [...ours, ...rootCertificates.map((pem) => new X509Certificate(pem).raw)]
    assert.ok(all.length > 100)
    for (const der of all) {
      const facts = readCertificate(der)
      const oracle = new X509Certificate(der)
      assert.equal(facts.fingerprint, oracle.fingerprint256.replaceAll(':', '').toLowerCase())
      assert.equal(BigInt(`0x${facts.serial}`), BigInt(`0x${oracle.serialNumber}`))
      assert.equal(facts.notBefore, oracle.validFromDate.getTime())
      assert.equal(facts.notAfter, oracle.validToDate.getTime())
      const legacy = oracle.toLegacyObject().subject as unknown as Record<
        string,
        string | string[] | undefined
      >
      const cn = [legacy['CN']].flat().at(-1) ?? ''
      assert.equal(utf8(facts.subjectCn), cn)
    }
  })

  test('names are RFC 4514 strings, most specific first, and one-line forms in their own order', () => {
    const { der } = selfSigned({
      subject: [
        { type: '2.5.4.6', tag: TAG.printableString, value: 'NL' },
        { type: '2.5.4.10', value: 'Acme, "Widgets" + Co; <x>' },
        { type: '2.5.4.11', value: ' #lead and trail ' },
        { type: '1.2.840.113549.1.9.1', tag: TAG.ia5String, value: 'a@b.example' },
        { type: '1.3.6.1.4.1.99999.1', value: 'odd' },
        { type: '2.5.4.3', value: 'first' },
        { type: '2.5.4.3', value: 'Zoë/x=y\\z' },
      ],
    })
    const facts = readCertificate(der)
    assert.equal(
      utf8(facts.subject),
      'CN=Zoë/x=y\\\\z,CN=first,1.3.6.1.4.1.99999.1=#0c036f6464,emailAddress=a@b.example,' +
        'OU=\\20#lead and trail\\20,O=Acme\\, \\"Widgets\\" \\+ Co\\; \\<x\\>,C=NL',
    )
    assert.equal(
      facts.subjectOneline,
      '/C=NL/O=Acme, "Widgets" + Co; <x>/OU= #lead and trail /emailAddress=a@b.example' +
        '/1.3.6.1.4.1.99999.1=odd/CN=first/CN=Zo\\xC3\\xAB\\x2Fx\\x3Dy\\x5Cz',
    )
    assert.equal(utf8(facts.subjectCn), 'Zoë/x=y\\\\z')
  })

  test('alternative names are words of printable ASCII, addresses in one form, and no IPv6 address is an IPv4 address', async () => {
    const { authority } = await testPki()
    const altNames: AltName[] = [
      { kind: 'dns', value: 'Mail.Example' },
      { kind: 'dns', value: 'a b\r\nc\0d\\' },
      { kind: 'email', value: 'Üser@example.com' },
      { kind: 'uri', value: 'spiffe://example/x y' },
      { kind: 'ip', value: '2001:db8:0:0:0:0:0:1' },
      { kind: 'ip', value: '::ffff:192.0.2.1' },
      { kind: 'ip', value: '10.0.0.1' },
      { kind: 'ip', value: Buffer.of(1, 2, 3) },
    ]
    const facts = readCertificate(authority.issue({ subject: 'x', altNames }).der)
    assert.deepEqual(facts.sanDns, ['mail.example', 'a\\20b\\0D\\0Ac\\00d\\\\'])
    assert.deepEqual(facts.sanEmail, ['\\C3\\9Cser@example.com'])
    assert.deepEqual(facts.sanUri, ['spiffe://example/x\\20y'])
    assert.deepEqual(facts.sanIp, ['2001:db8::1', '::ffff:c000:201', '10.0.0.1', '#010203'])
  })

  test('thousands of names are cut visibly and quickly', async () => {
    const { authority } = await testPki()
    const altNames = Array.from(
      { length: 5000 },
      (_, i): AltName => ({ kind: 'dns', value: `h${i}.example` }),
    )
    const { der } = authority.issue({ subject: 'x', altNames })
    const facts = readCertificate(der)
    assert.ok(facts.sanDns.length <= 256)
    assert.equal(facts.sanDns.at(-1), '\\...')
  })

  test('serial numbers may be zero or negative, in other certificates than ours', () => {
    const { der } = selfSigned({ subject: 'x', serial: 0n })
    assert.equal(readCertificate(der).serial, '0')
    const high = selfSigned({ subject: 'x', serial: 0x7fn }).der
    const negative = Buffer.from(high)
    negative[negative.indexOf(Buffer.from('02017f', 'hex')) + 2] = 0xff
    assert.equal(readCertificate(negative).serial, '-1')
  })
})

suite('hostile names', () => {
  const expected: Record<string, string> = {
    'CR LF': 'evil\\0D\\0AX-Injected: yes',
    NUL: 'good.example\\00.evil.example',
    ESC: '\\1B[2J\\1B]0;owned\\07',
    bidi: 'gate\\E2\\80\\AEelpmaxe.doog',
    'line separator': 'one\\E2\\80\\A8two\\E2\\80\\A9three',
    'invalid UTF-8': 'ba\\C3(d \\FF',
    BMPString: 'ga\\0D\\0A\\E2\\80\\AE',
    T61String: 'caf\u00c3\u00a9\\0A',
    UniversalString: 'g\\00',
    'no string': '#04020102',
  }
  for (const [what, attribute] of hostileNames) {
    test(`${what} can start no line and end no field`, () => {
      const { der } = selfSigned({
        subject: [
          attribute,
          { type: '2.5.4.10', value: attribute.value, tag: attribute.tag ?? TAG.utf8String },
        ],
      })
      const facts = readCertificate(der)
      for (const text of [facts.subject, facts.subjectCn, facts.subjectOneline, facts.issuer]) {
        assert.match(text, PLAIN)
        assert.ok(text.length <= 1024)
      }
      assert.doesNotMatch(utf8(facts.subject), /[\p{C}\p{Z}](?<! )/u)
      if (expected[what] !== undefined) assert.equal(facts.subjectCn, expected[what])
    })
  }

  test('a CN of 64 KB is cut, with a mark that no name can make', () => {
    const long = readCertificate(selfSigned({ subject: 'x'.repeat(65536) }).der)
    assert.match(long.subjectCn, /^x{500,511}\\\.\.\.$/)
    assert.match(long.subject, /\\\.\.\.$/)
    assert.equal(readCertificate(selfSigned({ subject: 'x\\...' }).der).subjectCn, 'x\\\\...')
  })

  test('a cut never splits a character or an escape', () => {
    for (let pad = 0; pad < 8; pad += 1) {
      const facts = readCertificate(selfSigned({ subject: 'a'.repeat(pad) + '\u{1f600}\r'.repeat(400) }).der)
      assert.match(
        utf8(facts.subjectCn),
        /^a*(?:\u{1f600}\\0D|\u{1f600})*(?:\u{1f600}\\0D|\u{1f600})\\\.\.\.$/u,
      )
    }
  })

  test('two surrogates of a BMPString are a character, and half of them makes no text', () => {
    assert.equal(utf8(named('0041d83dde00')), 'CN=A\u{1f600}')
    assert.equal(named('0041d83d'), 'CN=#1e040041d83d')
    for (const units of [1021, 1022, 1023, 1024]) {
      const text = named(`${'0041'.repeat(units)}${'d83dde00'.repeat(9)}`)
      assert.match(text, /^CN=A+\\\.\.\.$/)
    }
  })

  test('different names never read the same', () => {
    const seen = new Map<string, string>()
    // a backslash, what an escape looks like, a control, parts of UTF-8 and a plain letter
    const alphabet = [0x5c, 0x30, 0x44, 0x0d, 0xc3, 0xa9, 0x41]
    for (let n = 0; n < alphabet.length ** 4; n += 1) {
      const value = Buffer.from([0, 1, 2, 3].map((i) => alphabet[Math.floor(n / 7 ** i) % 7] ?? 0))
      const text = readCertificate(withCommonName(value)).subjectCn
      assert.equal(seen.get(text), undefined)
      seen.set(text, value.toString('hex'))
    }
  })
})

const template = selfSigned({ subject: '@'.repeat(12) }).der
/** A certificate whose CN is these bytes and dots, without the cost of a new key. */
function withCommonName(value: Uint8Array): Buffer {
  const marker = element(TAG.utf8String, Buffer.from('@'.repeat(12), 'latin1'))
  const padded = Buffer.concat([Buffer.from(value), Buffer.alloc(12 - value.length, '.')])
  const der = Buffer.from(template)
  for (let at = der.indexOf(marker); at >= 0; at = der.indexOf(marker, at + 1)) padded.copy(der, at + 2)
  return der
}

/** The subject of a certificate whose CN is this BMPString. */
function named(hex: string): string {
  const value = Buffer.from(hex, 'hex')
  return readCertificate(selfSigned({ subject: [{ type: '2.5.4.3', value, tag: 0x1e }] }).der).subject
}

suite('malformed bytes', () => {
  test('nothing but MalformedCertificate is thrown, whatever the bytes', () => {
    holds(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        parse(Buffer.from(bytes))
      }),
      { numRuns: 2000 },
    )
  })

  test('damaged certificates are read or refused, never more', async () => {
    const { clients } = await testPki()
    const { der } = clients.valid
    const damage = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
    holds(
      fc.property(damage, fc.nat(der.length), (changes, cut) => {
        const copy = Buffer.from(der)
        for (const [at, octet] of changes) copy[at] = octet
        const facts = parse(copy)
        if (facts !== undefined) assert.match(facts.subject + facts.subjectCn + facts.sanDns.join(''), PLAIN)
        if (cut < der.length) assert.equal(parse(copy.subarray(0, cut)), undefined)
      }),
      { numRuns: 3000 },
    )
  })

  test('trailing bytes, indefinite and long lengths are refused', async () => {
    const { clients } = await testPki()
    const { der } = clients.valid
    assert.equal(parse(Buffer.concat([der, Buffer.of(0)])), undefined)
    const indefinite = Buffer.concat([Buffer.of(0x30, 0x80), der.subarray(4), Buffer.of(0, 0)])
    assert.equal(parse(indefinite), undefined)
    const wide = Buffer.concat([Buffer.of(0x30, 0x83, 0), der.subarray(2)])
    assert.equal(parse(wide), undefined)
    assert.notEqual(parse(der), undefined)
  })

  test('nesting and numbers of elements are bounded', () => {
    let deep: Buffer = Buffer.alloc(0)
    for (let i = 0; i < 5000; i += 1) deep = element(TAG.sequence, deep)
    assert.equal(parse(deep), undefined)
    const wide = element(TAG.sequence, Buffer.alloc(200_000, Buffer.of(TAG.null, 0)))
    assert.equal(parse(wide), undefined)
  })
})

suite('revocation lists', () => {
  test('dates, issuer and entries are read; a list without nextUpdate too', async () => {
    const { authority } = await testPki()
    const now = Math.floor(Date.now() / 1000) * 1000
    const request = { revoked: [1n, 2n, 3n], thisUpdate: now, nextUpdate: now + 1000 }
    assert.deepEqual(readCrl(derOf(authority.crl(request))), {
      issuer: 'CN=Postern test CA',
      thisUpdate: now,
      nextUpdate: now + 1000,
      entries: 3,
    })
    assert.equal(readCrl(derOf(authority.crl({ nextUpdate: 'never' }))).nextUpdate, undefined)
    assert.equal(readCrl(derOf(authority.crl())).entries, 0)
  })

  test('damaged lists are read or refused, never more', () => {
    const der = derOf(Authority.root({ subject: 'x' }).crl({ revoked: [1n, 2n] }))
    holds(
      fc.property(fc.nat(der.length - 1), fc.nat(255), (at, octet) => {
        const copy = Buffer.from(der)
        copy[at] = octet
        try {
          readCrl(copy)
        } catch (error) {
          assert.ok(error instanceof MalformedCertificate)
        }
      }),
      { numRuns: 1000 },
    )
  })
})

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\n/g, ''), 'base64')
}
