/**
 * What is done with a batch when its turn has come: its envelopes are read where they are not in memory, one attempt is
 * made for all, and the outcome of each is written before it is told. Whatever happens, each message is somewhere
 * afterwards: gone, back in its queue, waiting for its time, failed, or, where the attempt was broken off, as it was.
 */

import type { EventSink } from '../events/events.ts'
import { routingDomain } from '../mail/envelope.ts'
import type { DeliveryState, Spool, StoredMessage } from '../spool/spool.ts'
import {
  type AttemptEnding,
  type Attempted,
  type AttemptMeans,
  type Attempts,
  describe,
  sameTransaction,
} from './attempts.ts'
import type { Batch, DomainQueue, DomainQueues } from './domain-queues.ts'
import type { MessageTable } from './message-table.ts'
import { LOOKUP_FAILED } from './mx.ts'
import type { Residents } from './residents.ts'

export interface BatchesOptions {
  readonly spool: Spool
  readonly events: EventSink
  readonly now: () => number
  readonly panic: (text: string) => void
  readonly table: MessageTable
  readonly queues: DomainQueues
  readonly residents: Residents
  readonly attempts: Attempts
  /** takes a message that waits for its time */
  readonly delay: (number: number, until: number) => void
  /** takes a message that failed for good, as the spool knows already */
  readonly fail: (number: number) => void
  /**
   * An outcome is durable and told: the time to tell the sender that the message is late. Never rejects.
   * @returns what the spool has of the message now
   */
  readonly settled: (
    number: number,
    message: StoredMessage,
    state: DeliveryState | undefined,
  ) => Promise<DeliveryState | undefined>
}

interface Loaded {
  readonly number: number
  readonly message: StoredMessage
}

/** before an outcome that could not be written is written again */
export const TRY_AGAIN_MS = 10_000

export class Batches {
  readonly #options: BatchesOptions
  /** attempts that were made and whose outcome could not be written yet, by number */
  readonly #unwritten = new Map<number, Loaded & { readonly attempted: Attempted }>()

  constructor(options: BatchesOptions) {
    this.#options = options
  }

  /** Whether an attempt was made whose outcome is not written yet: nobody else may decide about it. */
  isUnwritten(number: number): boolean {
    return this.#unwritten.has(number)
  }

  async run(batch: Batch, means: AttemptMeans & { readonly signal: AbortSignal }): Promise<void> {
    const { queues, now, delay } = this.#options
    const open = new Set(batch.messages)
    try {
      await this.#run(batch, means, open)
    } catch (error) {
      this.#options.panic(describe(error))
    } finally {
      if (!means.signal.aborted) for (const number of open) delay(number, now() + TRY_AGAIN_MS)
      queues.done(batch)
    }
  }

