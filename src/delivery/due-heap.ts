/** What is due first comes out first: a binary heap by time, and by arrival where times are equal. */
export class DueHeap<T> {
  readonly #items: { readonly at: number; readonly order: number; readonly value: T }[] = []
  #arrivals = 0

  get size(): number {
    return this.#items.length
  }

  /** When the first one is due. */
  get next(): number | undefined {
    return this.#items[0]?.at
  }

  push(at: number, value: T): void {
    this.#items.push({ at, order: this.#arrivals++, value })
    this.#up(this.#items.length - 1)
  }

  /** Takes the first one out if it is due. */
  popDue(now: number): T | undefined {
    const [first] = this.#items
    if (first === undefined || first.at > now) return undefined
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) {
      this.#items[0] = last
      this.#down(0)
    }
    return first.value
  }

  #up(start: number): void {
    for (let i = start; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!this.#before(i, parent)) return
      this.#swap(i, parent)
      i = parent
    }
  }

  #down(start: number): void {
    for (let i = start; ; ) {
      const left = 2 * i + 1
      const child = this.#before(left + 1, left) ? left + 1 : left
      if (!this.#before(child, i)) return
      this.#swap(i, child)
      i = child
    }
  }

  #before(i: number, j: number): boolean {
    const [a, b] = [this.#items[i], this.#items[j]]
    if (a === undefined || b === undefined) return false
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  #swap(i: number, j: number): void {
    const [a, b] = [this.#items[i], this.#items[j]]
    if (a !== undefined) this.#items[j] = a
    if (b !== undefined) this.#items[i] = b
  }
}
