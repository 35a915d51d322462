/**
 * DER of an OCSP response → what it says (RFC 6960 §4.2).
 *
 * Form only: who signed it, of whom it speaks and when is judged in `judge.ts`. Anything but strict DER of the expected
 * shape is a `MalformedCertificate`, and so is a critical extension, since none is known here.
 */

import { comparable } from '../chain-element.ts'
import { DerReader, type Element, MalformedCertificate, readOid, readTime } from '../der.ts'
import { readName, toRfc4514 } from '../names.ts'
import type { SignedBytes } from '../signature.ts'
import type { CertId } from './cert-id.ts'
import { NONCE } from './request.ts'

export interface SingleAnswer {
  readonly certId: CertId
  readonly status: 'good' | 'revoked' | 'unknown'
  /** milliseconds since the epoch */
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
}

export interface BasicResponse {
  readonly kind: 'basic'
  /** the signer's name in comparable form, or SHA-1 of its key */
  readonly responder: { readonly name: string } | { readonly keyHash: Buffer }
  /** milliseconds since the epoch */
  readonly producedAt: number
  readonly answers: readonly SingleAnswer[]
  readonly nonce: Buffer | undefined
  readonly signature: SignedBytes
  /** DER of what came along */
  readonly certificates: readonly Buffer[]
}

/** The responder says nothing about any certificate; not signed. */
export interface ErrorResponse {
  readonly kind: 'error'
  /** RFC 6960's word */
  readonly status: string
}

const BASIC = '1.3.6.1.5.5.7.48.1.1'
const MAX_ELEMENTS = 10_000
const MAX_ANSWERS = 100
const MAX_CERTIFICATES = 10

const STATUSES: ReadonlyMap<number, string> = new Map([
  [1, 'malformedRequest'],
  [2, 'internalError'],
  [3, 'tryLater'],
  [5, 'sigRequired'],
  [6, 'unauthorized'],
])

/** @throws MalformedCertificate */
export function parseResponse(der: Buffer): BasicResponse | ErrorResponse {
  const document = DerReader.of(der, MAX_ELEMENTS)
  const response = document.enter(0x30)
  document.end()
  const status = response.read(0x0a).content
  if (status.length !== 1) throw new MalformedCertificate('a response status of odd length')
  const code = status[0] ?? 0
  if (code !== 0) return { kind: 'error', status: STATUSES.get(code) ?? `status ${code}` }
  const bytes = response.enter(0xa0).enter(0x30)
  response.end()
  if (readOid(bytes.read(0x06).content) !== BASIC)
    throw new MalformedCertificate('a response of another type')
  const basic = bytes.read(0x04)
  bytes.end()
  return parseBasic(bytes.inside(basic).enter(0x30))
}

function parseBasic(basic: DerReader): BasicResponse {
  const signed = basic.read(0x30)
  const algorithm = readOid(basic.enter(0x30).read(0x06).content)
  const bits = basic.read(0x03).content
  if (bits[0] !== 0) throw new MalformedCertificate('a signature that does not end at an octet')
  const certificates = readCertificates(basic)
  basic.end()
  return {
    kind: 'basic',
    ...readData(basic.inside(signed)),
    signature: { algorithm, signed: signed.raw, signature: bits.subarray(1) },
    certificates,
  }
}

function readCertificates(basic: DerReader): Buffer[] {
  const wrapper = basic.optional(0xa0)
  if (wrapper === undefined) return []
  const list = basic.inside(wrapper).enter(0x30)
  const all: Buffer[] = []
  while (!list.done) {
    all.push(list.read(0x30).raw)
    if (all.length > MAX_CERTIFICATES) throw new MalformedCertificate('too many certificates')
  }
  return all
}

function readData(data: DerReader): Omit<BasicResponse, 'kind' | 'signature' | 'certificates'> {
  const version = data.optional(0xa0)
  if (version !== undefined && !data.inside(version).read(0x02).content.equals(Buffer.of(0))) {
    throw new MalformedCertificate('a response of another version')
  }
  const responder = readResponder(data, data.read())
  const producedAt = readTime(data.read(0x18))
  const list = data.enter(0x30)
  const answers: SingleAnswer[] = []
  while (!list.done) {
    answers.push(readAnswer(list.enter(0x30)))
    if (answers.length > MAX_ANSWERS) throw new MalformedCertificate('too many answers')
  }
  const nonce = readExtensions(data, 0xa1).get(NONCE)
  data.end()
  return { responder, producedAt, answers, nonce: nonce && readNonce(nonce) }
}

function readResponder(data: DerReader, chosen: Element): BasicResponse['responder'] {
  const inside = data.inside(chosen)
  if (chosen.tag === 0xa1) return { name: comparable(toRfc4514(readName(inside))) }
  if (chosen.tag === 0xa2) return { keyHash: inside.read(0x04).content }
  throw new MalformedCertificate('a responder of another kind')
}

function readAnswer(answer: DerReader): SingleAnswer {
  const id = answer.enter(0x30)
  const certId = {
    digest: readOid(id.enter(0x30).read(0x06).content),
    nameHash: id.read(0x04).content,
    keyHash: id.read(0x04).content,
    serial: id.read(0x02).content,
  }
  id.end()
  const status = STATES.get(answer.read().tag)
  if (status === undefined) throw new MalformedCertificate('a certificate status of another kind')
  const thisUpdate = readTime(answer.read(0x18))
  const next = answer.optional(0xa0)
  const nextUpdate = next && readTime(answer.inside(next).read(0x18))
  readExtensions(answer, 0xa1)
  answer.end()
  return { certId, status, thisUpdate, nextUpdate }
}

const STATES: ReadonlyMap<number, SingleAnswer['status']> = new Map([
  [0x80, 'good'],
  [0xa1, 'revoked'],
  [0x82, 'unknown'],
])

/** Values by dotted identifier. */
function readExtensions(reader: DerReader, tag: number): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  const wrapper = reader.optional(tag)
  if (wrapper === undefined) return found
  const list = reader.inside(wrapper).enter(0x30)
  while (!list.done) {
    const extension = list.enter(0x30)
    const id = readOid(extension.read(0x06).content)
    const critical = (extension.optional(0x01)?.content[0] ?? 0) !== 0
    if (critical && id !== NONCE) throw new MalformedCertificate(`the critical extension ${id}`)
    if (found.has(id)) throw new MalformedCertificate(`the extension ${id} twice`)
    found.set(id, extension.read(0x04).content)
    extension.end()
  }
  return found
}

/** An OCTET STRING, which some responders leave out around it: then the bytes count as they are. */
function readNonce(value: Buffer): Buffer {
  try {
    const reader = DerReader.of(value, 1)
    const { content } = reader.read(0x04)
    reader.end()
    return content
  } catch (error) {
    if (!(error instanceof MalformedCertificate)) throw error
    return value
  }
}
