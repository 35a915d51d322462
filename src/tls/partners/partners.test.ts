/** Selectors × certificates: whose a verified certificate is, and what merely looks like it. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { rmSync } from 'node:fs'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds } from '../../../test/support/properties.ts'
import { hostileNames } from '../../../test/support/test-ca.ts'
import { loadSettingsFromText } from '../../config/load.ts'
import { Authority, type Credential, type NameAttribute } from '../authority.ts'
import { readCertificate } from '../certificate.ts'
import { TAG } from '../der-writer.ts'
import { attributeTypes, toRfc4514 } from '../names.ts'
import { judgePeer, type VerifiedPeer } from '../peer.ts'
import { readWrittenName } from './distinguished-name.ts'
import { type LoadedPartners, loadPartners } from './load-partners.ts'

const at = (type: string, value: string, tag: number = TAG.utf8String): NameAttribute => ({
  type,
  value,
  tag,
})
const CN = '2.5.4.3'
const O = '2.5.4.10'
const caName = [at(O, 'Acme'), at(CN, 'Acme CA')]

let folder: string
let acme: Authority
/** the same name, another key: trusted, too, or an attacker's */
let impostor: Authority
let own: Credential
let ownAgain: Credential
let theirs: Credential

before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'postern-partners-'))
  acme = Authority.root({ subject: caName })
  impostor = Authority.root({ subject: caName })
  const request = {
    subject: [at(O, 'Acme'), at(CN, 'mx')],
    altNames: [
      { kind: 'dns', value: 'MX.acme.example' },
      { kind: 'email', value: 'Gate@Acme.Example' },
      { kind: 'uri', value: 'spiffe://acme.example/Gate' },
      { kind: 'ip', value: '192.0.2.1' },
    ] as const,
  }
  own = acme.issue(request)
  ownAgain = acme.issue(request)
  theirs = impostor.issue(request)
  await writeFile(path.join(folder, 'acme-ca.pem'), acme.cert)
  await writeFile(path.join(folder, 'own.pem'), own.cert)
  await writeFile(path.join(folder, 'again.pem'), ownAgain.cert)
  await writeFile(path.join(folder, 'theirs.pem'), theirs.cert)
  await writeFile(path.join(folder, 'own.key'), own.key)
})
after(() => rmSync(folder, { recursive: true }))

async function load(...partners: string[]): Promise<LoadedPartners> {
  const text = partners.map((body, index) => `Partner "p${index + 1}" { ${body} }\n`).join('')
  const name = path.join(folder, 'gate.conf')
  const { settings, diagnostics } = await loadSettingsFromText(text, name)
  assert.ok(settings, JSON.stringify(diagnostics))
  return loadPartners(settings)
}

async function good(...partners: string[]): Promise<LoadedPartners['partners']> {
  const { partners: result, diagnostics } = await load(...partners)
  assert.deepEqual(diagnostics, [])
  return result
}

async function complaints(...partners: string[]): Promise<string[]> {
  return (await load(...partners)).diagnostics.map(({ severity, message }) => `${severity}: ${message}`)
}

function verified(der: Buffer): VerifiedPeer {
  const facts = readCertificate(der)
  const peer = judgePeer({
    mode: 'unset',
    leaf: { facts, malformed: false },
    failure: undefined,
    chain: () => ({ complete: true, reachesCa: true, path: [], problems: [] }),
    now: Date.now(),
  })
  assert.ok(peer.kind === 'verified')
  return peer
}

async function whose(body: string, { der }: Credential, now = Date.now()): Promise<string | undefined> {
  const match = (await good(body)).match(verified(der), new X509Certificate(der), now)
  return match.kind === 'known' ? match.partner.name : undefined
}

const issue = (request: Partial<Parameters<Authority['issue']>[0]>): Credential =>
  acme.issue({ subject: 'x', ...request })
