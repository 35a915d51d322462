/**
 * What TLS has to be with one host: what the options say, or what DANE or MTA-STS make of it (RFC 7672, RFC 8461 §5;
 * Momentum: config/ref-tls, modules/dane, mta-sts).
 *
 * DANE, where it applies, decides alone. Otherwise a policy in mode `enforce` asks for TLS with the host that it names and
 * that the MX records name; one in mode `testing` looks and tells, and never keeps mail back. Nothing makes a demand
 * weaker than the options have it, except that DANE verifies by other means.
 */

import { createHash } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import type { OutboundValues } from '../../config/settings.ts'
import type { TlsPolicyFacts, TlsResultType } from '../../events/outbound-tls.ts'
import type { Host } from '../mx.ts'
import type { DaneFinding } from './dane.ts'
import type { HostEvidence, SecuredHost, Verification } from './host-verdict.ts'
import type { Roots, SessionContext } from './material.ts'
import { allowsHost, policyLines, type StsPolicy } from './sts-policy.ts'
import { tlsaText } from './tlsa.ts'

/** How one attempt at TLS went, for the report that the domain's policy asks for. */
export interface TlsResult {
  readonly failure: TlsResultType | undefined
  readonly reason: string
  readonly sendingIp: string
}

/** TLS is to be had. */
export interface TlsPlan {
  readonly use: 'ifavailable' | 'required'
  /** with `ifavailable`: mail goes in clear where TLS fails */
  readonly fallback: boolean
  readonly fallbackOnNewConnection: boolean
  readonly verify: Verification
  /** a host that does not verify gets nothing */
  readonly insist: boolean
  readonly secureContext: SecureContext
  /** everything that a session's security rests on */
  readonly key: string
  readonly tell: (result: TlsResult) => void
  /** what policy makes of a host that was judged: never more than it was. Absent: policy is not asked */
  readonly judge?: (evidence: HostEvidence, peer: SecuredHost) => Promise<SecuredHost>
}

export type TlsDemand = Pick<TlsPlan, 'use' | 'fallback' | 'verify' | 'insist'> & { readonly roots: Roots }

/** What the DNS and the domain say. */
export interface Published {
  readonly dane: DaneFinding
  readonly sts: StsPolicy | undefined
}

export type Decision =
  | { readonly kind: 'clear' }
  | {
      readonly kind: 'tls'
      readonly demand: TlsDemand
      readonly policy: TlsPolicyFacts | undefined
      readonly flaw?: TlsResultType
    }
  /** this host gets nothing */
  | {
      readonly kind: 'skip'
      readonly text: string
      readonly policy: TlsPolicyFacts | undefined
      readonly flaw: TlsResultType
    }

export function decide(host: Host, options: OutboundValues, { dane, sts }: Published): Decision {
  if (dane.kind === 'failed') {
    const text = `451 4.7.5 [internal] The TLSA records of ${host.name} could not be looked up`
    return { kind: 'skip', text, policy: tlsaPolicy(host, []), flaw: 'dnssec-invalid' }
  }
  if (dane.kind === 'usable') {
    const { records, base, names } = dane
    const verify: Verification = { kind: 'dane', records, base, names }
    const demand: TlsDemand = { use: 'required', fallback: false, verify, insist: true, roots: 'none' }
    return { kind: 'tls', demand, policy: tlsaPolicy(host, records.map(tlsaText)) }
  }
  const decision = bySts(host, options, sts)
  if (dane.kind === 'none' || decision.kind === 'skip') return decision
  const demand = decision.kind === 'tls' ? decision.demand : configured(host, options)
  const policy = decision.kind === 'tls' ? decision.policy : undefined
  const flaw = policy === undefined ? ({ flaw: 'tlsa-invalid' } as const) : {}
  return {
    kind: 'tls',
    demand: { ...demand, use: 'required', fallback: false },
    policy: policy ?? tlsaPolicy(host, []),
    ...flaw,
  }
}

function bySts(host: Host, options: OutboundValues, sts: StsPolicy | undefined): Decision {
  const own = configured(host, options)
  const asConfigured: Decision =
    options.tls === 'no' ? { kind: 'clear' } : { kind: 'tls', demand: own, policy: undefined }
  if (sts === undefined || sts.mode === 'none' || host.mx === undefined) return asConfigured
  const policy: TlsPolicyFacts = {
    type: 'sts',
    domain: host.mx.domain,
    strings: policyLines(sts),
    mxHosts: sts.mx,
  }
  const named = allowsHost(sts, host.name)
  // RFC 8461 §4.1: the name of the MX host, and no CN
  const verify: Verification = { kind: 'name', by: 'sts', names: [host.name], commonName: false }
  if (sts.mode === 'enforce') {
    if (named)
      return {
        kind: 'tls',
        demand: { use: 'required', fallback: false, verify, insist: true, roots: 'web' },
        policy,
      }
    const text = `451 4.7.5 [internal] ${host.name} is not among the hosts of the MTA-STS policy of ${host.mx.domain}`
    return { kind: 'skip', text, policy, flaw: 'validation-failure' }
  }
  const flaw = named ? {} : ({ flaw: 'validation-failure' } as const)
  // what the operator asks for by himself stays
  if (own.insist) return options.tls === 'no' ? asConfigured : { kind: 'tls', demand: own, policy, ...flaw }
  const use = options.tls === 'required' ? 'required' : 'ifavailable'
  const fallback = options.tls === 'no' || own.fallback
  return { kind: 'tls', demand: { use, fallback, verify, insist: false, roots: 'web' }, policy, ...flaw }
}

/** What the options say; `no` as if it were `ifavailable`, for those who need TLS nevertheless. */
function configured(host: Host, options: OutboundValues): TlsDemand {
  const { tls, tls_ifavailable_fallback: fallback, tls_verify: asked } = options
  const use = tls === 'required' ? 'required' : 'ifavailable'
  const base = { use, fallback: use === 'ifavailable' && fallback } as const
  if (asked === 'no') return { ...base, verify: { kind: 'none' }, insist: false, roots: 'none' }
  if (asked === 'ca') return { ...base, verify: { kind: 'ca' }, insist: true, roots: 'configured' }
  // Momentum: config/tls-verify: the domain or the MX host
  const names = host.mx === undefined ? [host.name] : [host.name, host.mx.domain]
  const verify: Verification = { kind: 'name', by: 'host', names, commonName: true }
  return { ...base, verify, insist: asked === 'host', roots: 'configured' }
}

function tlsaPolicy(host: Host, strings: readonly string[]): TlsPolicyFacts {
  return { type: 'tlsa', domain: host.mx?.domain ?? host.name, strings, mxHosts: [host.name] }
}

/** Two sessions whose keys are equal may stand in for each other. */
export function planKey(host: Host, demand: TlsDemand, { digest }: SessionContext): string {
  const { use, fallback, verify, insist } = demand
  const asked = verify.kind === 'dane' ? [verify.records.map(tlsaText), verify.base, verify.names] : verify
  const parts = JSON.stringify([host.name, use, fallback, insist, asked, digest])
  // records may be long
  return createHash('sha256').update(parts).digest('hex')
}
