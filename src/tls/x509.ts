/**
 * DER of a certificate → Node's object for it. The only place where one is made.
 *
 * `new X509Certificate(bytes)` looks for PEM first, on any line of what it is given. A certificate that holds the PEM of
 * another one, in a name or an extension, would become that other one: verified would be one certificate, and believed
 * what is written in another. In PEM of our own nothing can stand that is not the certificate.
 */

import { X509Certificate } from 'node:crypto'
import { MalformedCertificate } from './der.ts'
import { toPem } from './pem.ts'

/** @throws MalformedCertificate, or OpenSSL's error, when this is not one certificate in DER */
export function certificateOf(der: Buffer): X509Certificate {
  const certificate = new X509Certificate(toPem('CERTIFICATE', der))
  if (!certificate.raw.equals(der)) throw new MalformedCertificate('it reads as another certificate')
  return certificate
}
