/**
 * Who may relay (Momentum: config/ref-relay-hosts, ref-relay-domains, ref-relay-for-sending-domains, ref-open-relay,
 * ref-tls-verified-peer-can-relay, ref-bounce-domains). By default nobody: every grant is configured or given by a script.
 *
 * Mail that ends here is taken from everybody; a mailbox that does not exist here is refused to everybody. A recipient
 * without a domain (`<postmaster>`, RFC 5321 §4.5.1) is never relayed: whoever keeps the mailboxes says whether there
 * is one.
 */

import { cidrContains } from '../config/address.ts'
import type { InboundScope, InboundValues } from '../config/settings.ts'
import { domainMatches, formatMailbox } from '../mail/address.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { KnownPartner } from '../tls/partners/partners.ts'
import type { Peer, VerifiedPeer } from '../tls/peer.ts'

/** Which recipients end here. Implemented by the maildirs; asked at RCPT. */
export interface LocalRecipients {
  /** `elsewhere`: the domain is not ours; `unknown`: the domain is ours and has no such mailbox */
  lookup(recipient: Mailbox): 'local' | 'unknown' | 'elsewhere'
}

export interface RelayQuestion {
  readonly peer: Peer
  /** whose certificate that peer's is; undefined: nobody's that is known */
  readonly partner?: KnownPartner | undefined
  readonly scope: InboundScope
  /** normalised; '' for a UNIX client, which matches as loopback */
  readonly clientAddress: string
  /** the session was granted relaying: a successful authentication, or a script that set `can_relay` before RCPT */
  readonly canRelay: boolean
  /** undefined is the null reverse path */
  readonly sender: Mailbox | undefined
  readonly recipient: Mailbox
  /** Bounce_Pattern of the recipient's domain */
  readonly bouncePattern?: string | undefined
  readonly local: LocalRecipients
}

/** The option that grants it; `can_relay` is the session's own: an authentication, or a script's word. */
export type RelayGrant =
  | 'can_relay'
  | 'open_relay'
  | 'relay_hosts'
  | 'relay_domains'
  | 'bounce_domains'
  | 'relay_for_sending_domains'
  | 'tls_verified_peer_can_relay'
  | 'partner'

export type RelayDecision = 'relay' | 'local' | 'unknown-mailbox' | 'denied'

export function decideRelay(question: RelayQuestion): RelayDecision {
  const { recipient, local } = question
  const place = local.lookup(recipient)
  if (place === 'local') return 'local'
  if (place === 'unknown' || recipient.domain === '') return 'unknown-mailbox'
  return relayGrant(question) !== undefined ? 'relay' : 'denied'
}

/** What lets a recipient that ends elsewhere pass; undefined: nothing does. The first of several. */
export function relayGrant({
  peer,
  partner,
  scope: { options },
  clientAddress,
  canRelay,
  sender,
  recipient,
  bouncePattern,
}: Omit<RelayQuestion, 'local'>): RelayGrant | undefined {
  if (options.open_relay) return 'open_relay'
  if (isRelayHost(options, clientAddress)) return 'relay_hosts'
  if (peer.kind === 'verified' && certificateMayRelay(peer, options)) return 'tls_verified_peer_can_relay'
  if (partner?.peer === peer && partner !== undefined && partnerMayRelay(partner)) return 'partner'
  if (canRelay) return 'can_relay'
  if (domainMatches(options.relay_domains, recipient.domain)) return 'relay_domains'
  if (isBounceMailbox(options, bouncePattern, recipient)) return 'bounce_domains'
  return senderMayRelay(options, sender) ? 'relay_for_sending_domains' : undefined
}

/** Momentum: config/ref-relay-hosts */
export function isRelayHost({ relay_hosts }: InboundValues, address: string): boolean {
  return relay_hosts.some((block) => cidrContains(block, address))
}

/**
 * Whether reports about our mail come back to this address: of a domain in Bounce_Domains those that Bounce_Pattern fits, or
 * all where there is none (Momentum: config/ref-bounce-pattern).
 */
export function isBounceMailbox(
  { bounce_domains }: Pick<InboundValues, 'bounce_domains'>,
  pattern: string | undefined,
  mailbox: Mailbox,
): boolean {
  if (mailbox.domain === '' || !domainMatches(bounce_domains, mailbox.domain)) return false
  return pattern === undefined || new RegExp(pattern).test(formatMailbox(mailbox))
}

/** An empty list means any sender, the null one included; a list never means the null sender, not even `*`. */
function senderMayRelay(
  { relay_for_sending_domains: domains }: InboundValues,
  sender: Mailbox | undefined,
): boolean {
  if (domains === undefined) return false
  if (domains.length === 0) return true
  return sender !== undefined && sender.domain !== '' && domainMatches(domains, sender.domain)
}

/** Likewise a partner, of which there is none without a verified peer. */
export function partnerMayRelay({ rules }: KnownPartner): boolean {
  return rules.relay
}

/** Takes the peer itself: that it verified is not a matter of a key or a flag. */
function certificateMayRelay(_: VerifiedPeer, options: InboundValues): boolean {
  return options.tls_verified_peer_can_relay
}
