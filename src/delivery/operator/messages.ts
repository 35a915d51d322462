/** Messages of the queue by their numbers, as an operator sees them: where they stand, and whether they are meant. */

import type { Spool, StoredMessage } from '../../spool/spool.ts'
import type { Batches } from '../batches.ts'
import type { DomainQueues } from '../domain-queues.ts'
import { type MessageTable, NOBODY } from '../message-table.ts'
import type { MessageRow, Selection, Stand } from './orders.ts'
import { fitsFilter, fitsQueue, rowOf } from './select.ts'
import { Pace } from './walk.ts'

export interface MessagesParts {
  readonly spool: Spool
  readonly table: MessageTable
  readonly queues: DomainQueues
  readonly batches: Pick<Batches, 'isUnwritten'>
  readonly isStopped: () => boolean
}

export class Messages {
  readonly #parts: MessagesParts

  constructor(parts: MessagesParts) {
    this.#parts = parts
  }

  pace(): Pace {
    return new Pace(this.#parts.isStopped)
  }

  /** Where a message stands; undefined: the number is nobody's. */
  stand(number: number): Stand | undefined {
    const { table, batches } = this.#parts
    if (table.id(number) === '') return undefined
    if (table.is(number, 'failed')) return 'ending'
    if (batches.isUnwritten(number)) return 'underWay'
    if (table.is(number, 'waiting')) return 'ready'
    return table.place(number) === NOBODY ? 'underWay' : 'delayed'
  }

  /** Whether a number is of a message that is meant, as far as the table knows. */
  fits(number: number, { id, ...selection }: Selection): boolean {
    const { table, queues } = this.#parts
    const known = table.id(number)
    if (known === '' || (id !== undefined && known !== id)) return false
    return fitsQueue(selection, queues.of(number))
  }

  /** The message of a number, where it is meant, down to its content; undefined: it is not, or not any more. */
  async read(number: number, { filter }: Selection): Promise<StoredMessage | undefined> {
    const { table, spool } = this.#parts
    const id = table.id(number)
    const message = await spool.message(id)
    if (message === undefined || table.id(number) !== id) return undefined
    if (filter === undefined) return message
    const header = async (): Promise<string | undefined> => {
      // one whose header cannot be read has none of its lines
      const content = await spool.read(id).catch(() => undefined)
      return content && Buffer.from(content.header).toString('latin1')
    }
    return (await fitsFilter(message, filter, header)) ? message : undefined
  }

  row(number: number, message: StoredMessage): MessageRow | undefined {
    const stand = this.stand(number)
    return stand && rowOf(message, { stand, due: this.#parts.table.due(number) })
  }
}
