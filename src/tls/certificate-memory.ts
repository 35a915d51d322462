/**
 * What was made of certificates that came lately: Node's object and the facts, by the digest of the very bytes. The same
 * few clients come again and again, and reading their certificates took as long as a handshake's signatures.
 *
 * It holds what a certificate says and never what came of a verification. Least recently seen ones are forgotten, so that
 * what clients send bounds neither number nor memory. A certificate that cannot be read is not kept.
 */

import { hash, type X509Certificate } from 'node:crypto'
import { readCertificate, unreadableCertificate } from './certificate.ts'
import { MalformedCertificate } from './der.ts'
import type { CertificateFacts } from './peer.ts'
import { certificateOf } from './x509.ts'

/** What a certificate says, for whoever judges it. */
export interface ReadCertificate {
  readonly facts: CertificateFacts
  readonly malformed: boolean
}

interface Known extends ReadCertificate {
  readonly certificate: X509Certificate
  readonly octets: number
}

/** certificates, and octets of DER; OpenSSL takes several times that */
const MOST = 512
const MOST_OCTETS = 1024 * 1024

export class CertificateMemory {
  readonly #known = new Map<string, Known>()
  readonly #read = new WeakMap<X509Certificate, ReadCertificate>()
  #octets = 0

  get size(): number {
    return this.#known.size
  }

  /** Node's object of a certificate. @throws MalformedCertificate, or OpenSSL's error, when this is not one in DER */
  certificateOf(der: Buffer): X509Certificate {
    const digest = hash('sha256', der, 'hex')
    const known = this.#known.get(digest)
    if (known === undefined) return this.#learn(digest, der)
    this.#known.delete(digest)
    this.#known.set(digest, known)
    return known.certificate
  }

  /** What it says; of one that cannot be read its digest. */
  read(certificate: X509Certificate): ReadCertificate {
    return this.#read.get(certificate) ?? readDer(certificate.raw)
  }

  #learn(digest: string, der: Buffer): X509Certificate {
    const certificate = certificateOf(der)
    const read = readDer(der)
    if (read.malformed) return certificate
    const octets = der.length
    this.#known.set(digest, { ...read, certificate, octets })
    this.#read.set(certificate, read)
    this.#octets += octets
    for (const [oldest, { octets: freed }] of this.#known) {
      if (this.#known.size <= MOST && this.#octets <= MOST_OCTETS) break
      this.#known.delete(oldest)
      this.#octets -= freed
    }
    return certificate
  }
}

function readDer(der: Buffer): ReadCertificate {
  try {
    return { facts: frozen(readCertificate(der)), malformed: false }
  } catch (error) {
    if (!(error instanceof MalformedCertificate)) throw error
    return { facts: unreadableCertificate(der), malformed: true }
  }
}

/** Several sessions see the same facts: nobody may change them, a policy's module included. */
function frozen(facts: CertificateFacts): CertificateFacts {
  for (const list of [facts.sanDns, facts.sanEmail, facts.sanUri, facts.sanIp]) Object.freeze(list)
  return Object.freeze(facts)
}
