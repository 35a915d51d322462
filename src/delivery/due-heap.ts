import { Heap } from './heap.ts'

/** What is due first comes out first: a binary heap by time, and by arrival where times are equal. */
export class DueHeap<T> extends Heap {
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
    this.up(this.#items.length - 1)
  }

  /** Takes the first one out if it is due. */
  popDue(now: number): T | undefined {
    const [first] = this.#items
    if (first === undefined || first.at > now) return undefined
    const last = this.#items.pop()
    if (last !== undefined && this.#items.length > 0) {
      this.#items[0] = last
      this.down(0)
    }
    return first.value
  }

  protected override before(i: number, j: number): boolean {
    const [a, b] = [this.#items[i], this.#items[j]]
    if (a === undefined || b === undefined) return false
    return a.at < b.at || (a.at === b.at && a.order < b.order)
  }

  protected override swap(i: number, j: number): void {
    const [a, b] = [this.#items[i], this.#items[j]]
    if (a !== undefined) this.#items[j] = a
    if (b !== undefined) this.#items[i] = b
  }
}
