/** By what an OCSP question and its answer name a certificate (RFC 6960 §4.1.1). */

import { createHash } from 'node:crypto'
import type { ChainElement } from '../chain-element.ts'
import { certificateParts } from './certificate-parts.ts'

/** A certificate, and the CA that issued it. */
export interface Subject {
  readonly element: ChainElement
  readonly issuer: ChainElement
}

export interface CertId {
  /** dotted */
  readonly digest: string
  /** digests of the issuer's name and key */
  readonly nameHash: Buffer
  readonly keyHash: Buffer
  /** content of the INTEGER */
  readonly serial: Buffer
}

/** The digests by which a certificate may be named, Node's names. SHA-1 only finds; nothing rests on it. */
const DIGESTS: ReadonlyMap<string, string> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
])

/** The one that every responder knows (RFC 5019 §2.1.1). */
const SHA1 = '1.3.14.3.2.26'

/** How a certificate is named with one digest; undefined for a digest that is not known. */
export function certIdOf({ element: certificate, issuer }: Subject, digest = SHA1): CertId | undefined {
  const name = DIGESTS.get(digest)
  if (name === undefined) return undefined
  const { serial, issuerName } = certificateParts(certificate.certificate.raw)
  const { publicKeyBits } = certificateParts(issuer.certificate.raw)
  const hash = (bytes: Buffer): Buffer => createHash(name).update(bytes).digest()
  return { digest, nameHash: hash(issuerName), keyHash: hash(publicKeyBits), serial }
}

/** Whether an answer speaks of this certificate and no other. */
export function speaksOf(id: CertId, subject: Subject): boolean {
  const own = certIdOf(subject, id.digest)
  return (
    own !== undefined &&
    own.nameHash.equals(id.nameHash) &&
    own.keyHash.equals(id.keyHash) &&
    own.serial.equals(id.serial)
  )
}
