/** A clock that stands still until it is told to go on. */

export class FakeClock {
  #now: number
  readonly #alarms = new Set<{ readonly at: number; readonly run: () => void }>()

  constructor(now = 1_700_000_000_000) {
    this.#now = now
  }

  readonly now = (): number => this.#now

  readonly schedule = (at: number, run: () => void): (() => void) => {
    const alarm = { at, run }
    this.#alarms.add(alarm)
    return () => this.#alarms.delete(alarm)
  }

  /** when the next alarm is due */
  get next(): number | undefined {
    return this.#alarms.size === 0 ? undefined : Math.min(...[...this.#alarms].map(({ at }) => at))
  }

  /** alarms that are set */
  get armed(): number {
    return this.#alarms.size
  }

  /** Goes on by so many milliseconds, or to `next`; rings what is due, in order. */
  advance(ms = (this.next ?? this.#now) - this.#now): void {
    const end = this.#now + ms
    for (;;) {
      const [first] = [...this.#alarms].filter(({ at }) => at <= end).toSorted((a, b) => a.at - b.at)
      if (first === undefined) break
      this.#alarms.delete(first)
      this.#now = Math.max(this.#now, first.at)
      first.run()
    }
    this.#now = end
  }
}
