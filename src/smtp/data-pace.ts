/**
 * How fast a message must arrive: within Data_Timeout altogether, never silent for Idle_Time, and at Data_Minimum_Rate
 * averaged over a window. Only time that is spent waiting for the client counts towards idleness and rate; a slow disk
 * of ours is not held against it.
 */

import { ClientGoneError } from './client-io.ts'
import type { Refusal } from './reject.ts'
import { refuse } from './reject.ts'
import type { Session } from './session-state.ts'

export class DataPace {
  readonly #session: Session
  readonly #deadline: number
  readonly #idle: number
  /** octets per millisecond; 0 = any */
  readonly #rate: number
  #waitedInWindow = 0
  #octetsInWindow = 0

  constructor(session: Session) {
    const { data_timeout, data_minimum_rate, idle_time } = session.scope.options
    this.#session = session
    this.#deadline = data_timeout > 0 ? performance.now() + data_timeout * 1000 : Number.POSITIVE_INFINITY
    this.#idle = idle_time > 0 ? idle_time * 1000 : Number.POSITIVE_INFINITY
    this.#rate = data_minimum_rate / 1000
  }

  /** Between two chunks. @throws Refusal 421 4.4.2 when the time for the whole message is over */
  check(): void {
    if (performance.now() >= this.#deadline) throw tooSlow('timeout while receiving the message')
  }

  /**
   * The next octets; a promise only where they have to be waited for.
   * @throws Refusal 421 4.4.2
   * @throws ClientGoneError
   */
  next(): Buffer | Promise<Buffer> {
    const chunk = this.#take()
    if (chunk === undefined) return this.#waitForMore()
    this.check()
    return chunk
  }

  #take(): Buffer | undefined {
    const received = this.#session.io.take()
    if (received === undefined) return undefined
    if (received.kind === 'end') throw new ClientGoneError()
    this.#octetsInWindow += received.chunk.length
    return received.chunk
  }

  async #waitForMore(): Promise<Buffer> {
    const { io, limits } = this.#session
    let silence = 0
    for (;;) {
      const started = performance.now()
      const windowLeft = this.#rate > 0 ? limits.rateWindow - this.#waitedInWindow : Number.POSITIVE_INFINITY
      await io.more(Math.min(this.#deadline, started + this.#idle - silence, started + windowLeft))
      const waited = performance.now() - started
      silence += waited
      this.#waitedInWindow += waited
      const chunk = this.#take()
      this.check()
      this.#judgeWindow(limits.rateWindow)
      if (chunk !== undefined) return chunk
      if (silence >= this.#idle) throw tooSlow('timeout while receiving the message')
    }
  }

  #judgeWindow(window: number): void {
    if (this.#rate <= 0 || this.#waitedInWindow < window) return
    if (this.#octetsInWindow < this.#rate * this.#waitedInWindow) throw tooSlow('message arrives too slowly')
    this.#waitedInWindow = 0
    this.#octetsInWindow = 0
  }
}

function tooSlow(text: string): Refusal {
  return refuse(421, `4.4.2 ${text}`, { close: true, state: 'reading body' })
}
