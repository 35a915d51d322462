/**
 * Ids of messages, batches and connections in Momentum's form `CC/CC-PPPPP-TTTTTTTT` (log-formats-mainlog).
 *
 * The id is a struct of three numbers: a second, a process id and a counter. The two in hexadecimal are written with
 * their digits in reverse order: counter 0x1B is `B1/00`, second 0x3F789B13 is `31B987F3`.
 */

import { randomInt } from 'node:crypto'

/** What Momentum prints where there is no id. */
export const EMPTY_ID = '00/00-00000-00000000'

const COUNTERS = 0x1_0000

/**
 * Makes ids that never repeat. A process needs exactly one, for all of its ids.
 *
 * The second never goes back, whatever the clock does, and moves ahead of the clock when all counters of a second are
 * used up. The process id is kept to 16 bits, as in Momentum's struct; processes that run at the same time differ
 * there unless their ids are a multiple of 65,536 apart. The counter starts at a random number, because in a
 * container a restarted server may well have the same process id in the same second.
 */
export class IdGenerator {
  readonly #clock: () => number
  readonly #pid: string
  #second = 0
  #secondText = reversedHex(0, 8)
  #issued = 0
  #counter: number

  /** @param options.clock milliseconds since the epoch @param options.start first counter; random when left out */
  constructor(options: { readonly pid: number; readonly clock: () => number; readonly start?: number }) {
    this.#clock = options.clock
    this.#pid = (options.pid % COUNTERS).toString().padStart(5, '0')
    this.#counter = (options.start ?? randomInt(COUNTERS)) % COUNTERS
  }

  next(): string {
    const now = Math.floor(this.#clock() / 1000)
    if (now > this.#second) this.#startSecond(now)
    else if (this.#issued === COUNTERS) this.#startSecond(this.#second + 1)
    const counter = reversedHex(this.#counter, 4)
    this.#counter = (this.#counter + 1) % COUNTERS
    this.#issued++
    return `${counter.slice(0, 2)}/${counter.slice(2)}-${this.#pid}-${this.#secondText}`
  }

  #startSecond(second: number): void {
    this.#second = second
    this.#secondText = reversedHex(second, 8)
    this.#issued = 0
  }
}

function reversedHex(value: number, digits: number): string {
  const hex = (value >>> 0).toString(16).toUpperCase().padStart(digits, '0')
  let reversed = ''
  for (const digit of hex) reversed = digit + reversed
  return reversed
}