const named = (...subject: NameAttribute[]): Credential => issue({ subject })
const dns = (value: string | Uint8Array): Credential => issue({ altNames: [{ kind: 'dns', value }] })
const spki = ({ der }: Credential): string => readCertificate(der).spki
const print = ({ der }: Credential): string => readCertificate(der).fingerprint
const fits = async (body: string, credential: Credential): Promise<boolean> =>
  (await whose(body, credential)) === 'p1'

describe('one selector', () => {
  const rows: readonly (readonly [string, () => string, own: boolean, theirs: boolean])[] = [
    // names alone do not tell an impostor's CA, should it be trusted: only its key does
    ['Issuer', () => 'Issuer = "CN=Acme CA,O=Acme"', true, true],
    ['Issuer of another case', () => 'Issuer = "CN=acme ca,O=acme"', false, false],
    ['Issuer, a part of it', () => 'Issuer = "CN=Acme CA"', false, false],
    ['Issuer as a pattern', () => 'Issuer = "CN=*,O=Acme"', false, false],
    ['Issuer with blanks after the commas', () => 'Issuer = "CN=Acme CA, O=Acme"', true, true],
    ['Issuer with two blanks inside', () => 'Issuer = "CN=Acme  CA,O=Acme"', false, false],
    ['Issuer_Certificate', () => 'Issuer_Certificate = "acme-ca.pem"', true, false],
    ['Subject', () => 'Subject = "CN=mx,O=Acme"', true, true],
    ['Subject, one of two', () => 'Subject = ( "CN=other" "CN=mx,O=Acme" )', true, true],
    ['SAN_DNS', () => 'SAN_DNS = "mx.Acme.example"', true, true],
    ['SAN_DNS of the parent', () => 'SAN_DNS = "acme.example"', false, false],
    ['SAN_DNS with a longer name', () => 'SAN_DNS = "mx.acme.example.org"', false, false],
    ['SAN_Email', () => 'SAN_Email = "Gate@acme.example"', true, true],
    ['SAN_Email of another case', () => 'SAN_Email = "gate@acme.example"', false, false],
    ['SAN_URI', () => 'SAN_URI = "spiffe://acme.example/Gate"', true, true],
    ['SAN_URI of another case', () => 'SAN_URI = "spiffe://acme.example/gate"', false, false],
    ['SAN_IP', () => 'SAN_IP = "::ffff:192.0.2.1"', true, true],
    ['SAN_IP of a neighbour', () => 'SAN_IP = "192.0.2.2"', false, false],
    ['SPKI_Pin', () => `SPKI_Pin = "sha256:${spki(own)}"`, true, false],
    ['SPKI_Pin of a file', () => 'SPKI_Pin = "file:own.pem"', true, false],
    ['SPKI_Pin, the successor', () => `SPKI_Pin = ( "file:again.pem" "sha256:${spki(own)}" )`, true, false],
    ['Certificate_Pin', () => `Certificate_Pin = "sha256:${print(own).toUpperCase()}"`, true, false],
    ['a pin of the other kind', () => `Certificate_Pin = "sha256:${spki(own)}"`, false, false],
    ['a pin of another certificate', () => 'Certificate_Pin = "file:again.pem"', false, false],
  ]
  for (const [name, body, forOwn, forTheirs] of rows) {
    test(name, async () => {
      assert.equal(await fits(body(), own), forOwn, 'the partner’s own')
      assert.equal(await fits(body(), theirs), forTheirs, 'a CA of the same name')
    })
  }
})

