/**
 * What `postern check` has to say about certificates, CAs and revocation lists: all that loading finds, and what will
 * become a trouble soon. Each finding once, at the option that names the file.
 */

import type { Diagnostic } from '../config/diagnostic.ts'
import { describeOrigin } from '../config/diagnostic.ts'
import type { InboundScope, Settings } from '../config/settings.ts'
import type { CrlFacts } from './crl.ts'
import type { ClientCas } from './material.ts'
import { loadResponders } from './ocsp/responders.ts'
import type { CertificateFacts } from './peer.ts'
import type { RevocationLists } from './revocation.ts'
import { loadTlsFiles, serverKey, sniKey, type TlsFiles } from './tls-files.ts'
import { tlsScopes } from './tls-scopes.ts'

const DAY = 86_400_000

/** Milliseconds: since the epoch, and before the end of something in which it is reported (TLS_Expiry_Warning). */
interface When {
  readonly now: number
  readonly soon: number
}

type Tell = (
  option: 'tls_certificate' | 'tls_sni' | 'tls_client_ca' | 'tls_client_crl',
  message: string,
) => void

/**
 * @param now milliseconds since the epoch
 * @returns errors for what cannot be loaded, warnings for the rest
 */
export async function auditTls(settings: Settings, now: number): Promise<Diagnostic[]> {
  const { files, diagnostics } = await loadTlsFiles(settings)
  const findings = [...diagnostics]
  const seen = new Set<string>()
  const when = { now, soon: (settings.global.tls_expiry_warning[0] ?? 0) * DAY }
  for (const { scope } of tlsScopes(settings)) {
    if (!firstTime(scope, seen)) continue
    auditScope(scope, files, when, (option, reason) => {
      const origin = scope.origin(option)
      const file = option === 'tls_sni' ? undefined : scope.options[option]
      const message = `${DISPLAY[option]}${file === undefined ? '' : ` "${file.text}"`}: ${reason}`
      const key = `${describeOrigin(origin)}\0${message}`
      if (seen.has(key)) return
      seen.add(key)
      findings.push({ severity: 'warning', message, ...(origin === 'default' ? {} : { at: origin }) })
    })
  }
  return [...findings, ...(await auditResponders(settings, when))]
}

/** The stanzas of TLS_OCSP, and what of their files ends soon. */
async function auditResponders(settings: Settings, when: When): Promise<Diagnostic[]> {
  const { responders, diagnostics } = await loadResponders(settings)
  const soon = responders.flatMap(({ settings: stanza, ...files }) =>
    [...files.cas, ...(files.signers ?? []), ...(files.roots ?? [])].flatMap(({ facts }): Diagnostic[] => {
      const remark = remarkOn(facts, when)
      if (remark === undefined) return []
      const message = `TLS_OCSP "${stanza.name}": the certificate "${facts.subject}" ${remark}`
      return [{ severity: 'warning', message, at: stanza.at }]
    }),
  )
  return [...diagnostics, ...soon]
}

function remarkOn(facts: CertificateFacts, { now, soon }: When): string | undefined {
  return validityRemark(facts, now, soon)
}

const DISPLAY = {
  tls_certificate: 'TLS_Certificate',
  tls_sni: 'TLS_SNI',
  tls_client_ca: 'TLS_Client_CA',
  tls_client_crl: 'TLS_Client_CRL',
} as const

function firstTime(scope: InboundScope, seen: Set<string>): boolean {
  const options = ['tls_certificate', 'tls_key', 'tls_client_ca', 'tls_client_crl'] as const
  const key = options
    .map((name) => `${scope.options[name]?.path ?? ''}@${describeOrigin(scope.origin(name))}`)
    .concat(scope.options.tls_sni.map(sniKey))
    .join('\0')
  if (seen.has(key)) return false
  seen.add(key)
  return true
}

function auditScope(scope: InboundScope, files: TlsFiles, when: When, tell: Tell): void {
  const { tls_client_ca: caFile, tls_client_crl: crlFile } = scope.options
  const server = files.servers.get(serverKey(scope.options) ?? '')
  if (server !== undefined) {
    const remark = remarkOn(server.leaf, when)
    if (remark !== undefined) tell('tls_certificate', `the server's certificate ${remark}`)
  }
  for (const entry of scope.options.tls_sni) {
    const leaf = files.servers.get(sniKey(entry))?.leaf
    const remark = leaf && remarkOn(leaf, when)
    if (remark !== undefined) tell('tls_sni', `the certificate of "${entry.host}" ${remark}`)
  }
  const cas = caFile && files.cas.get(caFile.path)
  if (cas !== undefined) auditCas(cas, when, tell)
  const crls = crlFile && files.crls.get(crlFile.path)
  if (crls === undefined) return
  crls.lists.forEach((list, index) => auditList(list, index, when, tell))
  if (caFile === undefined)
    tell('tls_client_crl', 'there is no TLS_Client_CA in this scope, so it does nothing')
  else if (cas !== undefined) matchLists(cas, crls, tell)
}

function auditCas(cas: ClientCas, when: When, tell: Tell): void {
  cas.certificates.forEach((certificate, index) => {
    const facts = cas.facts[index]
    if (facts === undefined) return
    const remark = remarkOn(facts, when)
    if (remark !== undefined) tell('tls_client_ca', `the CA "${facts.subject}" ${remark}`)
    if (!certificate.ca)
      tell('tls_client_ca', `"${facts.subject}" is not a CA; nothing can verify against it`)
  })
  // OpenSSL ends a chain only in a certificate that signs itself
  if (!cas.facts.some(({ subject, issuer }) => subject === issuer)) {
    tell('tls_client_ca', 'it holds no self-signed root, so no chain can end in it')
  }
}

function auditList(list: CrlFacts, index: number, { now, soon: usual }: When, tell: Tell): void {
  const name = `CRL ${index + 1} of "${list.issuer}"`
  if (list.nextUpdate === undefined) {
    tell('tls_client_crl', `${name} names no next update; it is used however old it gets`)
    return
  }
  // a list that is published every week is not "about to expire" all of the time
  const soon = Math.min(usual, (list.nextUpdate - list.thisUpdate) / 3)
  const remark = validityRemark({ notBefore: list.thisUpdate, notAfter: list.nextUpdate }, now, soon)
  if (remark !== undefined) tell('tls_client_crl', `${name} ${remark}`)
}

function matchLists(cas: ClientCas, crls: RevocationLists, tell: Tell): void {
  const issuers = new Set(crls.lists.map((list) => list.issuer))
  const subjects = new Set(cas.facts.map((facts) => facts.subject))
  for (const issuer of issuers) {
    if (!subjects.has(issuer))
      tell('tls_client_crl', `its CRL of "${issuer}" belongs to no CA of TLS_Client_CA`)
  }
  for (const subject of subjects) {
    if (!issuers.has(subject))
      tell('tls_client_crl', `it holds no CRL of the CA "${subject}", so no client of that CA verifies`)
  }
}

/** What there is to say about dates at `now`; undefined = nothing. @param soon milliseconds before the end */
export function validityRemark(
  { notBefore, notAfter }: { readonly notBefore: number; readonly notAfter: number },
  now: number,
  soon: number,
): string | undefined {
  if (now >= notAfter) return `expired on ${day(notAfter)}`
  if (now < notBefore) return `is not valid before ${day(notBefore)}`
  if (notAfter - now >= soon) return undefined
  const days = Math.floor((notAfter - now) / DAY)
  return `expires on ${day(notAfter)}, in ${days === 1 ? '1 day' : `${days} days`}`
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
