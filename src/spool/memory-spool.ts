/**
 * A spool that keeps nothing beyond the process: for tests of what stands on a spool.
 *
 * It keeps the contract of spool.ts except durability: a commit settles at the next turn. `storage` may be given to a
 * second MemorySpool, which then recovers what the first one kept.
 */

import type { Envelope } from '../mail/envelope.ts'
import { firstAlike } from './alike.ts'
import { freshState } from './record.ts'
import type {
  DeliveryState,
  NewMessage,
  ReceptionWriter,
  Spool,
  StoredContent,
  StoredMessage,
} from './spool.ts'
import { SpoolFullError } from './spool.ts'

interface Kept extends StoredMessage {
  readonly header: Uint8Array
  readonly body: Uint8Array
  readonly contentKey: number
}

/** What a MemorySpool holds, by message id. */
export type MemoryStorage = Map<string, Kept>

export interface MemorySpoolOptions {
  /** octets of headers and bodies that it takes, asked each time; unlimited unless given */
  readonly capacity?: () => number
  readonly storage?: MemoryStorage
}

export class MemorySpool implements Spool {
  readonly #storage: MemoryStorage
  readonly #capacity: () => number
  /** octets under reception */
  #receiving = 0
  #closed = false

  constructor(options: MemorySpoolOptions = {}) {
    this.#storage = options.storage ?? new Map()
    this.#capacity = options.capacity ?? (() => Number.POSITIVE_INFINITY)
  }

  hasRoom(): boolean {
    return !this.#closed && this.#used() < this.#capacity()
  }

  create(): ReceptionWriter {
    this.#refuseWhenClosed()
    let chunks: Uint8Array[] = []
    let size = 0
    let open = true
    const end = (): void => {
      this.#receiving -= open ? size : 0
      open = false
      chunks = []
    }
    return {
      get size() {
        return size
      },
      append: (chunk) => {
        if (!open) throw new Error('this reception cannot take bytes now')
        if (this.#used() + chunk.length > this.#capacity()) throw new SpoolFullError()
        chunks.push(Uint8Array.from(chunk))
        size += chunk.length
        this.#receiving += chunk.length
      },
      settle: () => undefined,
      read: async () => {
        if (!open) throw new Error('this reception cannot be read')
        await Promise.resolve()
        return Buffer.concat(chunks)
      },
      chunks: async function* () {
        if (!open) throw new Error('this reception cannot be read')
        await Promise.resolve()
        yield Buffer.concat(chunks)
      },
      reserve: () => open,
      commit: async (messages) => {
        if (!open) throw new Error('this reception cannot be committed')
        const body = Buffer.concat(chunks)
        end()
        await Promise.resolve()
        this.#keep(messages, body)
      },
      abort: async () => {
        end()
        await Promise.resolve()
      },
    }
  }

  *messages(): Iterable<StoredMessage> {
    for (const { envelope, state } of this.#storage.values()) yield { envelope, state }
  }

  async message(id: string): Promise<StoredMessage | undefined> {
    this.#refuseWhenClosed()
    await Promise.resolve()
    const kept = this.#storage.get(id)
    return kept && { envelope: kept.envelope, state: kept.state }
  }

  contentKey(id: string): number | undefined {
    return this.#storage.get(id)?.contentKey
  }

  async read(id: string): Promise<StoredContent | undefined> {
    this.#refuseWhenClosed()
    await Promise.resolve()
    const kept = this.#storage.get(id)
    if (kept === undefined) return undefined
    return { header: kept.header, bodySize: kept.body.length, body: () => once(kept.body) }
  }

  async update(id: string, state: DeliveryState, envelope?: Envelope): Promise<void> {
    this.#refuseWhenClosed()
    await Promise.resolve()
    const kept = this.#storage.get(id)
    if (kept !== undefined) this.#storage.set(id, { ...kept, state, envelope: envelope ?? kept.envelope })
  }

  async remove(id: string): Promise<void> {
    this.#refuseWhenClosed()
    await Promise.resolve()
    this.#storage.delete(id)
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.resolve()
  }

  #keep(messages: readonly NewMessage[], body: Uint8Array): void {
    this.#refuseWhenClosed()
    if (messages.length === 0) throw new RangeError('there is no message to commit')
    const ids = new Set(messages.map(({ envelope }) => envelope.id))
    if (ids.size < messages.length) throw new Error('two messages of one commit have the same id')
    for (const id of ids) if (this.#storage.has(id)) throw new Error(`the message id ${id} is taken`)
    const headers = messages.reduce((sum, { header }) => sum + header.length, 0)
    const bodies = new Map(messages.map(({ body: own = body }) => [own, Uint8Array.from(own)]))
    const octets = [...bodies.keys()].reduce((sum, { length }) => sum + length, headers)
    if (this.#used() + octets > this.#capacity()) throw new SpoolFullError()
    const first = Math.max(0, ...[...this.#storage.values()].map(({ contentKey }) => contentKey)) + 1
    const alike = firstAlike(messages)
    for (const [index, { envelope, header, body: own = body }] of messages.entries()) {
      const kept = bodies.get(own) ?? own
      this.#storage.set(envelope.id, {
        contentKey: first + (alike[index] ?? index),
        envelope,
        header: Uint8Array.from(header),
        state: freshState,
        body: kept,
      })
    }
  }

  #used(): number {
    const bodies = new Set<Uint8Array>()
    let used = this.#receiving
    for (const { header, body } of this.#storage.values()) {
      used += header.length + (bodies.has(body) ? 0 : body.length)
      bodies.add(body)
    }
    return used
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new Error('the spool is closed')
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve()
  if (bytes.length > 0) yield bytes
}
