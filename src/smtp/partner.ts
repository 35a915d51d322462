/**
 * What it means for a session that its client is a partner (`Partner` stanzas): a pathway, and the domains that it, and
 * nobody else, may send from.
 *
 * The envelope's sender is what counts (RFC 5321 §3.3), without its source route, in lower case, its domain in A-labels;
 * the null sender is nobody's domain and everybody's.
 */

import { quote } from '../config/render.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { SecureConnection } from '../tls/gate.ts'
import { isAmong, type KnownPartner } from '../tls/partners/partners.ts'
import type { TlsFacts } from '../tls/peer.ts'
import { followPathway } from './consult.ts'
import { type Refusal, refuse } from './reject.ts'
import type { Session } from './session-state.ts'

/** @param facts of the handshake on that connection, as far as policy let them be */
export function findPartner(
  session: Session,
  { peer }: TlsFacts,
  { leaf }: SecureConnection,
): KnownPartner | undefined {
  const { services, connection } = session
  if (services.partners === undefined || peer.kind !== 'verified' || leaf === undefined) return undefined
  const match = services.partners.match(peer, leaf, services.clock())
  if (match.kind === 'known') return match.partner
  if (match.kind === 'ambiguous') {
    services.events.emit({
      kind: 'panic',
      at: services.clock(),
      level: 'warning',
      module: 'partner',
      text: `${connection.id}: the certificate ${peer.certificate.fingerprint} fits the partners ${match.names.join(' and ')}, so it is none of them`,
    })
  }
  return undefined
}

/** Policy and the decision record know the partner. */
export function notePartner(session: Session): void {
  const name = session.partner?.name
  if (name === undefined) return
  session.context.set('connection', 'tls_partner', name)
  session.decision.partner = name
}

/**
 * Puts a partner on its pathway, as a script would: one that is asked later may choose another.
 * @throws Refusal when that pathway asks for a certificate that the handshake did not
 */
export function takePartnerPathway(session: Session): void {
  const pathway = session.partner?.rules.pathway
  if (pathway === undefined) return
  session.context.set('connection', 'pathway', Buffer.from(pathway, 'utf8').toString('latin1'))
  followPathway(session)
}

/** @throws Refusal 550 for a sender whose domain is not this client's to use */
export function checkSenderDomain(session: Session, sender: Mailbox | undefined): void {
  if (sender === undefined) return
  const { partner, services } = session
  const domain = sender.domain.toLowerCase()
  const permitted = partner?.rules.sender_domains
  if (permitted !== undefined && !isAmong(permitted, domain)) {
    throw notPermitted(`partner ${partner?.name} may not send from ${quote(domain)}`)
  }
  const owner = services.partners?.ownerOf(domain)
  if (owner !== undefined && owner !== partner?.name) {
    throw notPermitted(`${quote(domain)} is for partner ${owner} alone`)
  }
}

/** The client learns neither whose the domain is nor what would help. */
function notPermitted(cause: string): Refusal {
  return refuse(550, '5.7.1 sender address is not permitted for this client', {
    fault: 'policy',
    module: 'partner',
    cause,
  })
}
