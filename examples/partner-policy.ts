/**
 * Which partner may send for which domains, by the certificate that it shows.
 *
 *   scriptlet "scriptlet" { script "partners" { source = "./partner-policy.ts" } }
 *
 * A certificate that does not verify is a claim and no identity: `certificateOf` gives none for it, and the compiler
 * would not let this policy read one from it by mistake.
 */

import { definePolicy, disconnect, type Peer, reject } from 'postern'

/** DNS name in the certificate → the domains that its owner sends for */
const partners: ReadonlyMap<string, readonly string[]> = new Map([
  ['mail.alpha.example', ['alpha.example', 'alpha-shop.example']],
  ['gateway.beta.example', ['beta.example']],
])

export const policy = definePolicy({
  name: 'partners',

  tls(session) {
    const { peer } = session
    if (peer.kind !== 'unverified') return undefined
    return disconnect(421, `4.7.0 your certificate is not accepted: ${peer.cause}`)
  },

  mailFrom(session, sender) {
    const certificate = certificateOf(session.peer)
    if (certificate === undefined) return reject(530, '5.7.0 a certificate is needed here')
    const domains = certificate.sanDns.flatMap((name) => partners.get(name) ?? [])
    if (domains.length === 0) return reject(550, '5.7.1 your certificate is not known here')
    // bounces have no sender, and belong to everybody
    if (sender === undefined || domains.includes(sender.domain)) return undefined
    return reject(550, `5.7.1 your certificate is not one of ${sender.domain}`)
  },

  dataSpoolEachRcpt(session, message) {
    const certificate = certificateOf(session.peer)
    message.headers.delete('X-Partner')
    if (certificate !== undefined) message.headers.prepend('X-Partner', certificate.subject)
  },
})

function certificateOf(peer: Peer) {
  return peer.kind === 'verified' ? peer.certificate : undefined
}
