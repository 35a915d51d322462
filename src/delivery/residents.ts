/**
 * Envelopes that are held in memory while their messages are ready to go (Momentum: config/ref-max-resident-messages,
 * ref-max-resident-active-queue). What is not here is read from the spool when its turn comes.
 */

import type { StoredMessage } from '../spool/spool.ts'
import type { DomainQueue } from './domain-queues.ts'

export class Residents {
  /** by number of the message table */
  readonly #held = new Map<number, StoredMessage>()
  /** those of them that wait for a retry, which are counted by themselves */
  readonly #late = new Set<number>()

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

  /**
   * Holds one that has failed for a while until its retry, if there is room (Momentum: config/ref-max-resident-transfails,
   * ref-drop-body-after-trans-fail). Whoever changes what the spool has of it takes it out first.
   */
  holdLate(number: number, message: StoredMessage, { scope }: DomainQueue): void {
    const { max_resident_messages, max_resident_transfails, drop_body_after_trans_fail } = scope.options
    if (message.state.attempts > drop_body_after_trans_fail) return
    if (this.#held.size >= max_resident_messages || this.#late.size >= max_resident_transfails) return
    this.#held.set(number, message)
    this.#late.add(number)
  }

  /** What is known of it; it is not held any more. */
  take(number: number, queue: DomainQueue): StoredMessage | undefined {
    const message = this.#held.get(number)
    if (message === undefined) return undefined
    this.#held.delete(number)
    if (!this.#late.delete(number)) queue.resident--
    return message
  }
}
