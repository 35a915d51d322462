/** The handshake: what is asked of the client, what OpenSSL makes of its certificate, and what policy gets to see. */

import { describeOrigin } from '../../config/diagnostic.ts'
import type { InboundScope } from '../../config/settings.ts'
import type { ShadowVerdict } from '../../events/decision.ts'
import type { Session } from '../../smtp/session-state.ts'
import { tlsContextKeys } from '../../tls/context-keys.ts'
import type { TlsContexts } from '../../tls/contexts.ts'
import type { CertificateFacts, TlsFacts, UnverifiedPeer } from '../../tls/peer.ts'
import { type ShadowEvidence, shadowVerdict } from '../../tls/shadow.ts'
import { givesTickets } from '../../tls/trust.ts'
import type { Client } from './client.ts'
import { fromBytes } from './document.ts'
import type { Handshake } from './explaining-gate.ts'
import type { Steps } from './step-builder.ts'

type Failed = Extract<Handshake, { kind: 'failed' }>
type Made = Extract<Handshake, { kind: 'made' }>

export interface HandshakeBasis {
  readonly steps: Steps
  readonly client: Client
  readonly tls: TlsContexts
}

/** @param peer who it is once policy has had its say */
export function explainHandshake(
  basis: HandshakeBasis,
  handshake: Handshake,
  peer: TlsFacts['peer'] | undefined,
): void {
  const { steps } = basis
  explainTrust(basis, handshake)
  if (handshake.kind === 'failed') explainFailure(steps, handshake)
  else {
    explainMade(steps, handshake, peer ?? handshake.session.facts.peer)
    if (basis.client.chain.length > 0) explainCertificate(steps, basis.client, handshake)
    explainDistrust(steps, handshake.session.facts.peer, peer)
  }
  explainShadow(steps, handshake)
}

/** What a certificate is judged by. */
function explainTrust({ steps, tls }: HandshakeBasis, { scope }: Handshake): void {
  const { tls_client_ca: ca, tls_client_crl: crl } = scope.options
  const cas = ca && tls.files.cas.get(ca.path)
  const caFrom = describeOrigin(scope.origin('tls_client_ca'))
  if (ca === undefined) steps.detail('CAs', 'none: no certificate verifies', caFrom)
  else if (cas !== undefined) {
    const names = cas.facts.map(({ subject }) => fromBytes(subject))
    steps.detail('CAs', `${listed(names)}; SHA-256 ${cas.digest}`, caFrom)
  }
  const lists = crl && tls.files.crls.get(crl.path)
  if (lists === undefined) return
  const ends = lists.lists.map(({ nextUpdate }) => nextUpdate).filter((time) => time !== undefined)
  const until = ends.length === 0 ? 'which never end' : `valid until ${dateOf(Math.min(...ends))}`
  const count = lists.lists.length
  steps.detail(
    'CRLs',
    `${count} ${count === 1 ? 'list' : 'lists'}, ${until}`,
    describeOrigin(scope.origin('tls_client_crl')),
  )
}

function explainFailure(steps: Steps, { scope, adjustments, reason, alerts }: Failed): void {
  steps.current.title = 'The handshake fails'
  const byPolicy = adjustments.parameters?.mode
  const mode = byPolicy ?? scope.options.tls_verify_mode ?? 'unset'
  const from = byPolicy === undefined ? describeOrigin(scope.origin('tls_verify_mode')) : 'policy'
  steps.detail('TLS_Verify_Mode', mode, from)
  steps.detail('reason', reason)
  for (const [version, alert] of alerts) steps.detail(`${version} alert`, `${alert} (fatal)`)
}

function explainMade(steps: Steps, { scope, session }: Made, peer: TlsFacts['peer']): void {
  const { facts } = session
  steps.current.title = `The handshake succeeds: the client is ${peer.kind}`
  steps.detail('TLS_Verify_Mode', facts.mode, facts.modeFrom)
  steps.detail('certificate', askedFor(facts))
  steps.detail(
    'protocol',
    `${facts.protocol}, ${facts.cipher}`,
    'negotiated with a client as capable as this program',
  )
  if (facts.sni !== '') steps.detail('SNI', fromBytes(facts.sni))
  steps.detail('session tickets', ticketsOf(scope, session.tickets))
}

/** Why, in the words of the options. */
function ticketsOf({ options }: InboundScope, given: boolean): string {
  if (given) return 'given: the client may resume its session within the hour'
  if (!options.tls_session_tickets) return 'not given: TLS_Session_Tickets is off'
  if (givesTickets(options)) return 'not given: a script has a say in the handshake'
  return 'not given: the verdict needs more than a ticket carries'
}

function askedFor({ mode }: TlsFacts): string {
  if (mode === 'none') return 'not asked for: TLS_Verify_Mode is "none"'
  return mode === 'require' ? 'asked for, and required' : 'asked for, and may be missing'
}

