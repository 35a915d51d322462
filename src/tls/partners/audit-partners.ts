/**
 * What `postern check` has to say about partners: all that loading finds, and what will shut one out soon, or lets
 * others in. Each finding once, at the option that causes it.
 */

import type { Diagnostic } from '../../config/diagnostic.ts'
import { displayName } from '../../config/known-names.ts'
import { selectors } from '../../config/options-partner.ts'
import { quote } from '../../config/render.ts'
import type { Settings } from '../../config/settings.ts'
import { validityRemark } from '../audit.ts'
import { loadClientCas } from '../material.ts'
import { PemError } from '../pem.ts'
import { diagnostic, type LoadedPartner, loadPartners } from './load-partners.ts'
import { fits } from './partners.ts'

const DAY = 86_400_000

/** Milliseconds: since the epoch, and before an end in which it is reported (TLS_Expiry_Warning). */
interface When {
  readonly now: number
  readonly soon: number
}

/**
 * @param now milliseconds since the epoch
 * @returns errors for what cannot be loaded, warnings for the rest
 */
export async function auditPartners(settings: Settings, now: number): Promise<Diagnostic[]> {
  const { loaded, diagnostics } = await loadPartners(settings)
  const cas = loaded.length === 0 ? 0 : await countOfCas(settings)
  const when = { now, soon: (settings.global.tls_expiry_warning[0] ?? 0) * DAY }
  return [
    ...diagnostics,
    ...unreachable(loaded, cas),
    ...loaded.flatMap((partner) => [
      ...ends(partner, when),
      ...pinRemarks(partner, when),
      ...looseNames(partner, cas),
    ]),
  ]
}

function ends({ rule: { settings } }: LoadedPartner, { now, soon }: When): Diagnostic[] {
  const { name, valid_until: until } = settings
  if (until === undefined || until - now >= soon) return []
  const when = until <= now ? 'is over since' : 'ends on'
  return [
    warning(
      `Partner ${quote(name)} ${when} ${new Date(until - 1).toISOString().slice(0, 10)}`,
      settings,
      'valid_until',
    ),
  ]
}

function pinRemarks({ rule, pinned }: LoadedPartner, { now, soon }: When): Diagnostic[] {
  const { settings } = rule
  const found: Diagnostic[] = []
  for (const option of ['spki_pin', 'certificate_pin'] as const) {
    if (settings[option].length === 1) {
      const what = option === 'spki_pin' ? 'key' : 'certificate'
      found.push(
        warning(
          `${displayName(option)} has no successor: when the ${what} of Partner ${quote(settings.name)} changes it is shut out; a second pin may be there beforehand`,
          settings,
          option,
        ),
      )
    }
  }
  for (const { option, file, facts, certificate } of pinned) {
    const about = `${displayName(option)} ${quote(file.text)}: the certificate`
    const remark = validityRemark(facts, now, soon)
    if (remark !== undefined) found.push(warning(`${about} ${remark}`, settings, option))
    const unfit = selectors.filter((each) => !fitsOne(rule, each, { facts, certificate }))
    if (unfit.length > 0) {
      const message = `${about} does not fit ${unfit.map(displayName).join(', ')} of the same partner`
      found.push(warning(message, settings, option))
    }
  }
  return found
}

/** Pins aside: the other pin of a pair is another certificate's. */
function fitsOne(
  rule: LoadedPartner['rule'],
  selector: (typeof selectors)[number],
  { facts, certificate }: Pick<LoadedPartner['pinned'][number], 'facts' | 'certificate'>,
): boolean {
  const names = rule.names.filter(({ option }) => option === selector)
  const issuers = selector === 'issuer_certificate' ? rule.issuers : undefined
  return fits({ ...rule, names, issuers, pins: [] }, facts, certificate)
}

/** Without a CA no certificate verifies, and only a verified one is a partner's. */
function unreachable(loaded: readonly LoadedPartner[], cas: number): Diagnostic[] {
  const [first] = loaded
  if (first === undefined || cas > 0) return []
  const message = 'there is no TLS_Client_CA in any scope: no certificate verifies, so nobody is a partner'
  return [{ severity: 'warning', message, at: first.rule.settings.at }]
}

/** Every CA that is trusted can put any name into a certificate. */
function looseNames({ rule: { settings, issuers, pins } }: LoadedPartner, cas: number): Diagnostic[] {
  if (cas < 2 || issuers !== undefined || pins.length > 0) return []
  const message = `Partner ${quote(settings.name)} is known by names alone, and each of the ${cas} CAs of TLS_Client_CA can issue a certificate with them; Issuer_Certificate or a pin ties it to one`
  return [{ severity: 'warning', message, at: settings.at }]
}

/** Over all scopes. A file that cannot be read is told of elsewhere. */
async function countOfCas(settings: Settings): Promise<number> {
  const paths = [...settings.inboundScopes()].flatMap(({ scope }) => scope.options.tls_client_ca?.path ?? [])
  const digests = new Set<string>()
  for (const path of new Set(paths)) {
    try {
      for (const digest of (await loadClientCas(path)).digests) digests.add(digest)
    } catch (error) {
      if (!(error instanceof PemError)) throw error
    }
  }
  return digests.size
}

function warning(
  message: string,
  settings: LoadedPartner['rule']['settings'],
  option: Parameters<typeof settings.origin>[0],
): Diagnostic {
  return diagnostic('warning', message, settings.origin(option))
}
