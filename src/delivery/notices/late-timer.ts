/**
 * Notices of delay at their time, for messages of which no attempt is made meanwhile: they wait for a retry that is far
 * off, or delivery to their domain is suspended. A message is taken out of its queue while its notice is made, so no
 * attempt can write its state at the same time, and is back in its place then. One that is under way is left alone: its
 * outcome is about to be told.
 */

import type { Envelope } from '../../mail/envelope.ts'
import type { DeliveryState, Spool, StoredMessage } from '../../spool/spool.ts'
import type { NoticeOptions } from '../bouncing.ts'
import type { Clock } from '../clock.ts'
import type { DelayedHeap } from '../delayed-heap.ts'
import type { DomainQueue, DomainQueues } from '../domain-queues.ts'
import { type MessageTable, NOBODY } from '../message-table.ts'
import type { Residents } from '../residents.ts'
import { nextDelayNotice } from './due.ts'
import { NoticeTimes } from './notice-times.ts'

export interface LateTimerHost {
  readonly spool: Spool
  readonly clock: Clock
  readonly table: MessageTable
  readonly queues: DomainQueues
  readonly delayed: DelayedHeap
  readonly residents: Residents
  /** what holds for a message */
  readonly optionsOf: (number: number) => NoticeOptions
  /** takes a message that waits for its time */
  readonly delay: (number: number, until: number) => void
  /** whether an attempt was made whose outcome is not written yet */
  readonly isUnwritten: (number: number) => boolean
  readonly isStopped: () => boolean
  readonly goOn: () => void
  /** A stop waits for it. @param work that never rejects */
  readonly track: (work: Promise<unknown>) => void
  readonly panic: (text: string, once?: 'once') => void
}

type Tell = (late: StoredMessage, options: NoticeOptions) => Promise<DeliveryState>

interface Taken {
  readonly number: number
  readonly queue: DomainQueue
  /** undefined: it was ready */
  readonly due: number | undefined
}

/** notices that are made at once */
const PIECE = 32
/** between two looks at all messages */
const GAP_MS = 10_000

export class LateTimer {
  readonly #host: LateTimerHost
  readonly #tell: Tell
  readonly #times = new NoticeTimes()
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  #isLooking = false

  /** @param tell tells the sender if it is time, and says what the spool has then; never rejects */
  constructor(host: LateTimerHost, tell: Tell) {
    this.#host = host
    this.#tell = tell
  }

  /** Takes the time of a message whose state is this now; without one it is gone, or has failed. */
  arm(number: number, envelope: Envelope, state: DeliveryState | undefined): void {
    const { queues } = this.#host
    const { options } = queues.scope(queues.of(number))
    const waits = state !== undefined && !state.failed && options.generate_delay_dsn
    this.#times.set(number, waits ? nextDelayNotice({ envelope, state }, options) : undefined)
    this.#setAlarm()
  }

  #setAlarm(): void {
    const { clock, isStopped } = this.#host
    const { next } = this.#times
    if (next === undefined || this.#isLooking || isStopped()) return
    const at = Math.max(next, this.#lookedAt + GAP_MS)
    if (this.#alarm !== undefined && this.#alarm.at <= at) return
    this.#alarm?.cancel()
    this.#alarm = { at, cancel: clock.schedule(at, () => this.#ring()) }
  }

  /** Nothing rings any more. */
  stop(): void {
    this.#alarm?.cancel()
  }

  #ring(): void {
    const { clock, track, panic } = this.#host
    this.#alarm = undefined
    this.#isLooking = true
    this.#lookedAt = clock.now()
    const work = this.#look()
      .catch((error: unknown) => panic(`notices of delay: ${String(error)}`, 'once'))
      .finally(() => {
        this.#isLooking = false
        this.#setAlarm()
      })
    track(work)
  }

  async #look(): Promise<void> {
    const { clock, isStopped, goOn } = this.#host
    const due = this.#times.takeDue(clock.now())
    for (let from = 0; from < due.length && !isStopped(); from += PIECE) {
      const taken = due.slice(from, from + PIECE).flatMap((number) => this.#take(number) ?? [])
      const kept = await Promise.all(taken.map(async (each) => await this.#tellOf(each)))
      // the oldest comes last, and so to the front
      for (const [index, each] of taken.entries()) this.#putBack(each, kept[index])
      goOn()
    }
  }

  /** Takes one out that is ready or delayed. */
  #take(number: number): Taken | undefined {
    const { table, queues, delayed, residents, isUnwritten, clock } = this.#host
    if (table.id(number) === '' || table.is(number, 'failed')) return undefined
    const isReady = table.is(number, 'waiting')
    if ((!isReady && table.place(number) === NOBODY) || isUnwritten(number)) {
      this.#times.set(number, clock.now() + GAP_MS)
      return undefined
    }
    const queue = queues.of(number)
    queues.hold(queue, 1)
    residents.take(number, queue)
    if (isReady) {
      queues.withdraw(number)
      return { number, queue, due: undefined }
    }
    const due = table.due(number)
    delayed.remove(number)
    queue.delayed--
    return { number, queue, due }
  }

  async #tellOf({ number }: Taken): Promise<StoredMessage | undefined> {
    const { spool, table, optionsOf, panic } = this.#host
    try {
      const late = await spool.message(table.id(number))
      return late && { envelope: late.envelope, state: await this.#tell(late, optionsOf(number)) }
    } catch (error) {
      panic(`a notice of delay cannot be made now: ${String(error)}`, 'once')
      return undefined
    }
  }

  #putBack({ number, queue, due }: Taken, message: StoredMessage | undefined): void {
    const { queues, residents, delay, clock } = this.#host
    if (message !== undefined) {
      const next = nextDelayNotice(message, queues.scope(queue).options)
      // one that could not be told now is told later
      this.#times.set(number, next === undefined ? undefined : Math.max(next, clock.now() + GAP_MS))
      if (due === undefined) residents.hold(number, message, queue)
      else residents.holdLate(number, message, queue)
    }
    if (due === undefined) queues.pushFirst(number)
    else delay(number, due)
    queues.hold(queue, -1)
  }
}
