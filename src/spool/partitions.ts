/**
 * Several partitions of one spool in one process: mail is taken into the first, and what the others hold is delivered
 * from where it lies. So no mail is ever moved when the number of processes changes, and none is left behind.
 *
 * The partitions must be open; closing this closes all of them.
 */

import { readdir } from 'node:fs/promises'
import type { Envelope } from '../mail/envelope.ts'
import type { DeliveryState, ReceptionWriter, Spool, StoredContent, StoredMessage } from './spool.ts'

/** more than anybody starts processes */
const MAX_PARTITIONS = 4096

/** The numbers of the partitions in a folder, rising; none when it is not there. */
export async function partitionsIn(folder: string): Promise<number[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  return entries
    .filter((entry) => entry.isDirectory() && /^(?:0|[1-9]\d{0,3})$/.test(entry.name))
    .map(({ name }) => Number(name))
    .filter((number) => number < MAX_PARTITIONS)
    .toSorted((a, b) => a - b)
}

export class Partitions implements Spool {
  readonly #own: Spool
  readonly #all: Spool[]
  readonly #onClosed: () => void
  #closed: Promise<void> | undefined

  /** @param own takes new mail @param onClosed called when all are closed */
  constructor(own: Spool, onClosed: () => void = () => undefined) {
    this.#own = own
    this.#all = [own]
    this.#onClosed = onClosed
  }

  /** One more to deliver from: what it holds is among `messages` from now on. */
  adopt(spool: Spool): void {
    this.#all.push(spool)
  }

  hasRoom(): boolean {
    return this.#own.hasRoom()
  }

  create(): ReceptionWriter {
    return this.#own.create()
  }

  *messages(): Iterable<StoredMessage> {
    for (const spool of this.#all) yield* spool.messages()
  }

  message(id: string): Promise<StoredMessage | undefined> {
    return this.#of(id).message(id)
  }

  contentKey(id: string): number | undefined {
    for (const [index, spool] of this.#all.entries()) {
      const key = spool.contentKey(id)
      if (key !== undefined) return key * MAX_PARTITIONS + index
    }
    return undefined
  }

  read(id: string): Promise<StoredContent | undefined> {
    return this.#of(id).read(id)
  }

  update(id: string, state: DeliveryState, envelope?: Envelope): Promise<void> {
    return this.#of(id).update(id, state, envelope)
  }

  remove(id: string): Promise<void> {
    return this.#of(id).remove(id)
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const ends = await Promise.allSettled(this.#all.map((spool) => spool.close()))
    this.#onClosed()
    const failure = ends.find((end) => end.status === 'rejected')
    if (failure !== undefined) throw failure.reason
  }

  /** Where a message is; one that is nowhere is nowhere in the first one too. */
  #of(id: string): Spool {
    if (this.#all.length === 1) return this.#own
    return this.#all.find((spool) => spool.contentKey(id) !== undefined) ?? this.#own
  }
}
