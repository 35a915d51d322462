/** What counts as an answer: every check by an answer that is right but for this one thing. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { suite, test } from 'node:test'
import {
  encodeError,
  encodeResponse,
  type ResponseSpec,
  readRequest,
} from '../../../test/support/ocsp-responder.ts'
import { Authority, type CertificateRequest } from '../authority.ts'
import { type ChainElement, chainElement } from '../chain-element.ts'
import { parseCrl } from '../crl.ts'
import { boolean, element, octetString, oid, sequence } from '../der-writer.ts'
import { parsePem } from '../pem.ts'
import { OcspFault } from './fault.ts'
import { judgeResponse, type Question } from './judge.ts'
import { encodeRequest } from './request.ts'
import type { Responder } from './responders.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const now = Date.now()
const nonce = Buffer.alloc(32, 1)

const ca = Authority.root({ subject: 'CA' })
const other = Authority.root({ subject: 'CA' })
const client = ca.issue({ subject: 'client', serial: 0x80ffn })
const neighbour = ca.issue({ subject: 'neighbour' })
const signer = ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })

const subject = { element: elementOf(client.cert), issuer: elementOf(ca.cert) }
const { certId } = readRequest(encodeRequest(subject, nonce))

function elementOf(pem: string): ChainElement {
  return chainElement(new X509Certificate(pem))
}

function responderOf(more: { signers?: readonly string[]; nonce?: string } = {}): Responder {
  return {
    settings: { nonce: more.nonce ?? 'send' },
    cas: [subject.issuer],
    signers: more.signers?.map(elementOf),
  } as unknown as Responder
}

function judge(spec: Partial<ResponseSpec> | Buffer, question: Partial<Question> = {}) {
  const der = Buffer.isBuffer(spec)
    ? spec
    : encodeResponse({ signer: ca.credential, nonce, answers: [{ certId }], ...spec })
  return judgeResponse(der, { subject, responder: responderOf(), nonce, lists: [], now, ...question })
}

/** Refused, with a reason that fits. */
function refused(reason: RegExp, spec: Partial<ResponseSpec> | Buffer, question?: Partial<Question>): void {
  assert.throws(
    () => judge(spec, question),
    (error: unknown) => {
      assert.ok(error instanceof OcspFault, String(error))
      assert.match(error.message, reason)
      return true
    },
  )
}

function crlOf(authority: Authority, ...revoked: bigint[]) {
  return parseCrl(parsePem(authority.crl({ revoked }))[0]?.der ?? Buffer.alloc(0))
}

/** An answer by somebody with this certificate of the CA. */
function delegated(request: Partial<CertificateRequest>, by: Authority = ca): Partial<ResponseSpec> {
  const credential = by.issue({ subject: 'signer', usage: 'ocsp', noCheck: true, ...request })
  return { signer: credential, certs: [credential.cert] }
}

function answers(...states: readonly ('good' | 'revoked' | 'unknown')[]): Partial<ResponseSpec> {
  return { answers: states.map((status) => ({ certId, status })) }
}