function explainCertificate(steps: Steps, { chain }: Client, { scope, session }: Made): void {
  const { facts, failure, second } = session
  const { peer } = facts
  if (peer.kind === 'anonymous') {
    steps.detail('verdict', 'the certificate plays no part')
    return
  }
  explainIdentity(steps, peer.certificate, chain.length)
  const word =
    failure === undefined ? 'no error' : failure.code === 'UNSPECIFIED' ? failure.message : failure.code
  steps.detail('OpenSSL', `${word} (purpose: TLS client)`)
  if (second.serverOnly)
    steps.detail('second verification', 'it verifies as a TLS server’s certificate (TLS_Client_EKU)')
  if (second.crlForgiven) {
    steps.detail(
      'second verification',
      'it verifies without the revocation lists (TLS_Client_CRL_Mode = soft)',
    )
  } else if (failure !== undefined && !second.serverOnly && asksLess(scope)) {
    steps.detail('second verification', 'none that would help')
  }
  explainOcsp(steps, facts)
  if (peer.kind === 'unverified') explainCause(steps, peer)
  else steps.detail('verdict', 'verified')
  steps.detail('key', 'not needed here: a live client proves that it holds the key, or the handshake fails')
}

/** Whether the scope takes a second verification at all. */
function asksLess({ options }: InboundScope): boolean {
  return options.tls_client_eku !== 'clientAuth' || options.tls_client_crl_mode === 'soft'
}

function explainIdentity(steps: Steps, facts: CertificateFacts, length: number): void {
  steps.detail('subject', fromBytes(facts.subject))
  steps.detail('issuer', fromBytes(facts.issuer))
  steps.detail('SHA-256', facts.fingerprint)
  if (facts.serial !== '') steps.detail('valid', `${dateOf(facts.notBefore)} to ${dateOf(facts.notAfter)}`)
  if (length > 1) steps.detail('chain', `${length} certificates are shown`)
}

function explainCause(steps: Steps, { cause, code, failing }: UnverifiedPeer): void {
  steps.detail('verdict', `unverified: ${cause} (${code})`)
  if (failing === undefined) return
  steps.detail('failing element', `depth ${failing.depth}: ${fromBytes(failing.subject)}`)
}

/** About whom a live gate would ask, and whom. */
function explainOcsp(steps: Steps, { ocsp }: TlsFacts): void {
  if (ocsp === undefined) return
  for (const { depth, subject, responder, answer, reason } of ocsp.asked) {
    const place = depth === undefined ? 'a certificate beside the chain' : `depth ${depth}`
    const whom = responder === undefined ? 'nobody' : `TLS_OCSP "${responder}"`
    const came = answer === 'withheld' ? 'not asked here' : `${answer}: ${reason}`
    steps.detail('OCSP', `${whom} about ${place}, ${fromBytes(subject)}: ${came}`)
  }
  if (ocsp.askedLeftOut > 0) steps.detail('OCSP', `about ${ocsp.askedLeftOut} more`)
  if (ocsp.forgiven) steps.detail('OCSP', 'forgiven (TLS_Client_OCSP_Mode = soft)')
}

/** A script's verify callback makes a verified peer an unverified one. */
function explainDistrust(steps: Steps, before: TlsFacts['peer'], after: TlsFacts['peer'] | undefined): void {
  if (before.kind !== 'verified' || after?.kind !== 'unverified') return
  steps.detail(
    'verdict of policy',
    `unverified: ${after.cause} (${after.code})`,
    'a script’s verify callback',
  )
}

/** TLS_Verify_Mode_Shadow, where the scope has one. */
function explainShadow(steps: Steps, handshake: Handshake): void {
  const evidence: ShadowEvidence =
    handshake.kind === 'failed'
      ? { kind: 'failed', code: handshake.code }
      : { kind: 'done', mode: handshake.session.facts.mode, peer: handshake.session.facts.peer }
  const shadow = shadowVerdict(handshake.scope, evidence)
  if (shadow === undefined) return
  steps.detail(
    'TLS_Verify_Mode_Shadow',
    `"${shadow.mode}" ${VERDICTS[shadow.verdict]} (${shadow.reason})`,
    shadow.from,
  )
}

const VERDICTS: Readonly<Record<ShadowVerdict['verdict'], string>> = {
  'would-refuse': 'would refuse the handshake',
  'would-continue': 'would go on as well',
  unknown: 'says nothing that is known here',
}

/** The partner whose certificate it is, and what that is worth. */
export function explainPartner(steps: Steps, { partner, peer }: Session, declared: boolean): void {
  if (!declared || peer.kind !== 'verified') return
  if (partner === undefined) {
    steps.detail('partner', 'none that is known: verified, and nothing more')
    return
  }
  const { rules, pins } = partner
  steps.detail('partner', partner.name, describeOrigin(rules.at))
  for (const { option, place } of pins) steps.detail('partner, pin', `${option}, the ${place} one`)
  if (rules.pathway !== undefined) {
    steps.detail('partner, pathway', rules.pathway, describeOrigin(rules.origin('pathway')))
  }
  if (rules.sender_domains !== undefined) {
    const domains = rules.sender_domains.join(', ')
    steps.detail('partner, may send from', domains, describeOrigin(rules.origin('sender_domains')))
  }
}

/** The keys that TLS has set, as scripts read them from now on. */
export function explainContext(steps: Steps, session: Session): void {
  steps.begin('context', 'What scripts see of it (connection context)')
  for (const key of [...tlsContextKeys, 'tls_partner']) {
    const value = session.context.get('connection', key)
    if (value !== '') steps.detail(key, fromBytes(value))
  }
}

export function dateOf(milliseconds: number): string {
  const date = new Date(milliseconds)
  return Number.isNaN(date.getTime()) ? 'never' : date.toISOString().replace('.000Z', 'Z')
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 5).join('; ')
  return names.length > 5 ? `${shown}; and ${names.length - 5} more` : shown
}
