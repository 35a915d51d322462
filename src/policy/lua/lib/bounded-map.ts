/** A map that forgets its oldest entry when it is full: keys come from the network. */
export class BoundedMap<V> {
  readonly #entries = new Map<string, V>()
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string): V | undefined {
    return this.#entries.get(key)
  }

  /** Sets a value and makes the entry the newest. */
  set(key: string, value: V): void {
    this.#entries.delete(key)
    const [oldest] = this.#entries.keys()
    if (this.#entries.size >= this.#limit && oldest !== undefined) this.#entries.delete(oldest)
    this.#entries.set(key, value)
  }

  delete(key: string): boolean {
    return this.#entries.delete(key)
  }

  entries(): Iterable<[string, V]> {
    return this.#entries.entries()
  }
}
