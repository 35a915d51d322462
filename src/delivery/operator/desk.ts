/**
 * Where an operator turns to: answers about the queue of this process, and acts on its messages (acts.ts).
 *
 * Every answer is made in slices (walk.ts), so it is true of no single moment: a message that moves meanwhile may be
 * counted where it was or where it went. Lists are bounded in rows, contents in octets.
 */

import type { Spool } from '../../spool/spool.ts'
import type { Batches } from '../batches.ts'
import type { DelayedHeap } from '../delayed-heap.ts'
import type { DomainQueues } from '../domain-queues.ts'
import type { MessageTable } from '../message-table.ts'
import type { Residents } from '../residents.ts'
import type { Router } from '../route.ts'
import { Acts, type ActsHost } from './acts.ts'
import { readContent } from './content.ts'
import type { DomainRecords } from './domain-records.ts'
import { bindingRows, domainDetails, domainRows } from './domains.ts'
import { Messages, type MessagesParts } from './messages.ts'
import {
  type ListOrder,
  type ListReport,
  MAX_ROWS,
  type MessageOrder,
  type MessageReport,
  type MessageRow,
  type QueueAnswers,
  type QueueQuestions,
  type QueueTopic,
  type Selection,
} from './orders.ts'
import type { LiveAttempts } from './outbound.ts'
import { byTurn } from './select.ts'
import { type Pace, pieces, StoppedError } from './walk.ts'

/** The parts of the queue that are looked at and worked on. */
export interface DeskParts extends ActsHost, MessagesParts {
  readonly spool: Spool
  readonly table: MessageTable
  readonly queues: DomainQueues
  readonly delayed: DelayedHeap
  readonly residents: Residents
  readonly batches: Pick<Batches, 'isUnwritten'>
  readonly records: Pick<DomainRecords, 'of' | 'all' | 'bindings'>
  readonly live: Pick<LiveAttempts, 'report'>
  readonly router: () => Router
  readonly now: () => number
  /** what the spool held at the start is not all here yet */
  readonly isRecovering: () => boolean
  readonly isStopped: () => boolean
}

/** messages that are read from the spool in one go */
const PIECE = 128

export class Desk {
  readonly #parts: DeskParts
  readonly #messages: Messages
  readonly #acts: Acts
  readonly #answers: QueueAnswers

  constructor(parts: DeskParts) {
    this.#parts = parts
    this.#messages = new Messages(parts)
    this.#acts = new Acts(parts, this.#messages)
    const pace = (): Pace => this.#messages.pace()
    this.#answers = {
      list: (order) => this.#list(order),
      act: (order) => this.#acts.do(order),
      message: (order) => this.#message(order),
      domains: async (order) => await domainRows(parts, order, pace()),
      domain: async (order) => await domainDetails(parts, order, pace()),
      bindings: async (order) => await bindingRows(parts, order, pace()),
      unblock: async ({ domain }) => ({
        queues: await this.#acts.unblock(domain === undefined ? {} : { domain }),
      }),
      outbound: (order) => Promise.resolve(parts.live.report(order)),
    }
  }

  /** @throws StoppedError, or what the storage says */
  async ask<T extends QueueTopic>(
    topic: T,
    order: QueueQuestions[T]['order'],
  ): Promise<QueueQuestions[T]['report']> {
    if (topic !== 'act' && this.#parts.isStopped()) throw new StoppedError()
    return await this.#answers[topic](order)
  }

  /** Those that leave first; the others are counted. */
  async #list({ selection, rows: wanted }: ListOrder): Promise<ListReport> {
    const most = Math.min(wanted, MAX_ROWS)
    const first = new FirstOnes(most, (number) => this.#turn(number))
    const pace = this.#messages.pace()
    let messages = 0
    const fits = (number: number): boolean => this.#messages.fits(number, selection)
    for await (const piece of pieces(this.#parts.table, fits, { size: PIECE, pace })) {
      const found = selection.filter === undefined ? piece : await this.#filtered(piece, selection)
      messages += found.length
      for (const number of found) first.offer(number)
      await pace.turn()
    }
    const rows: MessageRow[] = []
    for (const number of first.numbers) {
      const message = fits(number) ? await this.#messages.read(number, {}) : undefined
      const row = message && this.#messages.row(number, message)
      if (row !== undefined) rows.push(row)
      await pace.turn()
    }
    return { rows: rows.toSorted(byTurn), messages, incomplete: this.#parts.isRecovering() }
  }

  async #filtered(numbers: readonly number[], selection: Selection): Promise<readonly number[]> {
    const read = await Promise.all(
      numbers.map(async (number) =>
        (await this.#messages.read(number, selection)) === undefined ? [] : [number],
      ),
    )
    return read.flat()
  }

  /** A number that rises with the time at which a message leaves, about. */
  #turn(number: number): number {
    const { table } = this.#parts
    switch (this.#messages.stand(number)) {
      case 'underWay':
        return 0
      case 'ready':
        return 1
      case 'delayed':
        return 2 + table.due(number)
      case 'ending':
      case undefined:
    }
    return Number.POSITIVE_INFINITY
  }

  async #message({ id, content: wanted }: MessageOrder): Promise<MessageReport> {
    const { table, spool } = this.#parts
    const pace = this.#messages.pace()
    for await (const [number] of pieces(table, (each) => table.id(each) === id, { size: 1, pace })) {
      if (number === undefined) continue
      const message = await this.#messages.read(number, {})
      const row = message && this.#messages.row(number, message)
      if (message === undefined || row === undefined) return undefined
      const { envelope, state } = message
      const { batchId, connectionId, client, bodyType, smtpUtf8 = false, priority } = envelope
      const stored = wanted === 'none' ? undefined : await spool.read(id)
      return {
        ...row,
        // the whole answer, of this message alone
        lastReply: state.lastText,
        batchId,
        connectionId,
        client: client.address,
        bodyType,
        smtpUtf8,
        urgent: priority === 1,
        delayNotices: state.delayNotices ?? 0,
        ...(await readContent(stored, wanted)),
      }
    }
    return undefined
  }
}

/** The numbers with the smallest ranks, of however many are offered. */
class FirstOnes {
  readonly #most: number
  readonly #rank: (number: number) => number
  #kept: { readonly number: number; readonly rank: number }[] = []
  #worst = Number.POSITIVE_INFINITY

  constructor(most: number, rank: (number: number) => number) {
    this.#most = most
    this.#rank = rank
  }

  offer(number: number): void {
    const rank = this.#rank(number)
    if (this.#most === 0 || (rank >= this.#worst && this.#worst !== Number.POSITIVE_INFINITY)) return
    this.#kept.push({ number, rank })
    if (this.#kept.length >= 2 * this.#most) this.#cut()
  }

  get numbers(): readonly number[] {
    this.#cut()
    return this.#kept.map(({ number }) => number)
  }

  #cut(): void {
    this.#kept = this.#kept.toSorted((a, b) => (a.rank === b.rank ? 0 : a.rank - b.rank)).slice(0, this.#most)
    if (this.#kept.length === this.#most) this.#worst = this.#kept.at(-1)?.rank ?? this.#worst
  }
}