  /** @param open messages of which nothing is settled yet */
  async #run(
    { queue, messages }: Batch,
    { signal, ...means }: AttemptMeans & { readonly signal: AbortSignal },
    open: Set<number>,
  ): Promise<void> {
    const { table, queues, attempts } = this.#options
    const unwritten = messages.flatMap((number) => this.#unwritten.get(number) ?? [])
    await Promise.all(unwritten.map(async (each) => await this.#settle(each, each.attempted, open)))
    const fresh = messages.filter((number) => !unwritten.some((each) => each.number === number))
    const loaded = await this.#load(queue, fresh, open)
    const [first] = loaded
    if (first === undefined) return
    const together = loaded.filter(({ message }) => sameTransaction(message, first.message))
    this.#return(
      queue,
      loaded.filter((each) => !together.includes(each)),
      open,
    )
    const mayRepeat = together.some(({ number }) => table.is(number, 'mayRepeat'))
    for (const { number } of together) table.mark(number, 'mayRepeat')
    const job = {
      messages: together.map(({ message }) => message),
      scope: queues.scope(queue),
      egress: queue,
    }
    const endings = await attempts.make({ ...job, mayRepeat, signal }, means)
    if (endings === undefined) return
    this.#learn(queue, endings)
    const deferred = together.filter((_, index) => endings[index]?.kind === 'deferred')
    this.#return(queue, deferred, open)
    await Promise.all(
      together.map(async (each, index) => {
        const ending = endings[index]
        if (ending?.kind === 'gone') this.#gone(each.number, open)
        if (ending?.kind === 'attempted') await this.#settle(each, ending, open)
      }),
    )
  }

  /** Those that are not in the spool any more are told of and left out. */
  async #load(queue: DomainQueue, numbers: readonly number[], open: Set<number>): Promise<readonly Loaded[]> {
    const { residents, spool, table } = this.#options
    const found = await Promise.all(
      numbers.map(async (number) => {
        const message = residents.take(number, queue) ?? (await spool.message(table.id(number)))
        return { number, message }
      }),
    )
    return found.flatMap(({ number, message }) => {
      if (message !== undefined) return { number, message }
      this.#gone(number, open)
      return []
    })
  }

  /** Puts back to the front of the queue what was not tried. */
  #return(queue: DomainQueue, messages: readonly Loaded[], open: Set<number>): void {
    const { residents, queues, now } = this.#options
    if (messages.length === 0) return
    for (const { number, message } of messages) {
      open.delete(number)
      residents.hold(number, message, queue)
    }
    queues.putBack(
      messages.map(({ number }) => number),
      now(),
    )
  }

  /** What the attempt says about the domain as a whole. */
  #learn(queue: DomainQueue, endings: readonly AttemptEnding[]): void {
    const { queues, now } = this.#options
    for (const ending of endings) if (ending.kind === 'deferred') queues.block(queue, ending.until)
    const results = endings.flatMap((ending) => (ending.kind === 'attempted' ? [ending.result] : []))
    if (results.length === 0) return
    const isReached = results.some(({ stage }) => stage > 0)
    if (isReached) queue.reachedAt = now()
    queue.proven = isReached ? queue.proven + 1 : 0
    const { mx_failures_to_delay: most, retry_interval } = queues.scope(queue).options
    queue.lookupFailures = results.every(({ text }) => text === LOOKUP_FAILED) ? queue.lookupFailures + 1 : 0
    if (most === 0 || queue.lookupFailures < most) return
    queue.lookupFailures = 0
    queues.block(queue, now() + retry_interval * 1000)
  }

  /** Writes the outcome, then tells it, then puts the message where it belongs. */
  async #settle({ number, message }: Loaded, attempted: Attempted, open: Set<number>): Promise<void> {
    const { spool, panic, table, delay, fail, residents, queues } = this.#options
    const { envelope } = message
    const { state } = attempted.outcome
    try {
      if (state === undefined) await spool.remove(envelope.id)
      else await spool.update(envelope.id, state)
    } catch (error) {
      this.#unwritten.set(number, { number, message, attempted })
      panic(`message ${envelope.id}: the outcome of the delivery cannot be written: ${describe(error)}`)
      return
    }
    this.#unwritten.delete(number)
    residents.take(number, queues.of(number))
    open.delete(number)
    this.#tell(message, attempted)
    const kept = await this.#options.settled(number, message, state)
    if (kept === undefined) table.remove(number)
    else if (kept.failed) fail(number)
    else {
      residents.holdLate(number, { envelope, state: kept }, queues.of(number))
      delay(number, kept.nextAttempt)
    }
  }

  #tell({ envelope, state }: StoredMessage, { at, connectionId, outcome, result }: Attempted): void {
    const { stage, bytes, remote, local, tls } = result
    const facts = { at, envelope, connectionId, domain: routingDomain(envelope), stage, bytes, remote }
    for (const { kind, text } of outcome.told) {
      this.#options.events.emit({
        kind,
        text,
        retries: state.attempts,
        ...facts,
        ...(local === undefined ? {} : { local }),
        ...(tls === undefined ? {} : { tls }),
      })
    }
  }

  #gone(number: number, open: Set<number>): void {
    const { table, panic } = this.#options
    const id = table.id(number)
    open.delete(number)
    table.remove(number)
    panic(`message ${id} is in the queue but not in the spool; it is not delivered`)
  }
}
