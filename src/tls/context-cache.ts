/**
 * Secure contexts by digest of everything that went into them, the least recently used forgotten first.
 *
 * Node puts its own copy of CAs and revocation lists into each context, so what the cache may hold is counted in memory
 * and not in contexts. A context that was forgotten stays alive in its connections and is made again when needed; its
 * tickets stay good, since their keys are derived.
 */

import type { SecureContext } from 'node:tls'

/** octets, estimated */
const DEFAULT_BUDGET = 128 * 1024 * 1024

interface Entry {
  readonly context: SecureContext
  readonly weight: number
}

export class ContextCache {
  readonly #entries = new Map<string, Entry>()
  readonly #budget: number
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
   */
  get(digest: string, weight: number, make: () => SecureContext): SecureContext {
    const found = this.#entries.get(digest)
    if (found !== undefined) {
      this.#entries.delete(digest)
      this.#entries.set(digest, found)
      return found.context
    }
    const context = make()
    this.#entries.set(digest, { context, weight })
    this.#weight += weight
    for (const [key, entry] of this.#entries) {
      if (this.#weight <= this.#budget || key === digest) break
      this.#entries.delete(key)
      this.#weight -= entry.weight
    }
    return context
  }
}

/** Handshakes under way, by client address. */
export class HandshakeSlots {
  readonly #underWay = new Map<string, number>()

  /** Takes a slot; false when the address has as many as it may. @param limit 0 = no limit */
  take(address: string, limit: number): boolean {
    const count = this.#underWay.get(address) ?? 0
    if (limit > 0 && count >= limit) return false
    this.#underWay.set(address, count + 1)
    return true
  }

  release(address: string): void {
    const count = (this.#underWay.get(address) ?? 0) - 1
    if (count > 0) this.#underWay.set(address, count)
    else this.#underWay.delete(address)
  }
}
