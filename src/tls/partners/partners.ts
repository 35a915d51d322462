/**
 * Whose a verified certificate is: one of the partners that the configuration declares, or nobody's that is known.
 *
 * Only a `VerifiedPeer` can be a partner, and a `KnownPartner` can be made only here; whatever is granted to a partner
 * takes one. All selectors that are stated must hold, of each one value is enough, and every comparison is of the whole
 * value. The leaf alone decides, so a resumed session is matched like any other. A certificate that fits two partners
 * is nobody's.
 */

import { createHash, type X509Certificate } from 'node:crypto'
import type { PartnerSettings } from '../../config/settings-partner.ts'
import type { ConfiguredPin } from '../../events/partner-report.ts'
import type { CertificateFacts, VerifiedPeer } from '../peer.ts'

export interface Pin {
  readonly option: 'SPKI_Pin' | 'Certificate_Pin'
  readonly place: 'current' | 'successor'
  /** SHA-256, lower-case hex */
  readonly digest: string
  /** of the certificate in the file that the pin was taken from; milliseconds since the epoch */
  readonly notAfter?: number | undefined
}

declare const knownBrand: unique symbol

/** A verified peer that the configuration knows. */
export interface KnownPartner {
  readonly name: string
  readonly peer: VerifiedPeer
  readonly rules: PartnerSettings
  /** those that its certificate fits, one of each kind that is stated */
  readonly pins: readonly Pin[]
  readonly [knownBrand]: true
}

export type PartnerMatch =
  | { readonly kind: 'known'; readonly partner: KnownPartner }
  | { readonly kind: 'unknown' }
  /** by the configuration it could be any of these, so it is none */
  | { readonly kind: 'ambiguous'; readonly names: readonly string[] }

/** A partner as it is compared: everything read, nothing empty; undefined = not stated. */
export interface PartnerRule {
  readonly settings: PartnerSettings
  /** by facts of the leaf */
  readonly names: readonly NameSelector[]
  /** CAs of which one must have signed the leaf; undefined = not stated */
  readonly issuers: readonly X509Certificate[] | undefined
  readonly pins: readonly Pin[]
}

export interface NameSelector {
  readonly option: 'issuer' | 'subject' | 'san_dns' | 'san_email' | 'san_uri' | 'san_ip'
  /** as in `CertificateFacts` */
  readonly values: ReadonlySet<string>
}

export class Partners {
  readonly #rules: readonly PartnerRule[]
  /** domains that are one partner's alone, as written */
  readonly #owners: ReadonlyMap<string, string>

  constructor(rules: readonly PartnerRule[]) {
    this.#rules = rules
    this.#owners = new Map(
      rules.flatMap(({ settings: { name, sender_domains: domains, sender_domains_exclusive: alone } }) =>
        alone ? (domains ?? []).map((domain) => [domain, name] as const) : [],
      ),
    )
  }

  /** All pins, for a report of those that are in use. */
  get pins(): readonly ConfiguredPin[] {
    return this.#rules.flatMap(({ settings, pins }) =>
      pins.map(({ option, place, digest }) => ({ partner: settings.name, option, place, digest })),
    )
  }

  /**
   * @param leaf the certificate of that peer
   * @param now milliseconds since the epoch
   */
  match(peer: VerifiedPeer, leaf: X509Certificate, now: number): PartnerMatch {
    if (this.#rules.length === 0) return UNKNOWN
    const facts = peer.certificate
    // what is compared by its key must be what was verified
    if (sha256(leaf.raw) !== facts.fingerprint) return UNKNOWN
    const fitting = this.#rules.filter((rule) => isValid(rule.settings, now) && fits(rule, facts, leaf))
    const [rule] = fitting
    if (rule === undefined) return UNKNOWN
    if (fitting.length > 1) return { kind: 'ambiguous', names: fitting.map(({ settings }) => settings.name) }
    const { settings } = rule
    const pins = rule.pins.filter((pin) => pin.digest === digestFor(pin, facts))
    return {
      kind: 'known',
      partner: { name: settings.name, peer, rules: settings, pins } as unknown as KnownPartner,
    }
  }

  /** The partner that alone may send from a domain (lower case), if there is one. */
  ownerOf(domain: string): string | undefined {
    const owner = this.#owners.get(domain)
    if (owner !== undefined) return owner
    // `.example.com` for each domain that this one is below of
    for (let dot = domain.indexOf('.'); dot >= 0; dot = domain.indexOf('.', dot + 1)) {
      const above = this.#owners.get(domain.slice(dot))
      if (above !== undefined) return above
    }
    return undefined
  }
}

/** Whether a certificate is one of a partner's, whenever. */
export function fits(
  { names, issuers, pins }: PartnerRule,
  facts: CertificateFacts,
  leaf: X509Certificate,
): boolean {
  return (
    names.every(({ option, values }) => VALUES[option](facts).some((value) => values.has(value))) &&
    PIN_OPTIONS.every((option) => {
      const stated = pins.filter((pin) => pin.option === option)
      return stated.length === 0 || stated.some((pin) => pin.digest === digestFor(pin, facts))
    }) &&
    // last, because it costs most
    (issuers === undefined || issuers.some((ca) => hasSigned(ca, leaf)))
  )
}

/** Whether a domain (lower case) is one of a list of Sender_Domains. */
export function isAmong(domains: readonly string[], domain: string): boolean {
  return domains.some((each) => (each.startsWith('.') ? domain.endsWith(each) : domain === each))
}

export const PIN_OPTIONS = ['SPKI_Pin', 'Certificate_Pin'] as const

const UNKNOWN: PartnerMatch = { kind: 'unknown' }

function isValid({ valid_from: from, valid_until: until }: PartnerSettings, now: number): boolean {
  // a clock that tells nothing is in no window
  return (from === undefined || now >= from) && (until === undefined || now < until)
}

function digestFor({ option }: Pin, { spki, fingerprint }: CertificateFacts): string {
  return option === 'SPKI_Pin' ? spki : fingerprint
}

const VALUES: {
  readonly [O in NameSelector['option']]: (facts: CertificateFacts) => readonly string[]
} = {
  issuer: ({ issuer }) => [issuer],
  subject: ({ subject }) => [subject],
  san_dns: ({ sanDns }) => sanDns,
  san_email: ({ sanEmail }) => sanEmail.map(withLowerDomain),
  san_uri: ({ sanUri }) => sanUri,
  san_ip: ({ sanIp }) => sanIp,
}

/** RFC 5280 §7.5: the part after the @ has no case. */
function withLowerDomain(address: string): string {
  const at = address.lastIndexOf('@') + 1
  return address.slice(0, at) + address.slice(at).toLowerCase()
}

function hasSigned(ca: X509Certificate, leaf: X509Certificate): boolean {
  try {
    return leaf.checkIssued(ca) && leaf.verify(ca.publicKey)
  } catch {
    // a key that cannot be read has signed nothing
    return false
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
