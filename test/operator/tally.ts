/** Counts by name. */

export class Tally {
  readonly #counts = new Map<string, number>()

  add(name: string, count = 1): void {
    if (count !== 0) this.#counts.set(name, (this.#counts.get(name) ?? 0) + count)
  }

  get total(): number {
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0)
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  /** In the order of the names, without what is zero. */
  get all(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }
}
