/**
 * The keys that TLS puts into the connection's validation context (Momentum: 4-policy-context-variables; the keys from
 * `tls_protocol` on are ours). All of them are cleared before a handshake and set when it completes.
 *
 * A certificate's keys are set whenever one was received, verified or not; only `tls_client_verified` says which: it is
 * `yes` or absent. Values are byte strings, escaped by `names.ts`.
 */

import type { CertificateFacts, TlsFacts, UnverifiedPeer } from './peer.ts'

export const tlsContextKeys = [
  'tls',
  'tls_cipher',
  'tls_cipher_algbits',
  'tls_cipher_usebits',
  'tls_client_cert_subject',
  'tls_client_cert_subject_cn',
  'tls_client_cert_issuer',
  'tls_client_cert_issuer_cn',
  'tls_client_verified',
  'tls_protocol',
  'tls_sni',
  'tls_resumed',
  'tls_client_verify_error',
  'tls_client_verify_depth',
  'tls_client_verify_subject',
  'tls_client_cert_serial',
  'tls_client_cert_fingerprint',
  'tls_client_cert_spki',
  'tls_client_cert_san_dns',
  'tls_client_cert_san_email',
  'tls_client_cert_san_uri',
  'tls_client_cert_san_ip',
  'tls_client_cert_not_before',
  'tls_client_cert_not_after',
  'tls_client_cert_server_only',
  'tls_client_crl_forgiven',
  'tls_client_ocsp_forgiven',
  'tls_verify_mode',
  'tls_verify_mode_from',
  'tls_partner',
] as readonly string[]

/** The values of one session. A key without a value is not among them: it reads as '' and counts as absent. */
export function tlsContextEntries(
  facts: TlsFacts,
  dnFormat: 'rfc4514' | 'oneline',
): ReadonlyMap<string, string> {
  const { peer } = facts
  const entries = new Map<string, string>()
  const put = (key: string, value: string): void => {
    if (value !== '') entries.set(key, value)
  }
  put('tls', 'on')
  put('tls_cipher', facts.cipher)
  put('tls_cipher_algbits', String(facts.cipherAlgorithmBits))
  put('tls_cipher_usebits', String(facts.cipherUsedBits))
  put('tls_protocol', facts.protocol)
  put('tls_sni', facts.sni)
  put('tls_resumed', facts.resumed ? 'yes' : 'no')
  put('tls_verify_mode', facts.mode)
  put('tls_verify_mode_from', Buffer.from(facts.modeFrom, 'utf8').toString('latin1'))
  put('tls_client_verified', peer.kind === 'verified' ? 'yes' : '')
  if (peer.kind === 'unverified') putAll(failureEntries(peer, dnFormat))
  put('tls_client_crl_forgiven', facts.crlForgiven === true && peer.kind === 'verified' ? 'yes' : '')
  put('tls_client_ocsp_forgiven', facts.ocspForgiven === true && peer.kind === 'verified' ? 'yes' : '')
  put('tls_client_cert_server_only', facts.serverOnly === true ? 'yes' : '')
  if (peer.kind !== 'anonymous') putAll(certificateEntries(peer.certificate, dnFormat))
  return entries

  function putAll(several: Entries): void {
    for (const [key, value] of several) put(key, value)
  }
}

/** Where in the chain it failed is not always known: then only the cause is told. */
function failureEntries(
  { cause, failing }: UnverifiedPeer,
  dnFormat: 'rfc4514' | 'oneline',
): [string, string][] {
  const subject = dnFormat === 'oneline' ? failing?.subjectOneline : failing?.subject
  return [
    ['tls_client_verify_error', cause],
    ['tls_client_verify_depth', String(failing?.depth ?? '')],
    ['tls_client_verify_subject', subject ?? ''],
  ]
}

type Entries = readonly (readonly [string, string])[]

/** What was made of facts that cannot change: the same few clients come again and again. */
const known = {
  rfc4514: new WeakMap<CertificateFacts, Entries>(),
  oneline: new WeakMap<CertificateFacts, Entries>(),
}

function certificateEntries(facts: CertificateFacts, dnFormat: 'rfc4514' | 'oneline'): Entries {
  const before = known[dnFormat].get(facts)
  if (before !== undefined) return before
  const entries = readEntries(facts, dnFormat === 'oneline')
  if (Object.isFrozen(facts)) known[dnFormat].set(facts, entries)
  return entries
}

function readEntries(facts: CertificateFacts, oneline: boolean): Entries {
  // only a certificate that could not be read has no serial number, and then it has no dates
  const date = (milliseconds: number) =>
    facts.serial === '' ? '' : new Date(milliseconds).toISOString().replace('.000Z', 'Z')
  return [
    ['tls_client_cert_subject', oneline ? facts.subjectOneline : facts.subject],
    ['tls_client_cert_subject_cn', facts.subjectCn],
    ['tls_client_cert_issuer', oneline ? facts.issuerOneline : facts.issuer],
    ['tls_client_cert_issuer_cn', facts.issuerCn],
    ['tls_client_cert_serial', facts.serial],
    ['tls_client_cert_fingerprint', facts.fingerprint],
    ['tls_client_cert_spki', facts.spki],
    ['tls_client_cert_san_dns', facts.sanDns.join(' ')],
    ['tls_client_cert_san_email', facts.sanEmail.join(' ')],
    ['tls_client_cert_san_uri', facts.sanUri.join(' ')],
    ['tls_client_cert_san_ip', facts.sanIp.join(' ')],
    ['tls_client_cert_not_before', date(facts.notBefore)],
    ['tls_client_cert_not_after', date(facts.notAfter)],
  ]
}
