/**
 * DER of a certificate → what it says (RFC 5280 §4.1).
 *
 * Reads the one certificate that it is given: the leaf. It checks form, not truth: signature, chain and purpose are
 * OpenSSL's business. Anything but strict DER of the expected shape is a `MalformedCertificate`.
 */

import { createHash } from 'node:crypto'
import { DerReader, type Element, MalformedCertificate, readOid, readTime } from './der.ts'
import { commonName, escapeWord, readName, toOneline, toRfc4514 } from './names.ts'
import type { CertificateFacts } from './peer.ts'

const MAX_ELEMENTS = 10_000
const MAX_SERIAL = 64
/** names that are kept over all kinds; the list that was cut ends in the mark of `names.ts` */
const MAX_ALT_NAMES = 256

const SUBJECT_ALT_NAME = '2.5.29.17'

interface AltNames {
  readonly sanDns: string[]
  readonly sanEmail: string[]
  readonly sanUri: string[]
  readonly sanIp: string[]
}

/** @throws MalformedCertificate */
export function readCertificate(der: Buffer): CertificateFacts {
  const document = DerReader.of(der, MAX_ELEMENTS)
  const certificate = document.enter(0x30)
  document.end()
  const body = certificate.enter(0x30)
  certificate.read(0x30)
  certificate.read(0x03)
  certificate.end()
  return { ...readBody(body), fingerprint: sha256(der) }
}

/** The SubjectPublicKeyInfo of a certificate, as it stands there. @throws MalformedCertificate */
export function readSpki(der: Buffer): Buffer {
  const body = DerReader.of(der, MAX_ELEMENTS).enter(0x30).enter(0x30)
  body.optional(0xa0)
  // serial number, signature algorithm, issuer, validity, subject
  body.read(0x02)
  for (let field = 0; field < 4; field += 1) body.read(0x30)
  return body.read(0x30).raw
}

/** What can be said of bytes that are no readable certificate: their digest. */
export function unreadableCertificate(der: Buffer): CertificateFacts {
  return {
    subject: '',
    subjectCn: '',
    issuer: '',
    issuerCn: '',
    subjectOneline: '',
    issuerOneline: '',
    serial: '',
    fingerprint: sha256(der),
    spki: '',
    sanDns: [],
    sanEmail: [],
    sanUri: [],
    sanIp: [],
    notBefore: 0,
    notAfter: 0,
  }
}

function readBody(body: DerReader): Omit<CertificateFacts, 'fingerprint'> {
  body.optional(0xa0)
  const serial = readSerial(body.read(0x02))
  body.read(0x30)
  const issuer = readName(body)
  const validity = body.enter(0x30)
  const notBefore = readTime(validity.read())
  const notAfter = readTime(validity.read())
  validity.end()
  const subject = readName(body)
  const spki = body.read(0x30)
  body.optional(0x81)
  body.optional(0x82)
  const altNames = readExtensions(body)
  body.end()
  return {
    subject: toRfc4514(subject),
    subjectCn: commonName(subject),
    subjectOneline: toOneline(subject),
    issuer: toRfc4514(issuer),
    issuerCn: commonName(issuer),
    issuerOneline: toOneline(issuer),
    serial,
    spki: sha256(spki.raw),
    ...altNames,
    notBefore,
    notAfter,
  }
}

function readSerial({ content }: Element): string {
  const [first, second] = content
  if (first === undefined || content.length > MAX_SERIAL)
    throw new MalformedCertificate('a serial number of odd length')
  const padded =
    second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
  if (padded) throw new MalformedCertificate('a serial number that is not minimal')
  const value = BigInt(`0x${content.toString('hex')}`)
  const bits = BigInt(content.length * 8)
  return (first >= 0x80 ? value - (1n << bits) : value).toString(16)
}

function readExtensions(body: DerReader): AltNames {
  const names: AltNames = { sanDns: [], sanEmail: [], sanUri: [], sanIp: [] }
  const wrapper = body.optional(0xa3)
  if (wrapper === undefined) return names
  const holder = body.inside(wrapper)
  const extensions = holder.enter(0x30)
  holder.end()
  let seen = false
  while (!extensions.done) {
    const extension = extensions.enter(0x30)
    const id = readOid(extension.read(0x06).content)
    extension.optional(0x01)
    const value = extension.read(0x04)
    extension.end()
    if (id !== SUBJECT_ALT_NAME) continue
    if (seen) throw new MalformedCertificate('two lists of alternative names')
    seen = true
    readAltNames(DerReader.of(value.content, MAX_ELEMENTS), names)
  }
  return names
}

function readAltNames(document: DerReader, names: AltNames): void {
  const list = document.enter(0x30)
  document.end()
  let room = MAX_ALT_NAMES
  while (!list.done) {
    const { tag, content } = list.read()
    const target = listFor(tag, names)
    if (target === undefined || content.length === 0) continue
    room -= 1
    if (room > 0)
      target.push(tag === 0x87 ? addressText(content) : escapeWord(tag === 0x82 ? lower(content) : content))
    else if (target.at(-1) !== '\\...') target.push('\\...')
  }
}

function listFor(tag: number, names: AltNames): string[] | undefined {
  switch (tag) {
    case 0x81:
      return names.sanEmail
    case 0x82:
      return names.sanDns
    case 0x86:
      return names.sanUri
    case 0x87:
      return names.sanIp
    default:
      return undefined
  }
}

/**
 * Dotted IPv4, IPv6 by RFC 5952. Sixteen octets are never an IPv4 address, unlike those of a client: a CA whose name
 * constraints keep it from an IPv4 address may well write the same address mapped into IPv6 (RFC 5280 §4.2.1.10).
 */
function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) return `#${bytes.subarray(0, 64).toString('hex')}`
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16))
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1)
}

/** DNS names have no case (RFC 4343). */
function lower(bytes: Buffer): Buffer {
  return Buffer.from(
    bytes.toString('latin1').replace(/[A-Z]+/g, (part) => part.toLowerCase()),
    'latin1',
  )
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
