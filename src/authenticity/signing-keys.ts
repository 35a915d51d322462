/**
 * The keys of the dkim_domain stanzas, read once for each configuration, and what is wrong with them. A key that cannot
 * be used is an error, so no mail ever leaves unsigned because of one: the configuration is not taken.
 */

import type { KeyObject } from 'node:crypto'
import { stat } from 'node:fs/promises'
import type { Diagnostic, Position } from '../config/diagnostic.ts'
import type { AuthenticitySettings, DkimDomainSettings } from '../config/settings-authenticity.ts'
import { loadKey } from '../tls/material.ts'
import { PemError } from '../tls/pem.ts'
import type { SigningKey } from './sign.ts'

/** A key, and when it signs. */
export interface ConditionalKey extends SigningKey {
  /** the key of a context without which it does not; undefined: it always does */
  readonly condition: string | undefined
}

/** By the author's domain, in lower case. */
export type SigningKeys = ReadonlyMap<string, readonly ConditionalKey[]>

/** RFC 8301 §3.2 */
const MIN_BITS = 1024
const GOOD_BITS = 2048

export async function loadSigningKeys({
  opendkim,
}: AuthenticitySettings): Promise<{ keys: SigningKeys; diagnostics: readonly Diagnostic[] }> {
  const keys = new Map<string, ConditionalKey[]>()
  const diagnostics: Diagnostic[] = []
  for (const domain of opendkim.flatMap(({ domains }) => domains)) {
    const key = await keyOf(domain, diagnostics)
    if (key === undefined) continue
    const all = keys.get(domain.domain) ?? []
    if (all.some((each) => each.domain === key.domain && each.selector === key.selector)) {
      const message = `mail of ${domain.domain} is signed twice with the selector ${key.selector}`
      diagnostics.push({ severity: 'error', message, at: domain.origin('selector') })
    }
    keys.set(domain.domain, [...all, key])
  }
  return { keys, diagnostics }
}

async function keyOf(settings: DkimDomainSettings, found: Diagnostic[]): Promise<ConditionalKey | undefined> {
  const { key: file, selector } = settings
  if (file === undefined || selector === undefined) return undefined
  const domain = settings.base_domain ?? settings.domain
  const at = settings.origin('key')
  const path = file.path.replaceAll('%{d}', domain).replaceAll('%{s}', selector)
  const shown = file.text.replaceAll('%{d}', domain).replaceAll('%{s}', selector)
  let key: KeyObject
  try {
    key = await loadKey(path)
    if (((await stat(path)).mode & 0o007) !== 0) {
      found.push({ severity: 'warning', message: `the signing key ${shown} can be read by everybody`, at })
    }
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    found.push({ severity: 'error', message: `the signing key ${shown}: ${error.message}`, at })
    return undefined
  }
  found.push(...checkKind(key, settings, shown))
  if (domain !== settings.domain && !settings.domain.endsWith(`.${domain}`)) {
    const message = `${settings.domain} does not lie in ${domain}: such a signature says nothing of the author`
    found.push({ severity: 'warning', message, at: settings.origin('base_domain') })
  }
  return {
    domain,
    selector,
    key,
    headerCanon: settings.header_canon,
    bodyCanon: settings.body_canon,
    headers: fields(['from', ...settings.headerlist], settings),
    oversigned: fields(settings.oversign_headerlist, settings),
    lifetime: settings.lifetime * 3600,
    condition: settings.sign_condition === 'none' ? undefined : settings.sign_condition,
  }
}

function fields(
  names: readonly string[],
  { skip_headerlist: skipped }: DkimDomainSettings,
): readonly string[] {
  return [...new Set(names)].filter((name) => !skipped.includes(name))
}

function checkKind(key: KeyObject, settings: DkimDomainSettings, shown: string): Diagnostic[] {
  const at: Position = settings.origin('key')
  const error = (message: string): Diagnostic[] => [{ severity: 'error', message, at }]
  const problem = kindProblem(key, settings.digest)
  if (problem !== undefined) return error(`the signing key ${shown} ${problem}`)
  const bits = bitsOf(key)
  if (bits >= GOOD_BITS) return []
  const message = `the signing key ${shown} has ${bits} bits: RFC 8301 asks for ${GOOD_BITS}`
  return [{ severity: 'warning', message, at }]
}

/** Why verifiers would not take what a key signs with this digest, as the rest of a sentence about it. */
export function kindProblem(key: KeyObject, digest: string | undefined): string | undefined {
  const type = key.asymmetricKeyType
  if (type !== 'rsa' && type !== 'ed25519') return 'is neither RSA nor Ed25519 (RFC 8301, RFC 8463)'
  const fitting = type === 'rsa' ? 'rsa-sha256' : 'ed25519-sha256'
  if (digest !== undefined && digest !== fitting) return `makes ${fitting} signatures, not ${digest}`
  const bits = bitsOf(key)
  return bits < MIN_BITS ? `has ${bits} bits: nobody accepts less than ${MIN_BITS}` : undefined
}

function bitsOf(key: KeyObject): number {
  return key.asymmetricKeyDetails?.modulusLength ?? GOOD_BITS
}