describe('several selectors', () => {
  test('all of them must hold', async () => {
    const name = 'SAN_DNS = "mx.acme.example"'
    assert.equal(await fits(`${name} Issuer_Certificate = "acme-ca.pem"`, own), true)
    assert.equal(await fits(`${name} Issuer_Certificate = "acme-ca.pem"`, theirs), false)
    assert.equal(await fits(`${name} Issuer = "CN=Another CA,O=Acme"`, own), false)
    assert.equal(await fits('SPKI_Pin = "file:own.pem" Certificate_Pin = "file:again.pem"', own), false)
    assert.equal(await fits('SPKI_Pin = "file:own.pem" Certificate_Pin = "file:own.pem"', own), true)
  })
  test('a key that another CA certifies is the pinned key, and not of the CA that is asked for', async () => {
    const reissued = impostor.issue({ subject: 'other', key: own.key })
    assert.equal(spki(reissued), spki(own))
    assert.equal(await fits('SPKI_Pin = "file:own.pem"', reissued), true)
    assert.equal(await fits('SPKI_Pin = "file:own.pem" Issuer_Certificate = "acme-ca.pem"', reissued), false)
    assert.equal(await fits('Certificate_Pin = "file:own.pem"', reissued), false)
    // the impostor certifies its own key under the same names: neither pin nor issuer
    assert.equal(await fits('SPKI_Pin = "file:own.pem"', theirs), false)
  })
  test('the time is that of the session', async () => {
    const body = 'SPKI_Pin = "file:own.pem" Valid_From = "2026-03-01" Valid_Until = "2026-03-31"'
    const on = (time: string) => whose(body, own, Date.parse(time))
    assert.equal(await on('2026-02-28T23:59:59.999Z'), undefined)
    assert.equal(await on('2026-03-01T00:00:00Z'), 'p1')
    assert.equal(await on('2026-03-31T23:59:59.999Z'), 'p1')
    assert.equal(await on('2026-04-01T00:00:00Z'), undefined)
    for (const part of ['Valid_From = "2026-03-01"', 'Valid_Until = "2026-03-31"']) {
      assert.equal(await whose(`SPKI_Pin = "file:own.pem" ${part}`, own, Number.NaN), undefined)
    }
  })
  test('a leaf that is not the peer’s certificate is nobody’s', async () => {
    const partners = await good('SAN_DNS = "mx.acme.example"')
    assert.deepEqual(partners.match(verified(own.der), new X509Certificate(theirs.der), Date.now()), {
      kind: 'unknown',
    })
  })
})

describe('names that pose as others', () => {
  test('alternative names with NUL, wildcards, dots, blanks, line ends, lists', async () => {
    for (const value of [
      'mx.acme.example\0.evil.example',
      'mx.acme.example\0',
      '*.acme.example',
      'mx.acme.example.',
      ' mx.acme.example',
      'mx.acme.example\r\n',
      'mx.acme.example evil.example',
      'mx.acme.example\\00',
      '.acme.example',
      '',
    ]) {
      assert.equal(await fits('SAN_DNS = "mx.acme.example"', dns(value)), false, JSON.stringify(value))
    }
    assert.equal(await fits('SAN_DNS = "mx.acme.example"', dns('mX.aCme.Example')), true)
  })
  test('a name of another kind, or in the subject, is not a host’s', async () => {
    for (const kind of ['email', 'uri'] as const) {
      const posing = issue({ altNames: [{ kind, value: 'mx.acme.example' }] })
      assert.equal(await fits('SAN_DNS = "mx.acme.example"', posing), false)
    }
    assert.equal(await fits('SAN_DNS = "mx.acme.example"', issue({ subject: 'mx.acme.example' })), false)
  })
  test('a name beyond those that are kept selects nothing', async () => {
    const altNames = Array.from({ length: 400 }, (_, index) => ({
      kind: 'dns' as const,
      value: `h${index}.example`,
    }))
    assert.equal(await fits('SAN_DNS = "h1.example"', issue({ altNames })), true)
    assert.equal(await fits('SAN_DNS = "h399.example"', issue({ altNames })), false)
  })
  test('a subject is one whatever string type it is in, and no other way', async () => {
    const body = 'Subject = "CN=Gate\\, Inc,O=Acme"'
    assert.equal(await fits(body, named(at(O, 'Acme'), at(CN, 'Gate, Inc'))), true)
    const printable = 0x13
    assert.equal(await fits(body, named(at(O, 'Acme', printable), at(CN, 'Gate, Inc', printable))), true)
    const others: NameAttribute[][] = [
      [at(CN, 'Gate, Inc'), at(O, 'Acme')],
      [at(O, 'Acme'), at(CN, 'gate, inc')],
      [at(O, 'Acme'), at(CN, 'Gate, Inc\0')],
      [at(O, 'Acme'), at(CN, 'Gate, Inc,O=Acme')],
      [at(CN, 'Gate, Inc,O=Acme')],
      [at(O, 'Acme'), at(CN, 'Gate\\, Inc')],
      [at(O, 'Acme'), at('2.5.4.11', 'x'), at(CN, 'Gate, Inc')],
      [at(O, 'Acme'), at('2.5.4.11', 'Gate, Inc')],
      [at(O, 'Acme'), at(CN, 'Gate, Inc\u200b')],
      [at(O, 'Acme'), at(CN, 'G\u0430te, Inc')],
    ]
    for (const subject of others)
      assert.equal(await fits(body, named(...subject)), false, JSON.stringify(subject))
  })
  test('Unicode, escapes, hex values and types by number', async () => {
    const cafe = named(at(CN, 'Café #1 '))
    assert.equal(await fits(String.raw`Subject = "CN=Café #1\\ "`, cafe), true)
    assert.equal(await fits(String.raw`Subject = "cn=Caf\\C3\\A9 \\231\\20"`, cafe), true)
    assert.equal(await fits('Subject = "CN=Café #1"', cafe), false)
    const odd = named(at('1.2.3.4', 'x'))
    assert.equal(await fits('Subject = "1.2.3.4=#0c0178"', odd), true)
    assert.equal(await fits('Subject = "1.2.3.4=#130178"', odd), false)
  })
})

