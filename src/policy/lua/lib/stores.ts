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
  /** when each began or was reset, milliseconds since the epoch */
  readonly #since = new Map<string, number>()

  read(path: string): number {
    return this.#values.get(path) ?? 0
  }

  has(path: string): boolean {
    return this.#values.has(path)
  }

  /** Makes the counter when there is none. Returns false when there are too many. */
  set(path: string, value: number): boolean {
    if (!this.#values.has(path) && this.#values.size >= maxCounters) return false
    if (!this.#values.has(path)) this.#since.set(path, Date.now())
    this.#values.set(path, value)
    return true
  }

  /** It begins at zero again. Returns false when there are too many. */
  reset(path: string): boolean {
    this.#since.delete(path)
    if (!this.set(path, 0)) return false
    this.#since.set(path, Date.now())
    return true
  }

  unlink(path: string): void {
    this.#values.delete(path)
    this.#since.delete(path)
  }

  /** All of them, for the console. */
  *entries(): Iterable<{ readonly path: string; readonly value: number; readonly reset: number }> {
    for (const [path, value] of this.#values) yield { path, value, reset: this.#since.get(path) ?? 0 }
  }
}
