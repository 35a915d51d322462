/** An MTA-STS policy: what its text says, and whether a host is one of those that it names (RFC 8461 §3.2, §4.1). */

import { createRequire } from 'node:module'
import type * as MtaSts from 'mailauth/lib/mta-sts.js'

const require = createRequire(import.meta.url)

/** Read at the first policy: it takes a tenth of a second, and most processes meet none. */
const library = (): typeof MtaSts => require('mailauth/lib/mta-sts.js') as typeof MtaSts

export interface StsPolicy {
  /** of the TXT record under which it was fetched */
  readonly id: string
  readonly mode: 'enforce' | 'testing' | 'none'
  /** hosts, or `*.` and a domain; in lower case */
  readonly mx: readonly string[]
  /** seconds */
  readonly maxAge: number
  /** milliseconds since the epoch */
  readonly fetchedAt: number
}

/** What is read of a policy's text. */
export type StsPolicyText = Pick<StsPolicy, 'mode' | 'mx' | 'maxAge'>

const MODES: readonly string[] = ['enforce', 'testing', 'none'] satisfies readonly StsPolicy['mode'][]
/** patterns of one policy */
const MAX_MX = 200

/** Strictly by RFC 8461. @returns undefined for what is no policy */
export function parseStsPolicy(text: string): StsPolicyText | undefined {
  try {
    const { mode, mx, maxAge } = library().parsePolicy(text, { strict: true })
    if (typeof mode !== 'string' || !isMode(mode) || typeof maxAge !== 'number') return undefined
    const patterns = mx ?? []
    return patterns.length > MAX_MX ? undefined : { mode, mx: patterns, maxAge }
  } catch {
    return undefined
  }
}

/** The id in the records at `_mta-sts`; undefined where there is none, or more than one (RFC 8461 §3.1). */
export function parseStsRecord(records: readonly string[]): string | undefined {
  const [record, ...more] = records.filter((text) => /^v=STSv1[ \t]*;/.test(text))
  if (record === undefined || more.length > 0) return undefined
  const fields = record.split(';').map((field) => field.trim())
  const id = fields.find((field) => field.startsWith('id='))?.slice(3) ?? ''
  return /^[a-zA-Z0-9]{1,32}$/.test(id) ? id : undefined
}

export function isExpired({ fetchedAt, maxAge }: StsPolicy, now: number): boolean {
  // a clock that was set back does not make a policy last for ever
  return now >= fetchedAt + maxAge * 1000 || now < fetchedAt - CLOCK_SLACK
}

export function allowsHost({ mode, mx }: Pick<StsPolicy, 'mode' | 'mx'>, host: string): boolean {
  return library().validateMx(host, { mode, mx: [...mx] }).valid
}

/** As it stands in a report. */
export function policyLines({ mode, mx, maxAge }: StsPolicyText): string[] {
  return ['version: STSv1', `mode: ${mode}`, ...mx.map((each) => `mx: ${each}`), `max_age: ${maxAge}`]
}

export function isMode(text: string): text is StsPolicy['mode'] {
  return MODES.includes(text)
}

const CLOCK_SLACK = 86_400_000
