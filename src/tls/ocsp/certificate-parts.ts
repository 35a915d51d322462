/** The pieces of a certificate's DER that OCSP speaks of (RFC 5280 §4.1, RFC 6960 §4.1.1). */

import { DerReader, readOid } from '../der.ts'
import type { SignedBytes } from '../signature.ts'

export interface CertificateParts {
  /** content of the INTEGER */
  readonly serial: Buffer
  /** DER of the names */
  readonly issuerName: Buffer
  readonly subjectName: Buffer
  /** the public key without the algorithm: content of the BIT STRING without the count of unused bits */
  readonly publicKeyBits: Buffer
  readonly signature: SignedBytes
  /** dotted */
  readonly extensions: ReadonlySet<string>
}

const MAX_ELEMENTS = 10_000

/** @throws MalformedCertificate */
export function certificateParts(der: Buffer): CertificateParts {
  const document = DerReader.of(der, MAX_ELEMENTS)
  const certificate = document.enter(0x30)
  document.end()
  const signed = certificate.read(0x30)
  const algorithm = readOid(certificate.enter(0x30).read(0x06).content)
  const signature = certificate.read(0x03).content.subarray(1)
  certificate.end()
  const body = certificate.inside(signed)
  body.optional(0xa0)
  const serial = body.read(0x02).content
  body.read(0x30)
  const issuerName = body.read(0x30).raw
  body.read(0x30)
  const subjectName = body.read(0x30).raw
  const key = body.enter(0x30)
  key.read(0x30)
  const publicKeyBits = key.read(0x03).content.subarray(1)
  return {
    serial,
    issuerName,
    subjectName,
    publicKeyBits,
    signature: { algorithm, signed: signed.raw, signature },
    extensions: extensionsOf(body),
  }
}

function extensionsOf(body: DerReader): Set<string> {
  const found = new Set<string>()
  body.optional(0x81)
  body.optional(0x82)
  const wrapper = body.optional(0xa3)
  if (wrapper === undefined) return found
  const list = body.inside(wrapper).enter(0x30)
  while (!list.done) found.add(readOid(list.enter(0x30).read(0x06).content))
  return found
}
