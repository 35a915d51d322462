/**
 * What the parts of Partner stanzas say about one another, as far as the text alone tells: whom a certificate belongs to
 * and whose a domain is must never be open. What needs the files is checked where certificates are read.
 */

import { suggestion } from './edit-distance.ts'
import { displayName } from './known-names.ts'
import type { Model, NamedStanza, Setting, Stanza } from './model.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'

export function checkPartners(model: Model, report: Report): void {
  const byName = new Map<string, NamedStanza>()
  for (const partner of model.partners.values()) {
    const { stanza, at } = partner
    const key = stanza.instance.toLowerCase()
    const other = byName.get(key)
    if (other === undefined) byName.set(key, partner)
    else {
      report.error('the names of partners must differ in more than case', at, {
        message: `this one is ${quote(other.stanza.instance)}`,
        at: other.at,
      })
    }
    checkOptions(stanza, report)
    checkPathway(stanza, model, report)
  }
  checkDomains(model, report)
}

/** The pathways that a partner may be put on. */
export function partnerPathways(model: Model): string[] {
  const names = [...model.partners.values()].map(({ stanza }) => valueOf(stanza, 'pathway'))
  return [...model.pathways.keys()].filter((name) => names.includes(name))
}

function checkOptions({ settings }: Stanza, report: Report): void {
  const [from, until] = [settings.get('valid_from'), settings.get('valid_until')]
  if (from !== undefined && until !== undefined && (from.value as number) >= (until.value as number)) {
    report.error('Valid_Until is before Valid_From, so this partner is never known', until.at)
  }
  const exclusive = settings.get('sender_domains_exclusive')
  if (exclusive?.value === true && !settings.has('sender_domains')) {
    report.error('Sender_Domains_Exclusive needs Sender_Domains', exclusive.at)
  }
}

/** What a certificate is judged by was decided before the partner was known. */
const JUDGING = [
  'tls_verify_mode',
  'tls_client_ca',
  'tls_client_crl',
  'tls_client_crl_mode',
  'tls_client_eku',
  'tls_client_ocsp',
  'tls_client_ocsp_mode',
  'tls_verify_depth',
]

function checkPathway(stanza: Stanza, { pathways }: Model, report: Report): void {
  const setting = stanza.settings.get('pathway')
  if (setting === undefined) return
  const name = setting.value as string
  const pathway = pathways.get(name)
  if (pathway === undefined) {
    report.error(`there is no Pathway ${quote(name)}${suggestion(name, pathways.keys())}`, setting.at)
    return
  }
  for (const option of JUDGING) {
    const judging = pathway.stanza.settings.get(option) ?? pathway.group?.settings.get(option)
    if (judging === undefined) continue
    report.warning(
      `Pathway ${quote(name)} is given to a partner after its certificate was judged: where its ${displayName(option)} is another than in the handshake, the certificate counts for nothing and the partner is none`,
      setting.at,
      { message: `${displayName(option)} is set here`, at: judging.at },
    )
  }
}

interface Claim {
  readonly partner: Stanza
  readonly domain: string
  readonly setting: Setting
}

/** A domain that is one partner's alone cannot be another's as well. */
function checkDomains({ partners }: Model, report: Report): void {
  const claims: Claim[] = []
  for (const { stanza } of partners.values()) {
    const setting = stanza.settings.get('sender_domains')
    for (const domain of (setting?.value ?? []) as readonly string[])
      if (setting !== undefined) claims.push({ partner: stanza, domain, setting })
  }
  for (const claim of claims) {
    if (valueOf(claim.partner, 'sender_domains_exclusive') !== true) continue
    const other = claims.find((each) => each.partner !== claim.partner && overlap(each.domain, claim.domain))
    if (other === undefined) continue
    report.error(
      `${quote(other.domain)} is a sender domain of Partner ${quote(other.partner.instance)}, and of Partner ${quote(claim.partner.instance)} alone (Sender_Domains_Exclusive)`,
      other.setting.at,
      { message: `${quote(claim.domain)} is claimed here`, at: claim.setting.at },
    )
  }
}

function overlap(a: string, b: string): boolean {
  if (a === b) return true
  return (a.startsWith('.') && b.endsWith(a)) || (b.startsWith('.') && a.endsWith(b))
}

function valueOf({ settings }: Stanza, option: string): unknown {
  return settings.get(option)?.value
}
