/** The stanzas that say where mail comes from and sign it → settings, and what is wrong among them. */

import type { Position } from './diagnostic.ts'
import type { AuthenticityStanzas, NamedStanza, Stanza } from './model.ts'
import type { OptionTable } from './option-row.ts'
import {
  dmarcOptions,
  openarcOptions,
  opendkimOptions,
  signingOptions,
  spfOptions,
} from './options-authenticity.ts'
import type { Report } from './report.ts'
import type { AuthenticitySettings, DkimDomainSettings, SigningValues } from './settings-authenticity.ts'

export function authenticitySettings(stanzas: AuthenticityStanzas): AuthenticitySettings {
  return Object.freeze({
    spf: first(stanzas.spf, spfOptions),
    openarc: first(stanzas.openarc, openarcOptions),
    dmarc: first(stanzas.dmarc, dmarcOptions),
    opendkim: Object.freeze(
      [...stanzas.opendkim].map(([name, { stanza, at, domains }]) =>
        Object.freeze({
          name,
          at,
          ...valuesOf([stanza], opendkimOptions),
          domains: [...domains].map(([domain, inner]) => domainSettings(domain, inner, stanza)),
        }),
      ),
    ),
  })
}

function domainSettings(domain: string, { stanza, at }: NamedStanza, around: Stanza): DkimDomainSettings {
  const chain = [stanza, around]
  return Object.freeze({
    domain,
    at,
    ...valuesOf(chain, signingOptions),
    origin: (option: keyof SigningValues): Position =>
      chain.find(({ settings }) => settings.has(option))?.settings.get(option)?.at ?? at,
  })
}

function first<V extends object>(
  all: ReadonlyMap<string, NamedStanza>,
  table: OptionTable<V>,
): (V & { readonly name: string; readonly at: Position }) | undefined {
  const [entry] = all
  if (entry === undefined) return undefined
  const [name, { stanza, at }] = entry
  return Object.freeze({ name, at, ...valuesOf([stanza], table) })
}

/** The first stanza that says something about an option has the last word. */
function valuesOf<V extends object>(chain: readonly Stanza[], table: OptionTable<V>): V {
  const values = Object.entries<{ readonly default: unknown }>(table).map(([name, row]) => {
    const setting = chain.find(({ settings }) => settings.has(name))?.settings.get(name)
    return [name, setting === undefined ? row.default : setting.value] as const
  })
  // each value came through its row's codec, and the table has one row for each name
  return Object.fromEntries(values) as V
}

/** What cannot work. Keys are looked at where they are loaded. */
export function checkAuthenticity(stanzas: AuthenticityStanzas, report: Report): void {
  const { spf, opendkim, openarc, dmarc } = authenticitySettings(stanzas)
  const validates = opendkim.some(({ validate }) => validate)
  if (dmarc?.validate === true && spf === undefined && !validates) {
    report.error('dmarc judges by SPF and DKIM: write spf_v1 { }, or opendkim { validate = true }', dmarc.at)
  }
  if (openarc !== undefined && !openarc.validate) {
    report.warning('openarc does nothing without validate = true: sealing is not implemented', openarc.at)
  }
  for (const { at, domains, validate } of opendkim) {
    if (domains.length === 0 && !validate) {
      report.warning('opendkim signs for the domains of its dkim_domain stanzas, and it has none', at)
    }
    for (const domain of domains) {
      if (domain.key === undefined) report.error('dkim_domain needs a key, here or in opendkim', domain.at)
      if (domain.selector === undefined)
        report.error('dkim_domain needs a selector, here or in opendkim', domain.at)
      if (domain.sign_condition === 'none') {
        const text = 'sign_condition = "none" signs whatever comes in this domain’s name, from anybody'
        report.warning(text, domain.origin('sign_condition'))
      }
      if (domain.skip_headerlist.includes('from')) {
        report.error('a signature covers From: it cannot be skipped', domain.origin('skip_headerlist'))
      }
    }
  }
}
