/**
 * Whether every certificate of some kind that fits one partner fits another one too, as far as what is written tells.
 *
 * Two partners told apart by alternative names may still meet in a certificate that has both names; only the certificate
 * can show that, and then it is nobody's. But where all that one partner asks for is asked for by the other as well, with
 * a value in common, both mean the same certificates.
 */

import { createHash, type X509Certificate } from 'node:crypto'
import type { PartnerSettings } from '../../config/settings-partner.ts'
import type { PartnerRule } from './partners.ts'

export function overlaps(a: PartnerRule, b: PartnerRule): boolean {
  return sameTime(a.settings, b.settings) && (asksNoMore(a, b) || asksNoMore(b, a))
}

/** Whether there is a time at which both are known. */
export function sameTime(a: PartnerSettings, b: PartnerSettings): boolean {
  const from = Math.max(a.valid_from ?? -Infinity, b.valid_from ?? -Infinity)
  return from < Math.min(a.valid_until ?? Infinity, b.valid_until ?? Infinity)
}

/** Whatever `a` states `b` states too, and a value of `b`'s satisfies it. */
function asksNoMore(a: PartnerRule, b: PartnerRule): boolean {
  const stated = statements(b)
  return [...statements(a)].every(([what, values]) => {
    const others = stated.get(what)
    return others !== undefined && [...values].some((value) => others.has(value))
  })
}

function statements({ names, issuers, pins }: PartnerRule): ReadonlyMap<string, ReadonlySet<string>> {
  return new Map<string, ReadonlySet<string>>([
    ...names.map(({ option, values }) => [option, values] as const),
    ...(issuers === undefined ? [] : [['issuers', new Set(issuers.map(keyOf))] as const]),
    ...[...Map.groupBy(pins, ({ option }) => option)].map(
      ([option, all]) => [option, new Set(all.map(({ digest }) => digest))] as const,
    ),
  ])
}

/** A CA whose certificate was made anew is the same CA: name and key say so. */
function keyOf(ca: X509Certificate): string {
  try {
    const key = ca.publicKey.export({ type: 'spki', format: 'der' })
    return `${ca.subject}\0${createHash('sha256').update(key).digest('hex')}`
  } catch {
    // a key that cannot be read is only like itself
    return ca.fingerprint256
  }
}
