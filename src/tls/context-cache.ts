/**
 * Secure contexts by digest of everything that went into them, the least recently used forgotten first.
 *
 * Node puts its own copy of CAs and revocation lists into each context, so what the cache may hold is counted in memory
 * and not in contexts. A context that was forgotten stays alive in its connections and is made again when needed; its
 * tickets stay good, since their keys are derived.
 */

import type { SecureContext, TLSSocket } from 'node:tls'
import { type LimitCounts, LocalCounts } from '../config/limit-counts.ts'

/** octets, estimated */
const DEFAULT_BUDGET = 128 * 1024 * 1024

/** What is told of a context. */
export interface ContextFacts {
  /** milliseconds since the epoch */
  readonly made: number
  /** the server's: RFC 4514, escaped */
  readonly certificate: string
  /** milliseconds since the epoch */
  readonly notAfter: number
  /** paths */
  readonly clientCa: string | undefined
  readonly crl: string | undefined
  /** undefined: the default */
  readonly ciphers: string | undefined
}

interface Entry {
  readonly context: SecureContext
  readonly facts: ContextFacts | undefined
  readonly weight: number
}

/** Octets of a context, and of what OpenSSL keeps for each octet of DER; estimated. */
export function contextWeight(der: number): number {
  return 48 * 1024 + 6 * der
}

export class ContextCache {
  readonly #entries = new Map<string, Entry>()
  readonly #budget: number
  /** sessions under way, by the context that they began with */
  readonly #sessions = new WeakMap<SecureContext, number>()
  #weight = 0

  constructor(budget = DEFAULT_BUDGET) {
    this.#budget = budget
  }

  get size(): number {
    return this.#entries.size
  }

  /**
   * @param weight estimated octets of the context
   * @param make makes the context when there is none; what it throws comes out
   * @param tell what `list` says of it
   */
  // oxlint-disable-next-line max-params -- which, how much, from what, and what it is
  get(digest: string, weight: number, make: () => SecureContext, tell?: () => ContextFacts): SecureContext {
    const found = this.#entries.get(digest)
    if (found !== undefined) {
      this.#entries.delete(digest)
      this.#entries.set(digest, found)
      return found.context
    }
    const context = make()
    this.#entries.set(digest, { context, weight, facts: tell?.() })
    this.#weight += weight
    for (const [key, entry] of this.#entries) {
      if (this.#weight <= this.#budget || key === digest) break
      this.#entries.delete(key)
      this.#weight -= entry.weight
    }
    return context
  }

  /** What is kept, the least recently used first. */
  list(): (ContextFacts & { readonly sessions: number })[] {
    return [...this.#entries.values()].flatMap(({ context, facts }) =>
      facts === undefined ? [] : [{ ...facts, sessions: this.#sessions.get(context) ?? 0 }],
    )
  }

  /** Forgets everything: the next handshakes make their contexts anew. */
  clear(): void {
    this.#entries.clear()
    this.#weight = 0
  }

  /** Counts a session with its context until its socket closes. */
  hold(context: SecureContext, socket: TLSSocket): void {
    this.#count(context, 1)
    socket.on('close', () => this.#count(context, -1))
  }

  #count(context: SecureContext, change: 1 | -1): void {
    this.#sessions.set(context, (this.#sessions.get(context) ?? 0) + change)
  }
}

/** Handshakes under way, by client address. */
export class HandshakeSlots {
  readonly #counts: LimitCounts

  constructor(counts: LimitCounts = new LocalCounts()) {
    this.#counts = counts
  }

  /** Takes a slot; false when the address has as many as it may. @param limit 0 = no limit */
  take(address: string, limit: number): boolean {
    return this.#counts.take([{ counter: counterOf(address), limit }])
  }

  release(address: string): void {
    this.#counts.give([counterOf(address)])
  }
}

function counterOf(address: string): string {
  return `handshake ${address}`
}
