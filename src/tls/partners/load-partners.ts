/**
 * The Partner stanzas of a configuration → `Partners`: reads names and files, and sees that no certificate can be two
 * partners'.
 *
 * Whatever is wrong is an error at the option that says so. Nothing here keeps what was loaded before: a reload that
 * fails leaves all of the configuration before in force.
 */

import type { X509Certificate } from 'node:crypto'
import type { Diagnostic, Origin } from '../../config/diagnostic.ts'
import { displayName } from '../../config/known-names.ts'
import { quote } from '../../config/render.ts'
import type { FilePath, Settings } from '../../config/settings.ts'
import type { PartnerSettings, PartnerValues, WrittenPin } from '../../config/settings-partner.ts'
import { loadClientCas } from '../material.ts'
import type { CertificateFacts } from '../peer.ts'
import { PemError } from '../pem.ts'
import { NameSyntaxError, readWrittenName } from './distinguished-name.ts'
import { overlaps, sameTime } from './overlap.ts'
import { fits, type NameSelector, type PartnerRule, Partners, type Pin } from './partners.ts'

/** A certificate that the configuration holds for a pin. */
export interface PinnedCertificate {
  readonly option: 'spki_pin' | 'certificate_pin'
  readonly file: FilePath
  readonly facts: CertificateFacts
  readonly certificate: X509Certificate
}

/** A partner and what was read for it. */
export interface LoadedPartner {
  readonly rule: PartnerRule
  readonly pinned: readonly PinnedCertificate[]
}

export interface LoadedPartners {
  readonly partners: Partners
  readonly loaded: readonly LoadedPartner[]
  readonly diagnostics: readonly Diagnostic[]
}

/** Never throws for what an operator wrote. */
export async function loadPartners(settings: Pick<Settings, 'partners'>): Promise<LoadedPartners> {
  const diagnostics: Diagnostic[] = []
  const loaded: LoadedPartner[] = []
  for (const partner of settings.partners) loaded.push(await new Loader(partner, diagnostics).load())
  if (diagnostics.every(({ severity }) => severity !== 'error')) diagnostics.push(...ambiguities(loaded))
  return { partners: new Partners(loaded.map(({ rule }) => rule)), loaded, diagnostics }
}

class Loader {
  readonly #partner: PartnerSettings
  readonly #diagnostics: Diagnostic[]
  readonly #pinned: PinnedCertificate[] = []

  constructor(partner: PartnerSettings, diagnostics: Diagnostic[]) {
    this.#partner = partner
    this.#diagnostics = diagnostics
  }

  async load(): Promise<LoadedPartner> {
    const partner = this.#partner
    const names: NameSelector[] = [
      { option: 'issuer' as const, values: this.#names('issuer') },
      { option: 'subject' as const, values: this.#names('subject') },
      ...(['san_dns', 'san_email', 'san_uri', 'san_ip'] as const).map((option) => ({
        option,
        values: new Set(partner[option]),
      })),
    ].filter(({ option }) => partner[option].length > 0)
    const issuers = partner.issuer_certificate.length === 0 ? undefined : await this.#issuers()
    const pins = [
      ...(await this.#pins('spki_pin', partner.spki_pin)),
      ...(await this.#pins('certificate_pin', partner.certificate_pin)),
    ]
    return { rule: { settings: partner, names, issuers, pins }, pinned: this.#pinned }
  }

  #names(option: 'issuer' | 'subject'): ReadonlySet<string> {
    const values = new Set<string>()
    for (const text of this.#partner[option]) {
      try {
        const { canonical, reversed } = readWrittenName(text)
        values.add(canonical)
        if (reversed) {
          this.#tell(
            'warning',
            option,
            `${quote(text)} begins with what is broadest: RFC 4514 writes the most specific part first, as postern pin prints it`,
          )
        }
      } catch (error) {
        if (!(error instanceof NameSyntaxError)) throw error
        this.#tell('error', option, `${quote(text)} ${error.message}`)
      }
    }
    return values
  }

  async #issuers(): Promise<readonly X509Certificate[]> {
    const found: X509Certificate[] = []
    for (const file of this.#partner.issuer_certificate) {
      const cas = await this.#read('issuer_certificate', file)
      const other = cas?.find(({ certificate }) => !certificate.ca)
      if (other !== undefined) {
        this.#tell('error', 'issuer_certificate', `${quote(file.text)}: "${other.facts.subject}" is not a CA`)
      }
      found.push(...(cas ?? []).map(({ certificate }) => certificate))
    }
    return found
  }

  async #pins(option: 'spki_pin' | 'certificate_pin', written: readonly WrittenPin[]): Promise<Pin[]> {
    const pins: Pin[] = []
    const name = option === 'spki_pin' ? 'SPKI_Pin' : 'Certificate_Pin'
    for (const [index, pin] of written.entries()) {
      const place = index === 0 ? 'current' : 'successor'
      if (pin.kind === 'sha256') {
        pins.push({ option: name, place, digest: pin.hex })
        continue
      }
      const [first] = (await this.#read(option, pin.file)) ?? []
      if (first === undefined) continue
      const { facts } = first
      this.#pinned.push({ option, file: pin.file, ...first })
      const digest = option === 'spki_pin' ? facts.spki : facts.fingerprint
      pins.push({ option: name, place, digest, notAfter: facts.notAfter })
    }
    if (pins.length === 2 && pins[0]?.digest === pins[1]?.digest) {
      this.#tell('error', option, 'has the same pin twice; the second is the successor')
    }
    return pins
  }

  async #read(
    option: keyof PartnerValues,
    file: FilePath,
  ): Promise<{ facts: CertificateFacts; certificate: X509Certificate }[] | undefined> {
    try {
      const { certificates, facts } = await loadClientCas(file.path)
      return certificates.flatMap((certificate, index) => {
        const own = facts[index]
        return own === undefined ? [] : [{ certificate, facts: own }]
      })
    } catch (error) {
      if (!(error instanceof PemError)) throw error
      this.#tell('error', option, `${quote(file.text)}: ${error.message}`)
      return undefined
    }
  }

  #tell(severity: Diagnostic['severity'], option: keyof PartnerValues, message: string): void {
    this.#diagnostics.push(
      diagnostic(severity, `${displayName(option)} ${message}`, this.#partner.origin(option)),
    )
  }
}

/** Two partners that one certificate would fit: nobody could say whose it is. */
function ambiguities(loaded: readonly LoadedPartner[]): Diagnostic[] {
  const found: Diagnostic[] = []
  for (const [index, one] of loaded.entries()) {
    for (const other of loaded.slice(index + 1)) {
      if (!overlaps(one.rule, other.rule) && !sharesPinned(one, other) && !sharesPinned(other, one)) continue
      const { name, at } = other.rule.settings
      found.push({
        severity: 'error',
        message: `a certificate of Partner ${quote(one.rule.settings.name)} can be one of Partner ${quote(name)} too: one of them must say what the other's certificates do not`,
        at,
        note: { message: 'the other one is here', at: one.rule.settings.at },
      })
    }
  }
  return found
}

/** A certificate that is at hand, because one partner pins it, fits the other as well. */
function sharesPinned({ rule, pinned }: LoadedPartner, other: LoadedPartner): boolean {
  return pinned.some(
    ({ facts, certificate }) =>
      fits(rule, facts, certificate) &&
      fits(other.rule, facts, certificate) &&
      sameTime(rule.settings, other.rule.settings),
  )
}

export function diagnostic(severity: Diagnostic['severity'], message: string, origin: Origin): Diagnostic {
  return { severity, message, ...(origin === 'default' ? {} : { at: origin }) }
}
