/**
 * Addresses from which an operator has logged in lately, at the console or on the page: their clients wait in a room of their
 * own (`console/waiting-room.ts`), so that no flood of strangers keeps an operator out who comes from where he came before.
 * It says nothing of who a client is, and lets nobody in. Bounded: the ones that were not seen for longest go first.
 */

import { addressKey } from '../smtp/auth/failures.ts'

const MAX_ADDRESSES = 1024
/** milliseconds since somebody was last logged in from there */
const KEPT_MS = 24 * 60 * 60 * 1000

export class Acquaintances {
  readonly #clock: () => number
  readonly #maximum: number
  /** by address, of IPv6 by /64: until when; the last seen last */
  readonly #until = new Map<string, number>()

  constructor(clock: () => number, maximum = MAX_ADDRESSES) {
    this.#clock = clock
    this.#maximum = maximum
  }

  /** Somebody who has logged in is here. @param address '' for a UNIX socket, which has a room of its own anyway */
  welcome(address: string): void {
    if (address === '') return
    const key = addressKey(address)
    this.#until.delete(key)
    this.#until.set(key, this.#clock() + KEPT_MS)
    for (const first of this.#until.keys()) {
      if (this.#until.size <= this.#maximum) return
      this.#until.delete(first)
    }
  }

  has(address: string): boolean {
    return (this.#until.get(addressKey(address)) ?? 0) > this.#clock()
  }
}
