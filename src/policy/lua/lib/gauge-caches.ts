/** Named caches of numbers by key; an entry is forgotten some time after it was last changed, the oldest first. */

import { BoundedMap } from './bounded-map.ts'

interface Gauge {
  readonly value: number
  /** milliseconds since the epoch */
  readonly changedAt: number
}

interface GaugeCache {
  readonly limit: number
  /** milliseconds */
  readonly life: number
  readonly gauges: BoundedMap<Gauge>
}

export class GaugeCaches {
  readonly #caches = new Map<string, GaugeCache>()

  /** The same definition again keeps what is in the cache. Returns false when there are too many caches. */
  define(name: string, limit: number, life: number): boolean {
    const known = this.#caches.get(name)
    if (known?.limit === limit && known.life === life) return true
    if (known === undefined && this.#caches.size >= maxCaches) return false
    this.#caches.set(name, { limit, life, gauges: new BoundedMap(limit) })
    return true
  }

  has(name: string): boolean {
    return this.#caches.has(name)
  }

  /** 0 for what is not there or no longer. */
  get(name: string, key: string, now: number): number {
    const cache = this.#caches.get(name)
    const gauge = cache?.gauges.get(key)
    if (cache === undefined || gauge === undefined) return 0
    if (now - gauge.changedAt < cache.life) return gauge.value
    cache.gauges.delete(key)
    return 0
  }

  /** Returns the new value. */
  add(name: string, key: string, { by, now }: { readonly by: number; readonly now: number }): number {
    const value = this.get(name, key, now) + by
    this.#caches.get(name)?.gauges.set(key, { value, changedAt: now })
    return value
  }

  remove(name: string, key: string): void {
    this.#caches.get(name)?.gauges.delete(key)
  }
}

const maxCaches = 100
