/**
 * Names → addresses by asking the DNS alone: A and AAAA. `localhost` is this machine without asking (RFC 6761 §6.3).
 */

import { type HostAddress, LookupError, type Resolver } from './resolver.ts'
import { DnsError, type DnsResolver } from './stub-resolver.ts'

export class DnsHosts implements Resolver {
  readonly #dns: DnsResolver

  constructor(dns: DnsResolver) {
    this.#dns = dns
  }

  /** One family's addresses are enough when the question for the other one is not answered. */
  async lookupHost(name: string, signal: AbortSignal): Promise<readonly HostAddress[]> {
    signal.throwIfAborted()
    if (/^(?:.*\.)?localhost\.?$/i.test(name)) return LOOPBACK
    const both = await Promise.allSettled([
      this.#dns.lookup(name, 'A', { signal }),
      this.#dns.lookup(name, 'AAAA', { signal }),
    ])
    signal.throwIfAborted()
    const [v4, v6] = both.map((each) => (each.status === 'fulfilled' ? each.value.records : []))
    const found: readonly HostAddress[] = [
      ...(v4 ?? []).map((address): HostAddress => ({ address, family: 4 })),
      ...(v6 ?? []).map((address): HostAddress => ({ address, family: 6 })),
    ]
    if (found.length > 0) return found
    for (const each of both) {
      if (each.status === 'fulfilled') continue
      const cause: unknown = each.reason
      if (cause instanceof DnsError) throw new LookupError('temporary', name, { cause })
      throw cause
    }
    throw new LookupError('not-found', name)
  }
}

const LOOPBACK: readonly HostAddress[] = [
  { address: '127.0.0.1', family: 4 },
  { address: '::1', family: 6 },
]
