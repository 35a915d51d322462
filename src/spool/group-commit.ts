/**
 * One flush for all who wait: what is submitted while a batch is being synced goes out together in the next.
 *
 * Each transaction is applied whole or not at all, in the order of submission. Before a batch is applied the disk is
 * known to have room for it (space.ts); when it has not, it is divided until the transactions that do not fit stand
 * alone; they are refused with SpoolFullError. Any other failure refuses the whole batch.
 */

import type { BatchSize, Need } from './space.ts'
import { overflowPages, pagesFor } from './space.ts'
import { SpoolFullError } from './spool.ts'
import type { PageUse, Write } from './store.ts'

export interface Transaction {
  readonly writes: readonly Write[]
  /** new mail needs room; updates and removals go on below the reserve */
  readonly newMail: boolean
}

/** What group commit works on. */
export interface CommitTarget {
  apply(writes: readonly Write[]): Promise<void>
  /** A promise only where the batch has to wait for room. @throws SpoolFullError */
  prepare(need: Need): Promise<void> | undefined
  settled(): void
  pageUse(): PageUse
  /** A batch has not ended for a minute: the storage hangs. Told once per batch. */
  stalled(): void
}

interface Waiting extends Transaction {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** bounds what one batch holds up, and the pages that LMDB keeps dirty in memory */
const MAX_BATCH_OCTETS = 8 * 1024 * 1024
const STALL_MS = 60_000
/** octets of a node's header and key, with room to spare */
const NODE_OCTETS = 32

export class GroupCommit {
  readonly #target: CommitTarget
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined

  constructor(target: CommitTarget) {
    this.#target = target
  }

  /** Resolves when the transaction is durable. @throws SpoolFullError, or what the storage reported */
  submit({ writes, newMail }: Transaction): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#waiting.push({ writes, newMail, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #run(): Promise<void> {
    // what is submitted in this turn of the event loop belongs to the first batch too
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      await this.#settle(this.#next())
    }
    this.#running = undefined
  }

  async #settle(batch: readonly Waiting[]): Promise<void> {
    if (await this.#commit(batch)) return
    const half = batch.length >> 1
    await this.#settle(batch.slice(0, half))
    await this.#settle(batch.slice(half))
  }

  /** The oldest transactions, as many as fit a batch, at least one. */
  #next(): Waiting[] {
    let octets = 0
    let count = 0
    for (const { writes } of this.#waiting) {
      for (const { value } of writes) octets += NODE_OCTETS + (value?.length ?? 0)
      if (count > 0 && octets > MAX_BATCH_OCTETS) break
      count += 1
    }
    return this.#waiting.splice(0, count)
  }

  /** Settles the batch, unless there is no room and it can be divided: then the answer is false. */
  async #commit(batch: readonly Waiting[]): Promise<boolean> {
    const divisible = batch.length > 1
    const use = this.#target.pageUse()
    const need = {
      pages: pagesFor(measure(batch, use), use),
      newMail: batch.some(({ newMail }) => newMail),
      divisible,
    }
    const alarm = setTimeout(() => this.#target.stalled(), STALL_MS)
    try {
      const room = this.#target.prepare(need)
      if (room !== undefined) await room
      try {
        await this.#target.apply(divisible ? batch.flatMap(({ writes }) => writes) : (batch[0]?.writes ?? []))
      } finally {
        this.#target.settled()
      }
      for (const waiting of batch) waiting.resolve()
    } catch (error) {
      if (divisible && error instanceof SpoolFullError) return false
      for (const waiting of batch) waiting.reject(error)
    } finally {
      clearTimeout(alarm)
    }
    return true
  }
}

function measure(transactions: readonly Transaction[], use: PageUse): BatchSize {
  let inlineOctets = 0
  let overflow = 0
  let touched = 0
  for (const { writes, newMail } of transactions) {
    for (const { value } of writes) {
      if (!newMail) touched += 1
      if (value === undefined) continue
      const pages = overflowPages(value.length, use.pageSize)
      overflow += pages
      if (pages === 0) inlineOctets += value.length
      inlineOctets += NODE_OCTETS
    }
  }
  return { inlineOctets, overflowPages: overflow, touched }
}
