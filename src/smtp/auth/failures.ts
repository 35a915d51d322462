/**
 * Failed attempts, by client address and over connections: each costs the address more time, and after so many it is
 * turned away until its window is over.
 *
 * An IPv6 client has a whole /64 to come from, so that is its address here. A success takes nothing back: whoever has
 * one account could else try others without end. Bounded: with too many addresses the oldest entries go first.
 */

import { parseAddress } from '../../config/address.ts'

/** @see AuthFailures.add */
export interface AuthFailure {
  readonly address: string
  /** seconds */
  readonly window: number
}

interface Entry {
  readonly until: number
  readonly failures: number
}

export type AuthFailureEntries = readonly (readonly [string, Entry])[]

const MAX_ADDRESSES = 20_000
const FIRST_DELAY_MS = 250

export class AuthFailures {
  readonly #clock: () => number
  readonly #maximum: number
  /** in the order of the first failure */
  readonly #entries = new Map<string, Entry>()

  readonly #onFailure: (failure: AuthFailure) => void

  /**
   * @param clock milliseconds since the epoch
   * @param onFailure told of each, so that other processes of the node can `note` it
   */
  constructor(
    clock: () => number,
    maximum = MAX_ADDRESSES,
    onFailure: (failure: AuthFailure) => void = () => undefined,
  ) {
    this.#clock = clock
    this.#maximum = maximum
    this.#onFailure = onFailure
  }

  /** addresses that are remembered */
  get size(): number {
    return this.#entries.size
  }

  /** Failures of this address in the window that is open. */
  count(address: string): number {
    const key = addressKey(address)
    const entry = this.#entries.get(key)
    if (entry === undefined) return 0
    if (entry.until > this.#clock()) return entry.failures
    this.#entries.delete(key)
    return 0
  }

  /** Notes a failure. @param window seconds, for the first one. @returns how many there are now */
  add(address: string, window: number): number {
    this.#onFailure({ address, window })
    return this.note({ address, window })
  }

  /** A failure that another process has met. @returns how many there are now */
  note({ address, window }: AuthFailure): number {
    const failures = this.count(address) + 1
    const key = addressKey(address)
    const known = this.#entries.get(key)
    if (known === undefined) this.#makeRoom()
    this.#entries.set(key, { failures, until: known?.until ?? this.#clock() + window * 1000 })
    return failures
  }

  /** All that is remembered, for a process that begins. */
  entries(): AuthFailureEntries {
    return [...this.#entries]
  }

  /** What another process remembers. */
  restore(entries: AuthFailureEntries): void {
    for (const [key, entry] of entries) this.#entries.set(key, entry)
  }

  #makeRoom(): void {
    const now = this.#clock()
    for (const [key, { until }] of this.#entries) {
      if (until > now && this.#entries.size < this.#maximum) return
      this.#entries.delete(key)
    }
  }
}

/** Milliseconds before the n-th failure is answered. @param longest seconds */
export function delayFor(failures: number, longest: number): number {
  return Math.min(FIRST_DELAY_MS * 2 ** Math.min(failures - 1, 16), longest * 1000)
}

/** What counts as one address: a whole /64 of IPv6. */
export function addressKey(address: string): string {
  const parsed = parseAddress(address)
  if (parsed === undefined) return address
  return Buffer.from(parsed.family === 6 ? parsed.bytes.subarray(0, 8) : parsed.bytes).toString('hex')
}