suite('it counts', () => {
  const cases: readonly [string, Partial<ResponseSpec>, Partial<Question>?][] = [
    ['signed by the CA, named by its key', {}],
    ['signed by the CA, named by its name', { byName: true }],
    ['signed by whom the CA has appointed', { signer, certs: [signer.cert] }],
    ['without a nonce', { nonce: undefined }],
    ['to a question without a nonce', { nonce: undefined }, { nonce: undefined }],
    ['with other certificates around', { certs: [neighbour.cert, other.cert] }],
    [
      'signed by a certificate of Signer',
      { signer: neighbour },
      { responder: responderOf({ signers: [other.cert, neighbour.cert] }) },
    ],
    [
      'signed by one who is not revoked on the list of the CA',
      delegated({ noCheck: false }),
      { lists: [crlOf(ca)] },
    ],
    ['within the skew of clocks', { answers: [{ certId, thisUpdate: now + MINUTE / 2 }] }],
    ['among answers about others', { answers: [{ certId: certIdOf(neighbour.cert) }, { certId }] }],
  ]
  for (const [name, spec, question] of cases) {
    test(name, () => assert.equal(judge(spec, question).status, 'good'))
  }

  test('revoked and unknown are told as such, and of several the worst', () => {
    assert.equal(judge(answers('revoked')).status, 'revoked')
    assert.equal(judge(answers('unknown')).status, 'unknown')
    assert.equal(judge(answers('good', 'revoked')).status, 'revoked')
    assert.equal(judge(answers('good', 'unknown')).status, 'unknown')
  })

  test('revoked counts however old it is and whatever its nonce', () => {
    const old = {
      certId,
      status: 'revoked',
      thisUpdate: now - 48 * HOUR,
      nextUpdate: now - 24 * HOUR,
    } as const
    assert.equal(judge({ answers: [old], nonce: Buffer.alloc(32, 9) }).status, 'revoked')
  })

  test('it counts until the next update, and without one for five minutes', () => {
    const thisUpdate = now - MINUTE
    assert.equal(
      judge({ answers: [{ certId, nextUpdate: now + HOUR }] }).until,
      Math.floor((now + HOUR) / 1000) * 1000,
    )
    const { until } = judge({ answers: [{ certId, thisUpdate, nextUpdate: 'never' }] })
    assert.equal(until, Math.floor(thisUpdate / 1000) * 1000 + 5 * MINUTE)
  })
})

function certIdOf(pem: string, issuer = ca): Buffer {
  const about = { element: elementOf(pem), issuer: elementOf(issuer.cert) }
  return readRequest(encodeRequest(about, undefined)).certId
}

suite('of whom it speaks', () => {
  test('an answer about another serial, or by the same serial of another CA, is none', () => {
    refused(/about another certificate/, { answers: [{ certId: certIdOf(neighbour.cert) }] })
    const twin = other.issue({ subject: 'client', serial: client.serial })
    refused(/about another certificate/, { answers: [{ certId: certIdOf(twin.cert, other) }] })
    refused(/about another certificate/, { answers: [] })
  })

  test('name, key and serial must all be the same', () => {
    for (const at of [20, 45, certId.length - 1]) {
      const wrong = Buffer.from(certId)
      wrong[at] = (wrong[at] ?? 0) ^ 1
      refused(/about another certificate/, { answers: [{ certId: wrong }] })
    }
  })

  test('a digest that is not known says nothing', () => {
    const md5 = sequence(
      sequence(oid('1.2.840.113549.2.5'), element(5)),
      octetString(Buffer.alloc(16)),
      octetString(Buffer.alloc(16)),
      element(2, Buffer.of(0, 0x80, 0xff)),
    )
    refused(/about another certificate/, { answers: [{ certId: md5 }] })
  })
})

