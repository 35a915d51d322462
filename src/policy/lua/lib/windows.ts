/** Counts in equal windows of time: window 0 is the one that runs, 1 the one before it, and so on. */

export interface WindowShape {
  /** seconds */
  readonly interval: number
  readonly windows: number
}

export class Windows {
  readonly #shape: WindowShape
  readonly #counts: Float64Array
  /** the number of the running window since the epoch */
  #current: number

  constructor(shape: WindowShape, now: number) {
    this.#shape = shape
    this.#counts = new Float64Array(shape.windows)
    this.#current = this.#numberAt(now)
  }

  add(count: number, now: number): void {
    this.#advance(now)
    const slot = this.#current % this.#shape.windows
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count
  }

  /** The sum over windows `from` to `to`. */
  sum(from: number, to: number, now: number): number {
    this.#advance(now)
    let sum = 0
    const last = Math.min(to, this.#shape.windows - 1)
    for (let back = from; back <= last; back++) {
      const slot = this.#current - back
      sum += this.#counts[((slot % this.#shape.windows) + this.#shape.windows) % this.#shape.windows] ?? 0
    }
    return sum
  }

  #numberAt(now: number): number {
    return Math.floor(now / 1000 / this.#shape.interval)
  }

  #advance(now: number): void {
    const target = this.#numberAt(now)
    const steps = Math.min(target - this.#current, this.#shape.windows)
    for (let step = 0; step < steps; step++) this.#counts[(target - step) % this.#shape.windows] = 0
    if (target > this.#current) this.#current = target
  }
}
