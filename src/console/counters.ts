/** What happened since the last reset, counted from the facts. For `summary`. */

import type { ServerEvent } from '../events/events.ts'

/** seconds over which a rate is taken */
const RATE_WINDOW = 60

export class Counters {
  readonly #clock: () => number
  #since: number
  #delivered = 0
  #failed = 0
  #rejected = 0
  #received = 0
  readonly #deliveryRate: RecentRate
  readonly #receptionRate: RecentRate

  /** @param clock milliseconds since the epoch */
  constructor(clock: () => number) {
    this.#clock = clock
    this.#since = clock()
    this.#deliveryRate = new RecentRate(clock)
    this.#receptionRate = new RecentRate(clock)
  }

  /** For `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    switch (event.kind) {
      case 'reception':
        this.#received++
        this.#receptionRate.add()
        return
      case 'delivery':
        this.#delivered++
        this.#deliveryRate.add()
        return
      case 'permanent-failure':
        this.#failed++
        return
      case 'rejection':
        this.#rejected++
        return
      default:
    }
  }

  reset(): void {
    this.#since = this.#clock()
    this.#delivered = 0
    this.#failed = 0
    this.#rejected = 0
    this.#received = 0
  }

  /** milliseconds since the epoch */
  get since(): number {
    return this.#since
  }

  get counts(): Readonly<Record<'delivered' | 'failed' | 'rejected' | 'received', number>> {
    return {
      delivered: this.#delivered,
      failed: this.#failed,
      rejected: this.#rejected,
      received: this.#received,
    }
  }

  /** Messages per second, over the last minute. */
  get rates(): { readonly delivery: number; readonly reception: number } {
    return { delivery: this.#deliveryRate.perSecond, reception: this.#receptionRate.perSecond }
  }
}

/** Counts by second, and forgets what is older than the window. */
class RecentRate {
  readonly #clock: () => number
  readonly #born: number
  readonly #counts = Array.from({ length: RATE_WINDOW }, () => 0)
  #second: number

  constructor(clock: () => number) {
    this.#clock = clock
    this.#second = Math.floor(clock() / 1000)
    this.#born = this.#second
  }

  add(): void {
    this.#advance()
    const slot = this.#second % RATE_WINDOW
    this.#counts[slot] = (this.#counts[slot] ?? 0) + 1
  }

  get perSecond(): number {
    this.#advance()
    const total = this.#counts.reduce((sum, count) => sum + count, 0)
    return total / Math.min(RATE_WINDOW, this.#second - this.#born + 1)
  }

  #advance(): void {
    const now = Math.max(this.#second, Math.floor(this.#clock() / 1000))
    for (let at = Math.max(this.#second + 1, now - RATE_WINDOW + 1); at <= now; at++)
      this.#counts[at % RATE_WINDOW] = 0
    this.#second = now
  }
}
