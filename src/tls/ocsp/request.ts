/** A question about one certificate (RFC 6960 §4.1). */

import { element, explicit, octetString, oid, sequence, TAG } from '../der-writer.ts'
import { certIdOf, type Subject } from './cert-id.ts'

export const NONCE = '1.3.6.1.5.5.7.48.1.2'

/** DER of an OCSPRequest. */
export function encodeRequest(subject: Subject, nonce: Buffer | undefined): Buffer {
  const id = certIdOf(subject)
  if (id === undefined) throw new TypeError('SHA-1 is always known')
  const certId = sequence(
    sequence(oid(id.digest), element(TAG.null)),
    octetString(id.nameHash),
    octetString(id.keyHash),
    element(TAG.integer, id.serial),
  )
  const extensions =
    nonce === undefined ? [] : [explicit(2, sequence(sequence(oid(NONCE), octetString(octetString(nonce)))))]
  return sequence(sequence(sequence(sequence(certId)), ...extensions))
}
