/**
 * What an operator does to messages that wait (Momentum: console-commands/flush-domain, fail-domain, delay,
 * reroute-queue, rebind).
 *
 * A message that is acted upon is first taken out, so that no attempt begins; then the outcome is made durable, then
 * told; then it goes where it belongs now. So a kill at any step leaves each message as it was or as it was to be. One
 * that is under way is left alone and counted. Those that could not be written go back to where they were; when the
 * storage fails altogether the act ends there.
 */

import type { Spool } from '../../spool/spool.ts'
import { describe } from '../attempts.ts'
import type { DelayedHeap } from '../delayed-heap.ts'
import type { Residents } from '../residents.ts'
import { type Change, Changes, type ChangesHost, type Held } from './changes.ts'
import type { Messages } from './messages.ts'
import {
  type Act,
  type ActOrder,
  type ActReport,
  DRY_RUN_ROWS,
  type MessageRow,
  type Selection,
} from './orders.ts'
import { fitsQueue } from './select.ts'
import { pieces, StoppedError } from './walk.ts'

export interface ActsHost extends ChangesHost {
  readonly spool: Spool
  readonly delayed: DelayedHeap
  readonly residents: Residents
  readonly isRecovering: () => boolean
  readonly isStopped: () => boolean
  /** hosts that failed a short while ago may be tried again */
  readonly forgetHosts: () => void
  /** Begins what can begin. */
  readonly goOn: () => void
  /** A stop has to wait for this. @param work that never rejects */
  readonly track: (work: Promise<unknown>) => void
}

/** messages of which the outcomes are written together */
const PIECE = 128

/** pieces in a row of which nothing could be written: the storage fails, and not one message */
const MAX_IN_VAIN = 3

export class Acts {
  readonly #host: ActsHost
  readonly #all: Messages
  readonly #changes: Changes

  constructor(host: ActsHost, messages: Messages) {
    this.#host = host
    this.#all = messages
    this.#changes = new Changes(host)
  }

  async do(order: ActOrder): Promise<ActReport> {
    const work = this.#do(order)
    this.#host.track(work)
    return await work
  }