test('a name as postern pin prints it means the same name, hostile ones too', () => {
  for (const [what, name] of hostileNames) {
    const { subject } = readCertificate(issue({ subject: [at(O, 'x+y=z'), name] }).der)
    if (subject.endsWith('\\...')) continue
    const printed = Buffer.from(subject, 'latin1').toString('utf8')
    assert.equal(readWrittenName(printed).canonical, subject, what)
  }
})

test('a name of any strings, as it is printed, means the same name', () => {
  const text = fc.oneof(
    anyText({ maxLength: 12 }),
    fc
      .array(fc.constantFrom(...' #\\,+"=<\0\x7faé/\u202e\u00a0\u00ad'.split('')), { maxLength: 8 })
      .map((all) => all.join('')),
  )
  const content = fc
    .tuple(text, fc.constantFrom('utf8', 'latin1', 'utf16le'), fc.nat(3))
    .map(([chars, form, cut]) => {
      const octets = Buffer.from(chars || 'x', form)
      const whole = form === 'utf16le' ? octets.swap16() : octets
      return whole.subarray(0, Math.max(1, whole.length - (cut === 3 ? 1 : 0)))
    })
  const type = fc.constantFrom(...attributeTypes.keys(), '1.2.3', '2.5.4.99')
  const tag = fc.constantFrom(0x0c, 0x12, 0x13, 0x14, 0x16, 0x1a, 0x1c, 0x1e, 0x04)
  const attribute = fc.record({ type, value: content, tag }).map(({ type, value, tag }) => ({
    type,
    value: { tag, content: value, raw: Buffer.concat([Buffer.of(tag, value.length), value]) },
  }))
  const rdn = fc.array(attribute, { minLength: 1, maxLength: 2 })
  holds(
    fc.property(fc.array(rdn, { minLength: 1, maxLength: 3 }), (name) => {
      const printed = toRfc4514(name)
      assert.equal(readWrittenName(Buffer.from(printed, 'latin1').toString('utf8')).canonical, printed)
    }),
  )
})

