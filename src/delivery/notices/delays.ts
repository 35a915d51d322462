/**
 * Tells senders that their mail is late (notices/due.ts says when): after an attempt that failed for a while, and where
 * none is made at its time (notices/late-timer.ts).
 *
 * First the notice is durable, then the message's state counts it, then it is sent; so a kill at any step neither loses
 * it nor sends it twice. A notice that was found in the spool and is not counted yet is held until its message has its
 * next outcome, whatever that is.
 */

import type { DeliveryState, StoredMessage } from '../../spool/spool.ts'
import { Bouncing, type BouncingOptions, type NoticeOptions } from '../bouncing.ts'
import { delayNoticeOf, dueDelayNotice } from './due.ts'
import { LateTimer, type LateTimerHost } from './late-timer.ts'

export interface DelayNoticesOptions extends BouncingOptions, LateTimerHost {
  /** takes a notice that is to be sent */
  readonly send: (notice: StoredMessage) => void
}

export class DelayNotices {
  readonly #options: DelayNoticesOptions
  readonly #bouncing: Bouncing
  readonly #timer: LateTimer
  /** notices that are not counted yet, by the id of their message */
  readonly #held = new Map<string, StoredMessage>()

  constructor(options: DelayNoticesOptions) {
    this.#options = options
    this.#bouncing = new Bouncing(options)
    this.#timer = new LateTimer(options, async (late, of) => await this.tell(late, of))
  }

  /** Takes a notice that an earlier process made and may not have counted. */
  hold(notice: StoredMessage, about: string): void {
    this.#held.set(about, notice)
    if (this.#options.spool.contentKey(about) === undefined) this.release(about)
  }

  /** The message has come to its end: what was told of it is true all the same. */
  release(id: string): void {
    const notice = this.#held.get(id)
    this.#held.delete(id)
    // it may have been sent by another way
    if (notice !== undefined && this.#options.spool.contentKey(notice.envelope.id) !== undefined) {
      this.#options.send(notice)
    }
  }

  /** A message has come: its sender is told when it is late. */
  watch(number: number, { envelope, state }: StoredMessage): void {
    this.#timer.arm(number, envelope, state)
  }

  /** An outcome is durable: what the spool has of the message afterwards. Never rejects. */
  async settled(
    number: number,
    { envelope }: StoredMessage,
    state: DeliveryState | undefined,
  ): Promise<DeliveryState | undefined> {
    const waits = state !== undefined && !state.failed
    const kept = waits ? await this.tell({ envelope, state }, this.#options.optionsOf(number)) : state
    if (!waits) this.release(envelope.id)
    this.#timer.arm(number, envelope, kept)
    return kept
  }

  /** Nobody is told any more. */
  stop(): void {
    this.#timer.stop()
  }

  /**
   * Tells the sender of a message that is to be tried again, if it is time; its state is durable. Never rejects.
   * @returns what the spool has of the message now
   */
  async tell(late: StoredMessage, options: NoticeOptions): Promise<DeliveryState> {
    const { spool, clock, panic } = this.#options
    const { state } = late
    const { id } = late.envelope
    const held = this.#held.get(id)
    const number =
      held === undefined ? dueDelayNotice(late, options, clock.now()) : delayNoticeOf(held.envelope)?.number
    if (number === undefined) return state
    try {
      const notice = held ?? (await this.#bouncing.makeDelay(late, number, options))
      this.#held.set(id, notice)
      const told = { ...state, delayNotices: Math.max(number, state.delayNotices ?? 0) }
      await spool.update(id, told)
      this.release(id)
      return told
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      panic(`a notice of delay cannot be made now: ${reason}`, 'once')
      return state
    }
  }
}
