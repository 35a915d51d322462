/**
 * What becomes of each test of OpenSSL's recipe here, and why. One table: what is in none of its rows is run, and must end
 * as the recipe says.
 */

import type { Vector } from './recipe.ts'

/**
 * `run`: our verdict is the recipe's. `refused`: OpenSSL accepts only with an option that Postern never sets; ours must be a
 * refusal. `skipped`: not a question to Postern.
 */
export interface Treatment {
  readonly kind: 'run' | 'refused' | 'skipped'
  readonly reason: string
}

/** Arguments that an option takes, and what it means for the test. */
interface OptionRow {
  readonly values: number
  readonly treatment: Treatment
}

export const RUN: Treatment = { kind: 'run', reason: '' }

const skipped = (reason: string): Treatment => ({ kind: 'skipped', reason })

const OPTIONS: Readonly<Record<string, OptionRow>> = {
  // the scope's TLS_Ciphers say @SECLEVEL
  '-auth_level': { values: 1, treatment: RUN },
  // the scope's TLS_Verify_Depth
  '-verify_depth': { values: 1, treatment: RUN },
  // checks the signature of a root by itself: more than we ask, and the certificate is good
  '-check_ss_sig': { values: 0, treatment: RUN },
  '-partial_chain': {
    values: 0,
    treatment: {
      kind: 'refused',
      reason: 'a chain ends in a root of TLS_Client_CA, never at a certificate below it',
    },
  },
  '-allow_proxy_certs': {
    values: 0,
    treatment: { kind: 'refused', reason: 'proxy certificates (RFC 3820) are never accepted' },
  },
  '-vfyopt': {
    values: 1,
    treatment: { kind: 'refused', reason: 'SM2 needs an ID that TLS does not give' },
  },
  '-x509_strict': { values: 0, treatment: skipped("OpenSSL's strict mode is not to be had in Node") },
  '-attime': {
    values: 1,
    treatment: skipped('certificates are judged by the clock, which a test does not set'),
  },
  '-policy_check': { values: 0, treatment: skipped('Node does not ask OpenSSL for certificate policies') },
  '-policy': { values: 1, treatment: skipped('Node does not ask OpenSSL for certificate policies') },
  '-explicit_policy': { values: 0, treatment: skipped('Node does not ask OpenSSL for certificate policies') },
  '@prov': { values: 0, treatment: skipped("the same certificates once more, with OpenSSL's FIPS provider") },
}

const PURPOSES: Readonly<Record<string, Treatment>> = {
  '': RUN,
  sslclient: RUN,
  sslserver: RUN,
  timestampsign: skipped('no purpose of TLS'),
  codesign: skipped('no purpose of TLS'),
}

/** Tests that are no `verify(…)`, by a part of their text. */
const OTHERS: readonly (readonly [RegExp, string])[] = [
  [/"CA(?:file|store)/, 'how the tool finds its file of CAs'],
  [/'Mixed (?:cert \+ key|key \+ cert) file test'/, 'how the tool reads a file of several things'],
  [/"CVE-2026-28388"/, 'what OpenSSL says of delta CRLs (-use_deltas), which Node does not let it look at'],
]

/** A list in which a certificate must not be looked up. */
export interface ListVector {
  readonly name: string
  readonly ca: string
  readonly list: string
  readonly leaf: string
}

/** Files that the recipe names and the tarball does not have, and what is meant. */
export const MEANT: Readonly<Record<string, string>> = { 'pc6-cert': 'bad-pc6-cert' }

/** @throws Error for an option or purpose that this table does not know */
export function treatmentOf(vector: Vector): Treatment {
  const purpose = PURPOSES[vector.purpose]
  if (purpose === undefined) throw new Error(`unknown purpose ${vector.purpose} of "${vector.name}"`)
  const all = [purpose, ...[...optionsOf(vector).keys()].map((name) => OPTIONS[name]?.treatment ?? RUN)]
  const severity = (kind: Treatment['kind']): number => ['run', 'refused', 'skipped'].indexOf(kind)
  return all.toSorted((a, b) => severity(b.kind) - severity(a.kind))[0] ?? RUN
}

/** The options by name. @throws Error for one that this table does not know */
export function optionsOf(vector: Vector): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (let at = 0; at < vector.options.length; at += 1) {
    const name = vector.options[at] ?? ''
    const row = OPTIONS[name]
    if (row === undefined) throw new Error(`unknown option ${name} of "${vector.name}"`)
    if (row.values > 0) at += 1
    found.set(name, row.values > 0 ? (vector.options[at] ?? '') : '')
  }
  return found
}

/** The test as one of a revocation list, when it is one that must make OpenSSL refuse. */
export function listVector(statement: string): ListVector | undefined {
  const [ca, list, leaf] = [...statement.matchAll(/srctop_file\(@certspath,\s*"([^"]+)\.pem"\)/g)].map(
    ([, name = '']) => name,
  )
  const [, name] = /,\s*"([^"]*)"\s*$/.exec(statement) ?? []
  const refusal = /^\s*!run\(.*"-CAfile".*"-crl_check".*"-CRLfile"/s.test(statement)
  if (!refusal || !name || ca === undefined || list === undefined || leaf === undefined) return undefined
  return { name, ca, list, leaf }
}

/** @throws Error when this table does not know the test */
export function reasonToSkip(statement: string): string {
  const [, reason] = OTHERS.find(([pattern]) => pattern.test(statement)) ?? []
  if (reason === undefined) throw new Error(`unknown test of the recipe: ${statement}`)
  return reason
}
