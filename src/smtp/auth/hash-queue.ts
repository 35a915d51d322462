/**
 * Takes turns at hashing. Hashes are made to be costly, so few are computed at once: a flood of attempts waits in here
 * while the server's other threads and cores go on. Clients take turns by address, so that a flood from one address
 * delays that address; what waits is bounded for each address and in all, and where all places are taken the address that
 * has the most of them gives one up.
 */

import { availableParallelism } from 'node:os'
import { AuthBusyError } from './store.ts'

export interface HashQueueOptions {
  /** computed at once; at most half of the cores and half of Node's four threads unless said otherwise */
  readonly concurrency?: number
  /** waiting for one address, and in all */
  readonly perClient?: number
  readonly total?: number
}

interface Turn {
  readonly resolve: () => void
  readonly reject: (error: AuthBusyError) => void
}

export class HashQueue {
  readonly #concurrency: number
  readonly #perClient: number
  readonly #total: number
  /** by address, in the order of their next turns; never empty lists */
  readonly #waiting = new Map<string, Turn[]>()
  #waitingCount = 0
  #running = 0

  constructor(options: HashQueueOptions = {}) {
    this.#concurrency =
      options.concurrency ?? Math.max(1, Math.min(2, Math.floor(availableParallelism() / 2)))
    this.#perClient = options.perClient ?? 16
    this.#total = options.total ?? 512
  }

  /** attempts that wait */
  get waiting(): number {
    return this.#waitingCount
  }

  /** @throws AuthBusyError when too many wait already */
  async run<T>(client: string, job: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#concurrency) await this.#turn(client)
    else this.#running += 1
    try {
      return await job()
    } finally {
      this.#next()
    }
  }

  #turn(client: string): Promise<void> {
    const mine = this.#waiting.get(client) ?? []
    if (mine.length >= this.#perClient) throw new AuthBusyError()
    if (this.#waitingCount >= this.#total) this.#giveUpOne(mine.length)
    this.#waitingCount += 1
    this.#waiting.set(client, mine)
    return new Promise((resolve, reject) => mine.push({ resolve, reject }))
  }

  /** The last one of the address that has the most. @throws AuthBusyError where nobody has more than the newcomer then would */
  #giveUpOne(own: number): void {
    const [most = []] = [...this.#waiting.values()].toSorted((a, b) => b.length - a.length)
    if (most.length <= own + 1) throw new AuthBusyError()
    this.#waitingCount -= 1
    most.pop()?.reject(new AuthBusyError())
  }

  /** Hands the place on, or gives it up. */
  #next(): void {
    for (const [client, waiting] of this.#waiting) {
      const first = waiting.shift()
      this.#waiting.delete(client)
      // the next turn of this address comes after all others
      if (waiting.length > 0) this.#waiting.set(client, waiting)
      if (first !== undefined) {
        this.#waitingCount -= 1
        first.resolve()
        return
      }
    }
    this.#running -= 1
  }
}