describe('what cannot be told apart', () => {
  test('a certificate that fits two partners is nobody’s', async () => {
    const partners = await good('SAN_DNS = "a.example"', 'SAN_DNS = "b.example"')
    const both = acme.issue({
      subject: 'x',
      altNames: ['a.example', 'b.example'].map((value) => ({ kind: 'dns', value })),
    })
    assert.deepEqual(partners.match(verified(both.der), new X509Certificate(both.der), Date.now()), {
      kind: 'ambiguous',
      names: ['p1', 'p2'],
    })
  })
  const same = [
    ['the same name', 'SAN_DNS = "a.example"', 'SAN_DNS = ( "b.example" "A.example" )'],
    [
      'one asks for more',
      'Issuer_Certificate = "acme-ca.pem"',
      'Issuer_Certificate = "acme-ca.pem" SAN_DNS = "a.example"',
    ],
    [
      'a successor that is in use elsewhere',
      'SPKI_Pin = "file:own.pem"',
      'SPKI_Pin = ( "file:again.pem" "file:own.pem" )',
    ],
    [
      'a pinned certificate with the other’s name',
      'Certificate_Pin = "file:own.pem"',
      'SAN_DNS = "mx.acme.example"',
    ],
    ['the name written otherwise', 'Subject = "CN=a,O=b"', 'Subject = "cn=a, o=b"'],
  ] as const
  for (const [name, one, other] of same) {
    test(`${name}: an error`, async () => {
      assert.deepEqual(await complaints(one, other), [
        'error: a certificate of Partner "p1" can be one of Partner "p2" too: one of them must say what the other\'s certificates do not',
      ])
    })
  }
  test('at different times it may be one after the other’s', async () => {
    assert.deepEqual(
      await complaints(
        'SAN_DNS = "a.example" Valid_Until = "2026-12-31"',
        'SAN_DNS = "a.example" Valid_From = "2027-01-01"',
      ),
      [],
    )
  })
  test('a common issuer, and names that differ, are no error', async () => {
    const ca = 'Issuer_Certificate = "acme-ca.pem"'
    assert.deepEqual(await complaints(`${ca} SAN_DNS = "a.example"`, `${ca} SAN_DNS = "b.example"`), [])
  })
})

test('names and files that cannot be read are errors that say why', async () => {
  assert.deepEqual(
    await complaints(
      'Issuer = "/C=NL/CN=x"',
      'Issuer = ( "CNN=x" "CN=" "CN=a,b" "1.2.3=x" "CN=#zz" "CN=a;b=c" "CN=a\\\\x" )',
      'Subject = "C=NL,O=Acme,CN=mx"',
      `Subject = "CN=${'x'.repeat(1100)}"`,
      'Issuer_Certificate = ( "nowhere.pem" "own.pem" )',
      'SPKI_Pin = "file:own.key"',
      `Certificate_Pin = ( "file:own.pem" "sha256:${print(own)}" )`,
    ),
    [
      'error: Issuer "/C=NL/CN=x" is in the form of openssl’s oneline; write "CN=…,O=…", the most specific first',
      'error: Issuer "CNN=x" has the type "CNN", which is not known; write its number',
      'error: Issuer "CN=" has a part without a value',
      'error: Issuer "CN=a,b" has a part that is not "type=value"',
      'error: Issuer "1.2.3=x" needs the value of 1.2.3 as "#" and its DER in hex',
      'error: Issuer "CN=#zz" has a "#" value that is not DER in hex',
      'error: Issuer "CN=a;b=c" has ; without a backslash before it',
      'error: Issuer "CN=a\\x" has a backslash before what needs none',
      'warning: Subject "C=NL,O=Acme,CN=mx" begins with what is broadest: RFC 4514 writes the most specific part first, as postern pin prints it',
      `error: Subject "CN=${'x'.repeat(74)}…" is too long`,
      'error: Issuer_Certificate "nowhere.pem": no such file',
      'error: Issuer_Certificate "own.pem": "CN=mx,O=Acme" is not a CA',
      'error: SPKI_Pin "own.key": it holds no certificate, only "PRIVATE KEY"',
      'error: Certificate_Pin has the same pin twice; the second is the successor',
    ],
  )
})
