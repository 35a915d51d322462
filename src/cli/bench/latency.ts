/** Counts of durations in buckets that are one per cent wide each: small, mergeable, and cheap for each message. */

import type { LatencyCounts } from './order.ts'

const WIDTH = Math.log(1.01)
/** milliseconds; what is shorter counts as this */
const SHORTEST = 0.001

export class LatencyHistogram {
  readonly #counts = new Map<number, number>()
  #total = 0

  /** @param milliseconds how long it took */
  add(milliseconds: number): void {
    const bucket = Math.floor(Math.log(Math.max(milliseconds, SHORTEST) / SHORTEST) / WIDTH)
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1)
    this.#total += 1
  }

  merge(counts: LatencyCounts): void {
    for (const [bucket, count] of counts) {
      this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count)
      this.#total += count
    }
  }

  get counts(): LatencyCounts {
    return [...this.#counts]
  }

  /** @returns milliseconds, to one per cent; undefined when nothing was counted. @param share such as 0.99 */
  quantile(share: number): number | undefined {
    let before = 0
    for (const [bucket, count] of this.counts.toSorted(([a], [b]) => a - b)) {
      before += count
      if (before >= share * this.#total) return SHORTEST * Math.exp((bucket + 0.5) * WIDTH)
    }
    return undefined
  }
}