  /** Never rejects. */
  async #do({ act, selection, dryRun }: ActOrder): Promise<ActReport> {
    const { table, isRecovering, isStopped, goOn } = this.#host
    const rows: MessageRow[] = []
    let messages = 0
    let underWay = 0
    let broken: string | undefined
    let inVain = 0
    try {
      if (isStopped()) throw new StoppedError()
      const pace = this.#all.pace()
      if (act.kind === 'flush' && !dryRun) await this.unblock(selection)
      const fits = (number: number): boolean => this.#all.fits(number, selection)
      for await (const piece of pieces(table, fits, { size: PIECE, pace })) {
        const meant = await this.#meant(piece, selection)
        const here = meant.flatMap(({ number, id }) => (table.id(number) === id ? [number] : []))
        const chosen = here.filter((number) => fits(number) && this.#isFor(act, number))
        underWay += here.filter((number) => this.#all.stand(number) === 'underWay').length
        if (dryRun) {
          messages += chosen.length
          for (const number of chosen.slice(0, DRY_RUN_ROWS - rows.length)) {
            const message = await this.#all.read(number, {})
            const row = message && this.#all.row(number, message)
            if (row !== undefined) rows.push(row)
          }
        } else {
          const { done, error } = await this.#perform(chosen, act)
          messages += done
          goOn()
          if (error !== undefined) broken ??= describe(error)
          inVain = error !== undefined && done === 0 ? inVain + 1 : 0
          if (inVain === MAX_IN_VAIN) break
        }
        await pace.turn()
      }
    } catch (error) {
      broken ??= describe(error)
    }
    return { messages, underWay, rows, broken, incomplete: isRecovering() }
  }

  /**
   * What is held back may go on, as far as nothing holds it back anew.
   * @returns how many domains were looked at @throws StoppedError
   */
  async unblock({ id, filter, ...selection }: Selection): Promise<number> {
    const { queues, forgetHosts, goOn } = this.#host
    const pace = this.#all.pace()
    forgetHosts()
    if (id !== undefined || filter !== undefined) return 0
    let unblocked = 0
    for (const queue of queues.all()) {
      await pace.turn()
      if (!fitsQueue(selection, queue)) continue
      queues.unblock(queue)
      unblocked++
    }
    goOn()
    return unblocked
  }

  /** Those that are meant. Their numbers may be others' by the time that somebody looks at the answer. */
  async #meant(
    numbers: readonly number[],
    selection: Selection,
  ): Promise<readonly { readonly number: number; readonly id: string }[]> {
    const named = numbers.map((number) => ({ number, id: this.#host.table.id(number) }))
    if (selection.filter === undefined) return named
    const read = await Promise.all(
      named.map(async (each) => ((await this.#all.read(each.number, selection)) === undefined ? [] : [each])),
    )
    return read.flat()
  }

  /** Whether a message stands where the act finds it. */
  #isFor(act: Act, number: number): boolean {
    const stand = this.#all.stand(number)
    if (stand !== 'ready' && stand !== 'delayed') return false
    const queue = this.#host.queues.of(number)
    switch (act.kind) {
      case 'flush':
        return stand === 'delayed'
      case 'delay':
        return stand === 'ready'
      case 'fail':
        return true
      case 'reroute':
        return queue.domain !== act.domain
      case 'rebind':
    }
    const { bindingGroup, binding } = act.egress
    return queue.binding !== binding || queue.bindingGroup !== bindingGroup
  }

  async #perform(
    chosen: readonly number[],
    act: Act,
  ): Promise<{ readonly done: number; readonly error: unknown }> {
    // nothing of a plain flush is written: after a start everything is due at once
    const isPlain = (number: number): boolean =>
      act.kind === 'flush' && !this.#host.table.is(number, 'pinned')
    const plain = chosen.filter(isPlain)
    const held = chosen.filter((number) => !isPlain(number)).map((number) => this.#hold(number))
    for (const number of plain) this.#putBack({ ...this.#hold(number), due: undefined })
    const ends = await Promise.allSettled(held.map((each) => this.#change(each, act)))
    const error = ends.find((end) => end.status === 'rejected')?.reason as unknown
    const done = ends.filter((end) => end.status === 'fulfilled' && end.value).length
    return { done: plain.length + done, error }
  }

  /** Takes out one that is ready or delayed. */
  #hold(number: number): Held {
    const { table, queues, delayed, residents } = this.#host
    const queue = queues.of(number)
    const id = table.id(number)
    queues.hold(queue, 1)
    residents.take(number, queue)
    if (table.is(number, 'waiting')) {
      queues.withdraw(number)
      return { number, id, queue, due: undefined }
    }
    const due = table.due(number)
    delayed.remove(number)
    queue.delayed--
    return { number, id, queue, due }
  }

  #putBack({ number, queue, due }: Held): void {
    const { queues, delay } = this.#host
    if (due === undefined) queues.push(number)
    else delay(number, due)
    queues.hold(queue, -1)
  }

  /** @returns whether it was done @throws what the storage says; it is where it was then */
  async #change(held: Held, act: Act): Promise<boolean> {
    const { spool, queues } = this.#host
    let change: Change
    try {
      const message = await spool.message(held.id)
      if (message === undefined) {
        // whoever wants to send it finds out, and tells
        this.#putBack({ ...held, due: undefined })
        return false
      }
      change = this.#changes.of(act, held, message)
      if (change.state === undefined) await spool.remove(held.id)
      else await spool.update(held.id, change.state, change.envelope)
    } catch (error) {
      this.#putBack(held)
      throw error
    }
    change.settle()
    queues.hold(held.queue, -1)
    return true
  }
}
