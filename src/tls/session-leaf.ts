/**
 * The certificate that the other end presented, from OpenSSL's own record of the session: the bytes alone, without the
 * names, digests and key that Node makes of it with `getPeerCertificate`, which cost more than a tenth of a handshake.
 *
 * The record is OpenSSL's SSL_SESSION_ASN1, which has had the certificate under [3] since SSLeay. It also holds the
 * session's secrets, so it is wiped. A record in another form than that says nothing; whoever asks must then ask Node.
 */

import type { TLSSocket } from 'node:tls'
import { DerReader, MalformedCertificate } from './der.ts'

/** version, protocol, suite, session id, secret, [0] to [2] of which some are left out, [3] and the certificate */
const MAX_ELEMENTS = 12

const PEER = 0xa3

/** DER; undefined when there is none, or when that cannot be told. */
export function sessionLeaf(socket: TLSSocket): Buffer | undefined {
  const record = socket.getSession()
  if (record === undefined) return undefined
  try {
    return leafIn(record)
  } finally {
    record.fill(0)
  }
}

/** A copy of the certificate that a session's record holds. */
export function leafIn(record: Buffer): Buffer | undefined {
  try {
    const document = DerReader.of(record, MAX_ELEMENTS)
    const session = document.enter(0x30)
    document.end()
    for (let tag = session.peek(); tag !== undefined && tag <= PEER; tag = session.peek()) {
      const element = session.read()
      if (tag !== PEER) continue
      const holder = session.inside(element)
      const { raw } = holder.read(0x30)
      holder.end()
      return Buffer.from(raw)
    }
    return undefined
  } catch (error) {
    if (error instanceof MalformedCertificate) return undefined
    throw error
  }
}
