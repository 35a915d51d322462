/** Everything that a configuration loads for TLS and that has an end. */

import type { Ending, EndingKind } from '../events/expiry.ts'
import type { Responder } from './ocsp/responders.ts'
import type { CertificateFacts } from './peer.ts'
import type { RevocationList } from './revocation.ts'
import type { TlsFiles } from './tls-files.ts'

/** Each certificate and list once for each file that holds it. A list without nextUpdate has no end. */
export function inventoryOf(files: TlsFiles, responders: readonly Responder[]): Ending[] {
  const endings = [
    ...[...files.servers].map(([key, { leaf }]) =>
      ofCertificate('server', leaf, key.split('\0', 1).join('')),
    ),
    ...[...files.cas].flatMap(([path, { facts }]) =>
      facts.map((each) => ofCertificate('client-ca', each, path)),
    ),
    ...[...files.crls.values()].flatMap(({ entries }) => entries.flatMap(ofList)),
    ...responders.flatMap(ofResponder),
  ]
  return [
    ...new Map(endings.map((each) => [`${each.what}\0${each.source}\0${each.fingerprint}`, each])).values(),
  ]
}

function ofResponder({ settings, cas, signers = [], roots = [] }: Responder): Ending[] {
  const { ca, signer, responder_ca: rootFile } = settings
  return [
    ...cas.map(({ facts }) => ofCertificate('ocsp-ca', facts, ca.path)),
    ...signers.map(({ facts }) => ofCertificate('ocsp-signer', facts, signer?.path ?? '')),
    ...roots.map(({ facts }) => ofCertificate('responder-ca', facts, rootFile?.path ?? '')),
  ]
}

function ofCertificate(what: EndingKind, facts: CertificateFacts, source: string): Ending {
  const { subject: name, issuer, fingerprint, notBefore, notAfter } = facts
  return { what, name, issuer, fingerprint, source, notBefore, notAfter }
}

function ofList({ file, digest, parsed }: RevocationList): Ending[] {
  const { issuer, thisUpdate, nextUpdate } = parsed.facts
  if (nextUpdate === undefined) return []
  const ending = { name: issuer, issuer, fingerprint: digest, source: file }
  return [{ what: 'crl', ...ending, notBefore: thisUpdate, notAfter: nextUpdate }]
}
