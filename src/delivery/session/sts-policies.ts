/**
 * The MTA-STS policy of a domain: discovered, fetched, kept, refreshed (RFC 8461 §3, §5; Momentum: mta-sts).
 *
 * A policy that is known and has not expired holds, whatever becomes of attempts to look for a newer one: that is what
 * keeps an attacker from taking it away. Every delivery asks for the TXT record (the DNS keeps the answer); another id
 * fetches the policy anew, and so does a day's age, in the background. Without a policy, a fetch that fails is told and
 * not repeated for some minutes.
 */

import { isDnsName } from '../../dns/message.ts'
import { DnsError, type DnsResolver } from '../../dns/stub-resolver.ts'
import { fetchStsPolicy, StsFetchError, type StsFetcherOptions } from './sts-fetch.ts'
import { isExpired, parseStsRecord, type StsPolicy } from './sts-policy.ts'
import type { StsStore } from './sts-store.ts'

export interface StsPoliciesOptions {
  readonly dns: DnsResolver
  readonly store: StsStore
  readonly fetcher: StsFetcherOptions
  /** Mta_Sts_Dns_Cname_Max_Depth for a domain: with more aliases its TXT record counts for nothing */
  readonly maxAliases: (domain: string) => number
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** told of a domain that has a policy which could not be had, once for each attempt to fetch it */
  readonly onFailure: (domain: string, error: StsFetchError) => void
}

const REFRESH_MS = 86_400_000
const RETRY_MS = 300_000
const MAX_KEPT = 10_000
const MAX_LISTED = 5000

export class StsPolicies {
  readonly #options: StsPoliciesOptions
  readonly #known = new Map<string, StsPolicy>()
  /** one fetch for all that wait for it */
  readonly #open = new Map<string, Promise<StsPolicy | undefined>>()
  /** when a fetch failed, by domain and id */
  readonly #failed = new Map<string, number>()
  readonly #closing = new AbortController()

  constructor(options: StsPoliciesOptions) {
    this.#options = options
  }

  /** The policy in force; undefined where there is none. @param name in lower case @throws the signal's reason */
  async find(name: string, signal: AbortSignal): Promise<StsPolicy | undefined> {
    const { clock } = this.#options
    // `_mta-sts.` stands before it
    if (!isDnsName(`_mta-sts.${name}`)) return undefined
    const known = await this.#recall(name)
    const id = await this.#discover(name, signal)
    if (known !== undefined && (id === undefined || id === known.id)) {
      if (id !== undefined && clock() - known.fetchedAt >= REFRESH_MS) void this.#fetch(name, id)
      return known
    }
    if (id === undefined) return undefined
    const fetched = await orAborted(this.#fetch(name, id), signal)
    return fetched ?? known
  }

  /** What is known, by domain; at most some thousand. Nobody is asked. */
  async list(): Promise<readonly (StsPolicy & { readonly domain: string })[]> {
    const domains = new Set([...this.#known.keys(), ...(await this.#options.store.domains())])
    const all = await Promise.all(
      [...domains].slice(0, MAX_LISTED).map(async (domain) => ({ domain, policy: await this.known(domain) })),
    )
    return all.flatMap(({ domain, policy }) => (policy === undefined ? [] : [{ domain, ...policy }]))
  }

  /** The policy of a domain, if one is known. Nobody is asked. */
  async known(name: string): Promise<StsPolicy | undefined> {
    return isDnsName(`_mta-sts.${name}`) ? await this.#recall(name) : undefined
  }

  /** Fetches it anew, whatever its age. @returns the policy in force then @throws the signal's reason */
  async refresh(name: string, signal: AbortSignal): Promise<StsPolicy | undefined> {
    if (!isDnsName(`_mta-sts.${name}`)) return undefined
    const id = await this.#discover(name, signal)
    if (id === undefined) return await this.#recall(name)
    this.#failed.delete(`${name} ${id}`)
    return (await orAborted(this.#fetch(name, id), signal)) ?? (await this.#recall(name))
  }

  /** Forgets the policy of a domain, or all. @returns how many there were */
  async forget(name: string | undefined): Promise<number> {
    const domains =
      name === undefined ? new Set([...this.#known.keys(), ...(await this.#options.store.domains())]) : [name]
    let count = 0
    for (const domain of domains) {
      if (!isDnsName(domain)) continue
      const inMemory = this.#known.delete(domain)
      if ((await this.#options.store.remove(domain)) || inMemory) count += 1
    }
    this.#failed.clear()
    return count
  }

  /** Ends what is under way. */
  close(): void {
    this.#closing.abort(new Error('closed'))
  }

  async #recall(name: string): Promise<StsPolicy | undefined> {
    const kept = this.#known.get(name)
    if (kept !== undefined && !isExpired(kept, this.#options.clock())) return kept
    this.#known.delete(name)
    const stored = await this.#options.store.read(name)
    if (stored !== undefined) bounded(this.#known, name, stored)
    return stored
  }

  /** undefined also where nobody answers, or too many aliases lead there */
  async #discover(name: string, signal: AbortSignal): Promise<string | undefined> {
    try {
      const { dns, maxAliases } = this.#options
      const { records, aliases = 0 } = await dns.lookup(`_mta-sts.${name}`, 'TXT', { signal })
      return aliases > maxAliases(name) ? undefined : parseStsRecord(records)
    } catch (error) {
      if (error instanceof DnsError) return undefined
      throw error
    }
  }

  /** undefined: it cannot be had. Never rejects. */
  async #fetch(name: string, id: string): Promise<StsPolicy | undefined> {
    const key = `${name} ${id}`
    const failedAt = this.#failed.get(key)
    const age = this.#options.clock() - (failedAt ?? Number.NEGATIVE_INFINITY)
    if (age >= 0 && age < RETRY_MS) return undefined
    const open = this.#open.get(key) ?? this.#begin(name, id).finally(() => this.#open.delete(key))
    this.#open.set(key, open)
    return await open
  }

  async #begin(name: string, id: string): Promise<StsPolicy | undefined> {
    const { fetcher, clock, store, onFailure } = this.#options
    try {
      const text = await fetchStsPolicy(name, fetcher, this.#closing.signal)
      const policy: StsPolicy = { ...text, id, fetchedAt: clock() }
      bounded(this.#known, name, policy)
      await store.write(name, policy)
      return policy
    } catch (error) {
      bounded(this.#failed, `${name} ${id}`, clock())
      if (error instanceof StsFetchError) onFailure(name, error)
      return undefined
    }
  }
}

function bounded<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > MAX_KEPT && oldest !== undefined) map.delete(oldest)
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
