/**
 * What one callout may use: time of the processor, and memory of the Lua state.
 *
 * Once a budget is exceeded it stays so until the next `start`: whatever a script catches, the engine raises again.
 */

export interface BudgetLimits {
  /** milliseconds that one callout may compute; waiting does not count */
  readonly time: number
  /** octets that the whole Lua state may hold */
  readonly memory: number
}

export type Excess = 'time' | 'memory'

export class Budget {
  readonly limits: BudgetLimits
  /** octets that the state holds now */
  used = 0
  /** the largest block that the state ever asked for: what a single instruction can be slow on */
  largest = 0
  exceeded: Excess | undefined

  readonly #now: () => number
  #deadline = Number.POSITIVE_INFINITY
  #resumedAt = 0

  /** @param now milliseconds of a monotonic clock */
  constructor(limits: BudgetLimits, now: () => number) {
    this.limits = limits
    this.#now = now
  }

  /** A callout begins or goes on after a wait. @param spent milliseconds that it has used so far */
  start(spent: number): void {
    this.exceeded = undefined
    this.#resumedAt = this.#now()
    this.#deadline = this.#resumedAt + this.limits.time - spent
  }

  /** The callout ended or waits. Returns the milliseconds since `start`. */
  stop(): number {
    this.#deadline = Number.POSITIVE_INFINITY
    return this.#now() - this.#resumedAt
  }

  /** Whether the running callout has used up what it may; looks at the clock. */
  check(): boolean {
    if (this.exceeded === undefined && this.#now() > this.#deadline) this.exceeded = 'time'
    return this.exceeded !== undefined
  }

  /** Whether a callout goes on although it was told to end: something holds on to it. */
  overdue(): boolean {
    return this.#now() > this.#deadline + this.limits.time
  }

  /**
   * VM instructions between two looks at the clock. An instruction costs at most some nanoseconds per octet of the
   * largest block (a concatenation, a comparison, a scan of a table), so the interval shrinks as blocks grow and the
   * overrun stays below a fraction of a second.
   */
  interval(): number {
    return Math.max(1, Math.min(1000, Math.floor(1e8 / Math.max(1, this.largest))))
  }

  /** What the log says. */
  describe(excess: Excess): string {
    return excess === 'time'
      ? `time budget of ${this.limits.time / 1000} s exceeded`
      : `memory budget of ${this.limits.memory / 1_048_576} MiB exceeded`
  }
}
