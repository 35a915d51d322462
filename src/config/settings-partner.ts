/** A Partner as everything outside `config/` sees it: part of `settings.ts`. All of it is an extension. */

import type { Origin, Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

/** A pin as written. */
export type WrittenPin =
  /** lower case, 64 digits */
  | { readonly kind: 'sha256'; readonly hex: string }
  /** of the one certificate, or of the first, in this file */
  | { readonly kind: 'file'; readonly file: FilePath }

/**
 * What a certificate must say to be this partner's, and what the partner gets. Of the selectors all that are stated must
 * hold; within one list one value is enough. A list that is not stated is empty.
 */
export interface PartnerValues {
  /** RFC 4514, as written */
  readonly issuer: readonly string[]
  /** files with the certificates of the CAs of which one has signed the partner's certificate */
  readonly issuer_certificate: readonly FilePath[]
  /** RFC 4514, as written */
  readonly subject: readonly string[]
  /** lower case, A-labels */
  readonly san_dns: readonly string[]
  /** the domain in lower case */
  readonly san_email: readonly string[]
  readonly san_uri: readonly string[]
  /** normalised */
  readonly san_ip: readonly string[]
  /** the one in use, then its successor; two at most */
  readonly spki_pin: readonly WrittenPin[]
  readonly certificate_pin: readonly WrittenPin[]
  /** milliseconds since the epoch */
  readonly valid_from: number | undefined
  /** milliseconds since the epoch; from then on no longer */
  readonly valid_until: number | undefined
  /** lower case, A-labels; `.example.com` means every subdomain. undefined = any sender */
  readonly sender_domains: readonly string[] | undefined
  /** nobody else may send from Sender_Domains */
  readonly sender_domains_exclusive: boolean
  readonly pathway: string | undefined
  readonly relay: boolean
}

export interface PartnerSettings extends PartnerValues {
  readonly name: string
  readonly at: Position
  origin(option: keyof PartnerValues): Origin
}
