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

/** Two clocks in milliseconds: the cheap one is looked at often, the exact one when it matters. */
export interface BudgetClocks {
  /** monotonic time */
  elapsed(): number
  /** time that this thread has computed */
  processor(): number
}

/** A callout that gets little of the processor may take so many times its budget of elapsed time. */
const patience = 3
/** this fraction of the time budget may pass before the exact clock is looked at */
const unmeasured = 20

export type Excess = 'time' | 'memory'

export class Budget {
  readonly limits: BudgetLimits
  /** octets that the state holds now */
  used = 0
  /** the largest block that the state ever asked for: what a single instruction can be slow on */
  largest = 0
  exceeded: Excess | undefined

  readonly #clocks: BudgetClocks
  #deadline = Number.POSITIVE_INFINITY
  #lastDeadline = Number.POSITIVE_INFINITY
  #startedAt = 0
  #allowed = 0
  #processorAtFirstCheck: number | undefined

  constructor(limits: BudgetLimits, clocks: BudgetClocks) {
    this.limits = limits
    this.#clocks = clocks
  }

  /** A callout begins or goes on after a wait. @param spent milliseconds that it has used so far */
  start(spent: number): void {
    this.exceeded = undefined
    this.#processorAtFirstCheck = undefined
    this.#allowed = this.limits.time - spent
    this.#startedAt = this.#clocks.elapsed()
    this.#deadline = this.#startedAt + this.#allowed
    this.#lastDeadline = this.#startedAt + this.#allowed * patience
  }

  /** The callout ended or waits. Returns the milliseconds since `start`. */
  stop(): number {
    this.#deadline = Number.POSITIVE_INFINITY
    this.#lastDeadline = Number.POSITIVE_INFINITY
    return this.#clocks.elapsed() - this.#startedAt
  }

  /** Whether the running callout has used up what it may; looks at the clock. */
  check(): boolean {
    if (this.exceeded !== undefined) return true
    const now = this.#clocks.elapsed()
    // the exact clock costs more than most callouts: it is first read when one has become a long one
    if (now - this.#startedAt < this.#allowed / unmeasured) return false
    this.#processorAtFirstCheck ??= this.#clocks.processor()
    if (now <= this.#deadline) return false
    // on a crowded machine time passes in which the script did not run
    const left = this.#allowed - (this.#clocks.processor() - this.#processorAtFirstCheck)
    if (left > 0 && now <= this.#lastDeadline) {
      this.#deadline = now + left
      return false
    }
    this.exceeded = 'time'
    return true
  }

  /** Whether a callout goes on although it was told to end: something holds on to it. */
  overdue(): boolean {
    return (
      this.exceeded !== undefined && this.#clocks.elapsed() > this.#deadline + this.limits.time * patience
    )
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
