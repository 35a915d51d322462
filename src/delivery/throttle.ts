/**
 * How many of something in any stretch of time (Momentum: config/ref-outbound-throttle-messages, -connections).
 *
 * A throttle is where it is written: whoever has it from the same stanza shares it. Time is counted in pieces of a
 * twentieth of the stretch, each as a whole, so there are never more than the operator wrote in any such stretch.
 * Those who have to wait are given times one after the other, at the pace of the throttle, so that they do not all come
 * back at once.
 */

import type { OutboundScope } from '../config/settings.ts'
import type { HostScope, Throttle } from '../config/settings-queue.ts'

const PIECES = 20

export class ThrottleWindow {
  readonly count: number
  readonly seconds: number
  readonly #pieceMs: number
  /** what was taken in each piece of the stretch, the piece under way included */
  readonly #taken = new Int32Array(PIECES + 1)
  #piece = 0
  #total = 0
  /** the last time that was promised */
  #promised = 0

  constructor({ count, seconds }: Throttle) {
    this.count = count
    this.seconds = seconds
    this.#pieceMs = (seconds * 1000) / PIECES
  }

  /** How many may be taken now. @param now milliseconds since the epoch, here and below */
  available(now: number): number {
    this.#advance(now)
    return Math.max(0, this.count - this.#total)
  }

  take(now: number, number: number): void {
    this.#advance(now)
    this.#add(number)
  }

  /** What was taken a short while ago was not used. */
  giveBack(now: number, number: number): void {
    this.#advance(now)
    let left = Math.min(number, this.#total)
    for (let back = 0; back <= PIECES && left > 0; back++) {
      const index = (this.#piece - back + PIECES + 1) % (PIECES + 1)
      const own = Math.min(left, this.#taken[index] ?? 0)
      this.#taken[index] = (this.#taken[index] ?? 0) - own
      this.#total -= own
      left -= own
    }
  }

  /** When to come back: after everybody who was told so before. */
  promise(now: number): number {
    const free = this.#nextFree(now)
    const interval = (this.seconds * 1000) / this.count
    this.#promised = Math.max(free, this.#promised + interval)
    return Math.ceil(this.#promised)
  }

  /** When something can be taken again. */
  #nextFree(now: number): number {
    if (this.available(now) > 0) return now
    let left = this.#total
    for (let back = PIECES; back >= 0; back--) {
      left -= this.#taken[(this.#piece - back + PIECES + 1) % (PIECES + 1)] ?? 0
      if (left < this.count) return (this.#piece - back + PIECES + 1) * this.#pieceMs
    }
    return now + this.seconds * 1000
  }

  #add(number: number): void {
    const index = this.#piece % (PIECES + 1)
    this.#taken[index] = (this.#taken[index] ?? 0) + number
    this.#total += number
  }

  /**
   * Forgets what is past. When the clock was set back, all that counts was taken just now: there are never too many, and
   * nobody waits until the clock has caught up.
   */
  #advance(now: number): void {
    const piece = Math.floor(now / this.#pieceMs)
    if (piece < this.#piece - 1) {
      this.#taken.fill(0)
      this.#taken[piece % (PIECES + 1)] = this.#total
      this.#piece = piece
      this.#promised = now
    }
    const steps = Math.min(piece - this.#piece, PIECES + 1)
    for (let step = 1; step <= steps; step++) {
      const index = (piece - steps + step) % (PIECES + 1)
      this.#total -= this.#taken[index] ?? 0
      this.#taken[index] = 0
    }
    this.#piece = Math.max(this.#piece, piece)
  }
}

/** The throttles of a configuration, by where they are written. They outlive a reload where they stay as they are. */
export class Throttles {
  readonly #windows = new Map<string, ThrottleWindow>()
  readonly #sharers: number

  /** @param sharers processes that have the same throttles: each has its part of them */
  constructor(sharers = 1) {
    this.#sharers = sharers
  }

  /** undefined: there is none */
  of(
    scope: OutboundScope | HostScope,
    option: 'outbound_throttle_messages' | 'outbound_throttle_connections',
  ): ThrottleWindow | undefined {
    const whole = scope.options[option]
    if (whole === undefined) return undefined
    const throttle = partOf(whole, this.#sharers)
    const key = `${option} ${scope.definition(option)}`
    let window = this.#windows.get(key)
    if (window === undefined || window.count !== throttle.count || window.seconds !== throttle.seconds) {
      window = new ThrottleWindow(throttle)
      this.#windows.set(key, window)
    }
    return window
  }
}

/** All parts together never allow more than the whole. */
function partOf({ count, seconds }: Throttle, sharers: number): Throttle {
  if (count >= sharers) return { count: Math.floor(count / sharers), seconds }
  return { count: 1, seconds: Math.ceil((seconds * sharers) / count) }
}
