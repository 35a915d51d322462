/**
 * Messages that wait for their time: what is due first comes out first, and by arrival where times are equal. A binary
 * heap of numbers of the message table; a message can be taken out of the middle.
 */

import { Heap } from './heap.ts'
import { type MessageTable, NOBODY } from './message-table.ts'

export class DelayedHeap extends Heap {
  readonly #table: MessageTable
  readonly #heap: number[] = []
  readonly #order: number[] = []
  #arrivals = 0

  constructor(table: MessageTable) {
    super()
    this.#table = table
  }

  get size(): number {
    return this.#heap.length
  }

  /** When the first one is due. */
  get next(): number | undefined {
    const [first] = this.#heap
    return first === undefined ? undefined : this.#table.due(first)
  }

  push(at: number, message: number): void {
    this.#table.setDue(message, at)
    this.#put(this.#heap.length, message, this.#arrivals++)
    this.up(this.#heap.length - 1)
  }

  /** Takes the first one out if it is due. */
  popDue(now: number): number | undefined {
    const [first] = this.#heap
    if (first === undefined || this.#table.due(first) > now) return undefined
    this.remove(first)
    return first
  }

  /** Takes one out; one that is not here stays where it is. */
  remove(message: number): void {
    const place = this.#table.place(message)
    if (place === NOBODY) return
    this.#table.setPlace(message, NOBODY)
    const last = this.#heap.pop()
    const order = this.#order.pop()
    if (last === undefined || order === undefined || last === message) return
    this.#put(place, last, order)
    this.up(place)
    this.down(this.#table.place(last))
  }

  #put(place: number, message: number, order: number): void {
    this.#heap[place] = message
    this.#order[place] = order
    this.#table.setPlace(message, place)
  }

  protected override before(i: number, j: number): boolean {
    const [a, b] = [this.#heap[i], this.#heap[j]]
    if (a === undefined || b === undefined) return false
    const [dueA, dueB] = [this.#table.due(a), this.#table.due(b)]
    return dueA < dueB || (dueA === dueB && (this.#order[i] ?? 0) < (this.#order[j] ?? 0))
  }

  protected override swap(i: number, j: number): void {
    const [a = NOBODY, b = NOBODY] = [this.#heap[i], this.#heap[j]]
    const [orderA = 0, orderB = 0] = [this.#order[i], this.#order[j]]
    this.#put(i, b, orderB)
    this.#put(j, a, orderA)
  }
}
