/**
 * What scripts count, outside of any Lua state: it survives a state that is replaced, and a reload when the server
 * hands the same stores to the next generation. Of this process alone; gone when it ends.
 */

import { AuditMonitors } from './audit-monitors.ts'
import { AuditSeries } from './audit-series.ts'
import { GaugeCaches } from './gauge-caches.ts'

const maxCounters = 10_000

export class SharedStores {
  readonly counters = new Counters()
  readonly gauges = new GaugeCaches()
  readonly series = new AuditSeries()
  readonly monitors = new AuditMonitors()
}

/** Named numbers. */
export class Counters {
  readonly #values = new Map<string, number>()

  read(path: string): number {
    return this.#values.get(path) ?? 0
  }

  /** Makes the counter when there is none. Returns false when there are too many. */
  set(path: string, value: number): boolean {
    if (!this.#values.has(path) && this.#values.size >= maxCounters) return false
    this.#values.set(path, value)
    return true
  }

  unlink(path: string): void {
    this.#values.delete(path)
  }

  /** All of them, for the console. */
  entries(): Iterable<[string, number]> {
    return this.#values.entries()
  }
}
