/**
 * Makes the plan for TLS with a host: asks DNS and policies where the options want it, and loads what it takes.
 * What the options name and cannot be loaded keeps mail back; nothing is ever put in its place.
 */

import type { OutboundValues } from '../../config/settings.ts'
import type { DnsResolver } from '../../dns/stub-resolver.ts'
import type { EventSink } from '../../events/events.ts'
import type { TlsPolicyFacts } from '../../events/outbound-tls.ts'
import { PemError } from '../../tls/pem.ts'
import type { Host } from '../mx.ts'
import { type DaneFinding, findTlsa, usesDane } from './dane.ts'
import type { HostWord } from './host-word.ts'
import type { SessionMaterial } from './material.ts'
import type { StsPolicies } from './sts-policies.ts'
import { decide, planKey, type TlsDemand, type TlsPlan, type TlsResult } from './tls-plan.ts'

export interface TlsPlannerOptions {
  readonly dns: DnsResolver
  readonly material: SessionMaterial
  readonly policies: Pick<StsPolicies, 'find' | 'close'>
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** what scripts have to say about hosts; nobody is asked unless given */
  readonly word?: HostWord
  /** seconds that TLSA records may be old */
  readonly tlsaMaxAge: number
}

export type PlannedTls =
  | { readonly kind: 'clear' }
  | { readonly kind: 'tls'; readonly plan: TlsPlan }
  /** this host gets nothing, for this reason: a reply of our own */
  | { readonly kind: 'skip'; readonly text: string }

const NO_DANE: DaneFinding = { kind: 'none' }

export class TlsPlanner {
  readonly #options: TlsPlannerOptions

  constructor(options: TlsPlannerOptions) {
    this.#options = options
  }

  /** @throws the signal's reason */
  async plan(host: Host, options: OutboundValues, signal: AbortSignal): Promise<PlannedTls> {
    const { dns, policies, material, tlsaMaxAge: maxAge } = this.#options
    const useSts = options.use_mta_sts && (options.enable_mta_sts ?? true)
    const dane = usesDane(options) ? await findTlsa(dns, { host, maxAge, signal }) : NO_DANE
    const wantsSts = useSts && host.mx !== undefined && dane.kind !== 'usable' && dane.kind !== 'failed'
    const sts = wantsSts ? await policies.find(host.mx.domain, signal) : undefined
    const decision = decide(host, options, { dane, sts })
    if (decision.kind === 'clear') return decision
    const { policy, flaw } = decision
    const tell = (result: TlsResult): void => this.#tell(host, policy, result)
    if (decision.kind === 'skip') {
      tell({ failure: decision.flaw, reason: decision.text, sendingIp: '' })
      return decision
    }
    const { demand } = decision
    try {
      const context = await material.context(options, demand.roots)
      const plan: TlsPlan = {
        ...demand,
        fallbackOnNewConnection: options.tls_fallback_always_new_connection,
        secureContext: context.secureContext,
        key: planKey(host, demand, context),
        ...this.#judge(host, demand),
        tell: (result) =>
          tell(result.failure === undefined && flaw !== undefined ? { ...result, failure: flaw } : result),
      }
      return { kind: 'tls', plan }
    } catch (error) {
      if (!(error instanceof PemError)) throw error
      return {
        kind: 'skip',
        text: `451 4.7.5 [internal] A file of TLS with the next hop cannot be used: ${error.message}`,
      }
    }
  }

  /** Nobody has a word where nothing is verified. */
  #judge(host: Host, { verify }: TlsDemand): Pick<TlsPlan, 'judge'> {
    const { word } = this.#options
    if (word === undefined || verify.kind === 'none') return {}
    return { judge: async (evidence, peer) => await word.judge(host, evidence, peer) }
  }

  close(): void {
    this.#options.policies.close()
  }

  #tell(host: Host, policy: TlsPolicyFacts | undefined, { failure, reason, sendingIp }: TlsResult): void {
    if (policy === undefined) return
    this.#options.events.emit({
      kind: 'tls-session',
      at: this.#options.clock(),
      policy,
      failure,
      reason,
      sendingIp,
      receivingHost: host.name,
      receivingIp: host.address,
    })
  }
}