suite('who has signed it', () => {
  const cases: readonly [string, RegExp, Partial<ResponseSpec>, Partial<Question>?][] = [
    ['another CA of the same name', /not signed by the CA/, { signer: other.credential, byName: true }],
    ['a certificate that is not for that', /not for signing answers/, delegated({ usage: 'both' })],
    ['a certificate for any use', /not for signing answers/, delegated({ usage: 'any' })],
    ['one whom another CA has appointed', /not issued by the CA/, delegated({}, other)],
    [
      'one whom a CA below has appointed',
      /not issued by the CA/,
      delegated({}, ca.intermediate({ subject: 'below' })),
    ],
    ['one whose certificate has expired', /has expired/, delegated({ notAfter: now - MINUTE })],
    ['one whose certificate is not valid yet', /not valid yet/, delegated({ notBefore: now + HOUR })],
    [
      'one of whom nothing says that he is not revoked',
      /neither nocheck nor a CRL/,
      delegated({ noCheck: false }),
    ],
    [
      'one who is revoked, nocheck or not',
      /is revoked/,
      { signer, certs: [signer.cert] },
      { lists: [crlOf(ca, signer.serial)] },
    ],
    ['one whose certificate did not come along', /not signed by the CA/, { signer }],
    [
      'the CA, where Signer names another',
      /by a certificate of Signer/,
      {},
      { responder: responderOf({ signers: [neighbour.cert] }) },
    ],
    [
      'whom the CA has appointed, where Signer names another',
      /by a certificate of Signer/,
      { signer, certs: [signer.cert] },
      { responder: responderOf({ signers: [neighbour.cert] }) },
    ],
    ['the CA with SHA-1', /not signed by the CA/, { algorithm: ['1.2.840.10045.4.1', 'sha1'] }],
  ]
  for (const [name, reason, spec, question] of cases) {
    test(`${name}: refused`, () => {
      refused(reason, spec, question)
      const revoked = { ...spec, answers: [{ certId, status: 'revoked' }] } as const
      refused(reason, revoked, question)
    })
  }

  test('a certificate of Signer that has expired', () => {
    const old = ca.issue({ subject: 'old', notAfter: now - MINUTE })
    refused(/has expired/, { signer: old }, { responder: responderOf({ signers: [old.cert] }) })
  })

  test('not one octet may differ', () => {
    const der = encodeResponse({ signer: ca.credential, nonce, answers: [{ certId }] })
    const state = der.indexOf(Buffer.from('8000180f', 'hex'))
    const revoked = Buffer.from(der)
    revoked[state] = 0x82
    refused(/not signed by the CA/, revoked)
    revoked[state] = 0x80
    assert.equal(judge(revoked).status, 'good')
    revoked[der.length - 1] = (der.at(-1) ?? 0) ^ 1
    refused(/not signed by the CA/, revoked)
  })
})

suite('when', () => {
  const cases: readonly [string, RegExp, Partial<ResponseSpec>, Partial<Question>?][] = [
    [
      'out of date',
      /out of date since/,
      { answers: [{ certId, thisUpdate: now - HOUR, nextUpdate: now - 2 * MINUTE }] },
    ],
    [
      'without next update and more than five minutes old',
      /out of date since/,
      { answers: [{ certId, thisUpdate: now - 7 * MINUTE, nextUpdate: 'never' }] },
    ],
    ['from the future', /from the future/, { answers: [{ certId, thisUpdate: now + 2 * MINUTE }] }],
    ['made in the future', /from the future/, { producedAt: now + 2 * MINUTE }],
    [
      'that ends before it begins',
      /ends before it begins/,
      { answers: [{ certId, thisUpdate: now, nextUpdate: now - MINUTE / 2 }] },
    ],
    ['with the nonce of another question', /another nonce/, { nonce: Buffer.alloc(32, 2) }],
    [
      'without a nonce, where one is required',
      /has no nonce/,
      { nonce: undefined },
      { responder: responderOf({ nonce: 'require' }) },
    ],
  ]
  for (const [name, reason, spec, question] of cases) {
    test(`${name}: refused`, () => refused(reason, spec, question))
  }
})

suite('what is no answer', () => {
  test('a status without a signature', () => {
    refused(/the responder says tryLater/, encodeError(3))
    refused(/the responder says unauthorized/, encodeError(6))
    refused(/the responder says status 99/, encodeError(99))
  })

  test('garbage, less and more than a response', () => {
    const der = encodeResponse({ signer: ca.credential, answers: [{ certId }] })
    for (const bad of [
      Buffer.alloc(0),
      Buffer.from('garbage'),
      der.subarray(0, -1),
      Buffer.concat([der, der]),
    ]) {
      refused(/malformed/, bad)
    }
  })

  test('a critical extension, in the answer or around it', () => {
    const extension = sequence(oid('1.2.3.4'), boolean(true), octetString(Buffer.alloc(1)))
    refused(/the critical extension 1\.2\.3\.4/, { extensions: [extension] })
    refused(/the critical extension 1\.2\.3\.4/, { answers: [{ certId, extensions: extension }] })
    const harmless = sequence(oid('1.2.3.4'), octetString(Buffer.alloc(1)))
    assert.equal(
      judge({ extensions: [harmless], answers: [{ certId, extensions: harmless }] }).status,
      'good',
    )
  })
})
