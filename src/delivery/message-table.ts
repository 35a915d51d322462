/**
 * What is known of each message in the queue while its envelope is in the spool: some forty octets in columns, so that a
 * million messages fit. A message has a number here as long as it is in the queue; numbers are used again.
 */

/** a number that no message has */
export const NOBODY = -1

/** `waiting`: it is in a lane. `pinned`: an operator had it wait until a time that its envelope names */
const flag = { mayRepeat: 1, urgent: 2, failed: 4, told: 8, waiting: 16, pinned: 32 } as const

const FIRST_SIZE = 1024

export class MessageTable {
  /** ids of everything that is here; in the spool the same strings are kept anyway */
  readonly #known = new Set<string>()
  #ids: (string | undefined)[] = []
  /** messages with the same one have the same header and body */
  #content = new Float64Array(FIRST_SIZE)
  #due = new Float64Array(FIRST_SIZE)
  #queue = new Int32Array(FIRST_SIZE)
  /** the next one in the lane that it waits in; of a number that is free, the next free one */
  #next = new Int32Array(FIRST_SIZE)
  /** where it is in the heap of those that wait for their time; in a lane, the one before it */
  #place = new Int32Array(FIRST_SIZE)
  #flags = new Uint8Array(FIRST_SIZE)
  #used = 0
  #free = NOBODY

  get size(): number {
    return this.#known.size
  }

  /** All numbers are below this; some of them may be free. */
  get end(): number {
    return this.#used
  }

  has(id: string): boolean {
    return this.#known.has(id)
  }

  add(id: string, about: { readonly queue: number; readonly content: number }): number {
    let number = this.#free
    if (number === NOBODY) {
      number = this.#used++
      if (number === this.#flags.length) this.#grow()
    } else this.#free = this.next(number)
    this.#known.add(id)
    this.#ids[number] = id
    this.#content[number] = about.content
    this.#queue[number] = about.queue
    this.#next[number] = NOBODY
    this.#place[number] = NOBODY
    this.#due[number] = 0
    this.#flags[number] = 0
    return number
  }

  remove(number: number): void {
    this.#known.delete(this.id(number))
    this.#ids[number] = undefined
    this.#queue[number] = NOBODY
    this.#next[number] = this.#free
    this.#free = number
  }

  id(number: number): string {
    return this.#ids[number] ?? ''
  }

  content(number: number): number {
    return this.#content[number] ?? 0
  }

  queue(number: number): number {
    return this.#queue[number] ?? NOBODY
  }

  /** It goes to another queue; it must be in no lane and wait for no time. */
  setQueue(number: number, queue: number): void {
    this.#queue[number] = queue
  }

  next(number: number): number {
    return this.#next[number] ?? NOBODY
  }

  setNext(number: number, next: number): void {
    this.#next[number] = next
  }

  due(number: number): number {
    return this.#due[number] ?? 0
  }

  setDue(number: number, at: number): void {
    this.#due[number] = at
  }

  place(number: number): number {
    return this.#place[number] ?? NOBODY
  }

  setPlace(number: number, place: number): void {
    this.#place[number] = place
  }

  is(number: number, name: keyof typeof flag): boolean {
    return ((this.#flags[number] ?? 0) & flag[name]) !== 0
  }

  mark(number: number, name: keyof typeof flag): void {
    this.#flags[number] = (this.#flags[number] ?? 0) | flag[name]
  }

  unmark(number: number, name: keyof typeof flag): void {
    this.#flags[number] = (this.#flags[number] ?? 0) & ~flag[name]
  }

  #grow(): void {
    // by half: doubling a million at once would take as much again
    const size = Math.ceil(this.#flags.length * 1.5)
    this.#content = larger(this.#content, new Float64Array(size))
    this.#due = larger(this.#due, new Float64Array(size))
    this.#queue = larger(this.#queue, new Int32Array(size))
    this.#next = larger(this.#next, new Int32Array(size))
    this.#place = larger(this.#place, new Int32Array(size))
    this.#flags = larger(this.#flags, new Uint8Array(size))
  }
}

function larger<A extends Float64Array | Int32Array | Uint8Array>(column: A, into: A): A {
  into.set(column)
  return into
}
