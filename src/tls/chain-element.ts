/**
 * One certificate of a chain, as far as an explanation needs it: whose it is, who signed it, what it may do.
 *
 * It explains and never grants, so it is lenient: an extension that cannot be read counts as absent. OpenSSL, which
 * gives the verdict, reads the same bytes by itself.
 */

import type { X509Certificate } from 'node:crypto'
import { readCertificate, unreadableCertificate } from './certificate.ts'
import { DerReader, type Element, MalformedCertificate, readOid } from './der.ts'
import type { CertificateFacts } from './peer.ts'

export interface ChainElement {
  readonly certificate: X509Certificate
  readonly facts: CertificateFacts
  /** names in a form in which equal ones are equal (RFC 5280 §7.1, nearly) */
  readonly subject: string
  readonly issuer: string
  /** basicConstraints says that it is a CA */
  readonly isCa: boolean
  /** CAs that may stand between it and the leaf; undefined = any number */
  readonly pathLength: number | undefined
  /** the first octet of keyUsage; undefined = any use */
  readonly keyUsage: number | undefined
  /** dotted; undefined = any use */
  readonly extendedUsage: readonly string[] | undefined
  readonly constrainsNames: boolean
}

export const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
export const KEY_USAGE = { digitalSignature: 0x80, keyAgreement: 0x08, certSign: 0x04 } as const

const MAX_ELEMENTS = 10_000
const EXTENSION = {
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  extendedUsage: '2.5.29.37',
} as const

export function chainElement(certificate: X509Certificate): ChainElement {
  const { raw } = certificate
  const facts = lenient(() => readCertificate(raw)) ?? unreadableCertificate(raw)
  const extensions = lenient(() => readExtensions(raw)) ?? new Map<string, Buffer>()
  const read = <T>(id: string, reader: (value: DerReader) => T): T | undefined => {
    const value = extensions.get(id)
    return value && lenient(() => reader(DerReader.of(value, MAX_ELEMENTS)))
  }
  const constraints = read(EXTENSION.basicConstraints, readBasicConstraints)
  return {
    certificate,
    facts,
    subject: comparable(facts.subject),
    issuer: comparable(facts.issuer),
    isCa: constraints?.isCa ?? false,
    pathLength: constraints?.pathLength,
    keyUsage: read(EXTENSION.keyUsage, (value) => value.read(0x03).content[1] ?? 0),
    extendedUsage: read(EXTENSION.extendedUsage, readUsages),
    constrainsNames: extensions.has(EXTENSION.nameConstraints),
  }
}

/** A distinguished name as `facts` have it, in a form in which equal ones are equal. */
export function comparable(name: string): string {
  return name.toLowerCase().replace(/ +/g, ' ')
}

/** Whether the one certificate names the other as its issuer and carries its signature. */
export function isIssuedBy(child: ChainElement, issuer: ChainElement): boolean {
  try {
    return child.issuer === issuer.subject && child.certificate.verify(issuer.certificate.publicKey)
  } catch {
    // a key that cannot be read has signed nothing
    return false
  }
}

function readExtensions(der: Buffer): Map<string, Buffer> {
  const body = DerReader.of(der, MAX_ELEMENTS).enter(0x30).enter(0x30)
  let wrapper: Element | undefined
  while (!body.done) {
    const element = body.read()
    if (element.tag === 0xa3) wrapper = element
  }
  const found = new Map<string, Buffer>()
  if (wrapper === undefined) return found
  const list = body.inside(wrapper).enter(0x30)
  while (!list.done) {
    const extension = list.enter(0x30)
    const id = readOid(extension.read(0x06).content)
    extension.optional(0x01)
    found.set(id, extension.read(0x04).content)
  }
  return found
}

function readBasicConstraints(value: DerReader): { isCa: boolean; pathLength: number | undefined } {
  const constraints = value.enter(0x30)
  const isCa = (constraints.optional(0x01)?.content[0] ?? 0) !== 0
  const length = constraints.optional(0x02)?.content
  return { isCa, pathLength: length && Number.parseInt(length.toString('hex'), 16) }
}

function readUsages(value: DerReader): string[] {
  const list = value.enter(0x30)
  const usages: string[] = []
  while (!list.done) usages.push(readOid(list.read(0x06).content))
  return usages
}

function lenient<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof MalformedCertificate)) throw error
    return undefined
  }
}
