/** Messages that wait one behind the other, as links in the message table: any of them can be taken out at once. */

import { type MessageTable, NOBODY } from './message-table.ts'

export interface Lane {
  head: number
  tail: number
}

export class Lanes {
  readonly #table: MessageTable

  constructor(table: MessageTable) {
    this.#table = table
  }

  append(message: number, lane: Lane): void {
    this.#place(message, { before: lane.tail, behind: NOBODY }, lane)
  }

  prepend(message: number, lane: Lane): void {
    this.#place(message, { before: NOBODY, behind: lane.head }, lane)
  }

  /** Takes one out, wherever it stands; it is in no lane then. */
  remove(message: number, lane: Lane): void {
    const table = this.#table
    const [before, behind] = [table.place(message), table.next(message)]
    if (before === NOBODY) lane.head = behind
    else table.setNext(before, behind)
    if (behind === NOBODY) lane.tail = before
    else table.setPlace(behind, before)
    table.unmark(message, 'waiting')
    table.setPlace(message, NOBODY)
    table.setNext(message, NOBODY)
  }

  #place(message: number, at: { readonly before: number; readonly behind: number }, lane: Lane): void {
    const table = this.#table
    table.mark(message, 'waiting')
    table.setPlace(message, at.before)
    table.setNext(message, at.behind)
    if (at.before === NOBODY) lane.head = message
    else table.setNext(at.before, message)
    if (at.behind === NOBODY) lane.tail = message
    else table.setPlace(at.behind, message)
  }
}
