/**
 * Envelopes that are held in memory while their messages are ready to go (Momentum: config/ref-max-resident-messages,
 * ref-max-resident-active-queue). What is not here is read from the spool when its turn comes.
 */

import type { StoredMessage } from '../spool/spool.ts'
import type { DomainQueue } from './domain-queues.ts'

export class Residents {
  /** by number of the message table */
  readonly #held = new Map<number, StoredMessage>()

  get size(): number {
    return this.#held.size
  }

  /** Holds it if there is room. */
  hold(number: number, message: StoredMessage, queue: DomainQueue): void {
    const { max_resident_messages, max_resident_active_queue } = queue.scope.options
    if (this.#held.size >= max_resident_messages || queue.resident >= max_resident_active_queue) return
    if (!this.#held.has(number)) queue.resident++
    this.#held.set(number, message)
  }

  /** What is known of it; it is not held any more. */
  take(number: number, queue: DomainQueue): StoredMessage | undefined {
    const message = this.#held.get(number)
    if (message === undefined) return undefined
    this.#held.delete(number)
    queue.resident--
    return message
  }
}
