/**
 * What strict limits are counted by: named counters. Of one process (`LocalCounts`), or of all processes of a node that
 * share a table, so that a limit holds for the node however many workers it has.
 *
 * Counters exist only while something is counted.
 */

export interface Budget {
  readonly counter: string
  /** 0 = counted, not limited */
  readonly limit: number
}

export interface LimitCounts {
  /** Counts one more in each, or in none when any has reached its limit; false then. */
  take(budgets: readonly Budget[]): boolean
  /** Gives back what was taken. */
  give(counters: readonly string[]): void
  /** Counts elsewhere from now on; where there is no room it stays counted as it was, and the answer is false. */
  swap(from: readonly string[], to: readonly Budget[]): boolean
  count(counter: string): number
  /** counters that exist */
  readonly size: number
}

export class LocalCounts implements LimitCounts {
  readonly #counts = new Map<string, number>()

  get size(): number {
    return this.#counts.size
  }

  take(budgets: readonly Budget[]): boolean {
    if (budgets.some(({ counter, limit }) => limit > 0 && this.count(counter) >= limit)) return false
    for (const { counter } of budgets) this.#add(counter, 1)
    return true
  }

  give(counters: readonly string[]): void {
    for (const counter of counters) this.#add(counter, -1)
  }

  swap(from: readonly string[], to: readonly Budget[]): boolean {
    this.give(from)
    const room = this.take(to)
    if (!room) for (const counter of from) this.#add(counter, 1)
    return room
  }

  count(counter: string): number {
    return this.#counts.get(counter) ?? 0
  }

  #add(counter: string, change: 1 | -1): void {
    const count = this.count(counter) + change
    if (count === 0) this.#counts.delete(counter)
    else this.#counts.set(counter, count)
  }
}
