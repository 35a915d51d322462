/**
 * The spool on disk, one partition of it: `<path>/<partition>/` with an LMDB environment and a file per large body.
 *
 * `commit` resolves when header, body and envelope are on stable storage and the directory entries with them (design
 * §6). A second process on the same partition is refused (lock.ts). Below `minFree` new mail is refused, and removals
 * and updates go on; LMDB never meets a full disk (space.ts). What a start finds and repairs: recover.ts. Momentum's
 * options: Spoolbase, Spool_Mode; unlike Momentum (Force_fsync = false) nothing is acknowledged before the sync.
 */

import type { FileHandle } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { EventSink, Panic } from '../events/events.ts'
import type { Envelope } from '../mail/envelope.ts'
import { BodyFiles } from './body-files.ts'
import { EarlySyncs } from './body-writer.ts'
import { dataFile } from './data-file.ts'
import { directoryMode, makeDirectory, syncDirectory } from './directories.ts'
import type { CommitTarget } from './group-commit.ts'
import { GroupCommit } from './group-commit.ts'
import { SpoolLock } from './lock.ts'
import { place } from './placing.ts'
import type { ReceivedBody, ReceptionHost } from './reception.ts'
import { MemoryBudget, Reception } from './reception.ts'
import { decodeRecord, encodeRecord, withState } from './record.ts'
import type { Entry } from './recover.ts'
import { recover } from './recover.ts'
import { orFull, Space } from './space.ts'
import type {
  DeliveryState,
  NewMessage,
  ReceptionWriter,
  Spool,
  StoredContent,
  StoredMessage,
} from './spool.ts'
import { SpoolFullError } from './spool.ts'
import type { Write } from './store.ts'
import { Store } from './store.ts'

export interface SpoolOptions {
  /** Spoolbase; made when missing */
  readonly path: string
  /** Spool_Mode: permission bits of the files, whatever the umask */
  readonly mode: number
  /** Spool_Min_Free, octets; read each time, so that a reload may change it */
  readonly minFree: number
  /** Reception_Memory: octets of bodies under reception that may be in memory at once */
  readonly receptionMemory: number
  /** Large_Message_Threshold: larger bodies get a file of their own, octets; 256 KiB unless given */
  readonly largeBody?: number
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** gets a panic fact for everything that an operator must know */
  readonly events: EventSink
  /** which partition under `path`; 0 unless said otherwise */
  readonly partition?: number
  /** processes of this node, each with partitions of its own on the same file system; 1 unless given */
  readonly sharers?: number
}

/** Large_Message_Threshold where nobody gives one */
const LARGE_BODY = 256 * 1024

interface Parts {
  readonly options: SpoolOptions
  readonly lock: SpoolLock
  readonly store: Store
  readonly files: BodyFiles
  readonly budget: MemoryBudget
  readonly space: Space
  readonly commits: GroupCommit
  readonly entries: Map<string, Entry>
  readonly nextKey: number
}

/**
 * Opens a partition and recovers what is in it.
 * @throws SpoolLockedError when another process has it; DataFileError when its data file is damaged or something else
 */
export async function openSpool(options: SpoolOptions): Promise<Spool> {
  const directory = join(resolve(options.path), String(options.partition ?? 0))
  await makeDirectory(directory, directoryMode(options.mode))
  const lock = SpoolLock.acquire(directory, options.mode)
  const undo: (() => Promise<void> | void)[] = [() => lock.release()]
  try {
    const store = new Store(directory, options.mode)
    undo.push(async () => await store.close())
    const files = await BodyFiles.open(directory, options.mode)
    undo.push(async () => await files.close())
    // data.mdb and bodies/ are new entries, and so may be this directory itself
    await syncDirectory(directory)
    await syncDirectory(join(directory, '..'))
    const budget = new MemoryBudget(options.receptionMemory)
    const space = new Space({
      file: dataFile(directory),
      reserve: () => options.minFree,
      clock: options.clock,
      inMemory: () => budget.used,
      pageUse: () => store.pageUse(),
      sharers: options.sharers,
    })
    undo.push(() => space.close())
    const commits = new GroupCommit(commitTarget(options, store, space))
    const recovered = await recover({
      store,
      files,
      repair: async (writes) => await commits.submit({ writes, newMail: false }),
      panic: (text) => options.events.emit(panic(options, 'error', text)),
    })
    return new LmdbSpool({ options, lock, store, files, budget, space, commits, ...recovered })
  } catch (error) {
    for (const step of undo.toReversed()) await step()
    throw error
  }
}

function commitTarget(options: SpoolOptions, store: Store, space: Space): CommitTarget {
  const critical = (text: string): void => options.events.emit(panic(options, 'critical', text))
  return {
    apply: async (writes) => {
      try {
        await store.apply(writes)
      } catch (error) {
        critical((error as Error).message)
        throw error
      }
    },
    prepare: (need) => space.prepare(need),
    settled: () => space.settled(),
    pageUse: () => space.use,
    stalled: () => critical('the storage has not finished a write for a minute; mail is waiting'),
  }
}

class LmdbSpool implements Spool {
  readonly #parts: Parts
  readonly #entries: Map<string, Entry>
  /** how many messages share a body, by its key; a body that is not here has one */
  readonly #sharers: Map<number, number>
  readonly #space: Space
  readonly #commits: GroupCommit
  readonly #host: ReceptionHost
  #nextKey: number
  #closed = false

  constructor(parts: Parts) {
    this.#parts = parts
    this.#entries = parts.entries
    this.#nextKey = parts.nextKey
    this.#space = parts.space
    this.#commits = parts.commits
    this.#sharers = sharedBodies(parts.entries.values())
    this.#host = this.#makeHost()
  }

  hasRoom(): boolean {
    return !this.#closed && this.#space.hasRoom()
  }

  create(): ReceptionWriter {
    this.#refuseWhenClosed()
    return new Reception(this.#host)
  }

  *messages(): Iterable<StoredMessage> {
    this.#refuseWhenClosed()
    for (const entry of this.#entries.values()) {
      const record = this.#parts.store.get('messages', entry.key)
      if (record !== undefined) yield decodeRecord(record)
    }
  }

  async message(id: string): Promise<StoredMessage | undefined> {
    this.#refuseWhenClosed()
    const entry = this.#entries.get(id)
    const record = entry && this.#parts.store.get('messages', entry.key)
    // the caller waits for a message either way
    return await Promise.resolve(record && decodeRecord(record))
  }

  contentKey(id: string): number | undefined {
    const entry = this.#entries.get(id)
    return entry && entry.key - entry.alikeBack
  }

  // async, so that an error of the storage is a rejection
  async read(id: string): Promise<StoredContent | undefined> {
    this.#refuseWhenClosed()
    const entry = this.#entries.get(id)
    if (entry === undefined) return undefined
    const header = this.#parts.store.get('headers', entry.key)
    if (header === undefined) throw new Error(`the header of message ${id} is missing`)
    return { header, bodySize: entry.bodySize, body: () => this.#body(entry) }
  }

  async update(id: string, state: DeliveryState, envelope?: Envelope): Promise<void> {
    this.#refuseWhenClosed()
    const entry = this.#entries.get(id)
    const record = entry === undefined ? undefined : this.#parts.store.get('messages', entry.key)
    if (entry === undefined || record === undefined) return
    if (envelope !== undefined && envelope.id !== id) throw new Error('a message keeps its id')
    const value = envelope === undefined ? withState(record, state) : encodeRecord(envelope, entry, state)
    const write: Write = { table: 'messages', key: entry.key, value }
    await this.#commits.submit({ writes: [write], newMail: false })
  }

  async remove(id: string): Promise<void> {
    this.#refuseWhenClosed()
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    const { key, bodyKey, inFile } = entry
    const bodyInStore = !inFile && entry.bodySize > 0
    const alone = !this.#sharers.has(bodyKey)
    const writes: Write[] = [
      { table: 'messages', key, value: undefined },
      { table: 'headers', key, value: undefined },
    ]
    if (alone && bodyInStore) writes.push({ table: 'bodies', key: bodyKey, value: undefined })
    this.#entries.delete(id)
    try {
      await this.#commits.submit({ writes, newMail: false })
    } catch (error) {
      this.#entries.set(id, entry)
      throw error
    }
    if (!this.#unshare(bodyKey)) return
    if (inFile) await this.#unlink(bodyKey)
    // several left at the same time, and none was known to be the last; a start would find the body too
    else if (!alone && bodyInStore) await this.#removeBody(bodyKey)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#commits.idle()
    this.#space.close()
    await this.#parts.files.close()
    await this.#parts.store.close()
    this.#parts.lock.release()
  }

  #makeHost(): ReceptionHost {
    const { files, budget, options } = this.#parts
    return {
      budget,
      earlySyncs: new EarlySyncs(),
      largeBody: options.largeBody ?? LARGE_BODY,
      checkRoom: (octets) => {
        if (this.#space.room() < octets) throw new SpoolFullError()
      },
      takeForFile: (octets) => this.#space.takeForFile(octets),
      newKey: () => this.#newKey(),
      createFile: async (key) => await orFull(async () => await files.create(key)),
      discardFile: async (key, handle) => await this.#discard(key, handle),
      keep: (body, messages) => this.#keep(body, messages),
    }
  }

  /** Where no body goes to a file nothing is waited for before the batch. */
  async #keep(received: ReceivedBody, messages: readonly NewMessage[]): Promise<void> {
    let files: Map<Uint8Array, number> | undefined
    try {
      this.#checkNew(messages)
      if (received.kind === 'file') await this.#finish(received, messages)
      for (const { body: own } of messages) {
        if (own === undefined || own.length <= this.#host.largeBody || files?.has(own)) continue
        files ??= new Map()
        files.set(own, await this.#writeFile(own))
      }
      const { writes, entries } = place(messages, { received, files, newKey: () => this.#newKey() })
      await this.#commits.submit({ writes, newMail: true })
      this.#remember(messages, entries)
    } catch (error) {
      if (files !== undefined) for (const key of files.values()) await this.#unlink(key)
      if (received.kind === 'file') await this.#discard(received.key, received.handle)
      throw error
    }
  }

  #checkNew(messages: readonly NewMessage[]): void {
    this.#refuseWhenClosed()
    if (messages.length === 0) throw new RangeError('there is no message to commit')
    if (messages.length > 1 && new Set(messages.map(({ envelope }) => envelope.id)).size < messages.length)
      throw new Error('two messages of one commit have the same id')
    for (const { envelope } of messages) {
      if (this.#entries.has(envelope.id)) throw new Error(`the message id ${envelope.id} is taken`)
    }
  }

  /** The file of a received body is on the disk when this settles, or gone when nobody has that body. */
  async #finish(
    { key, handle }: Extract<ReceivedBody, { kind: 'file' }>,
    messages: readonly NewMessage[],
  ): Promise<void> {
    if (messages.some(({ body }) => body === undefined))
      await orFull(async () => await this.#parts.files.finish(key, handle))
    else await this.#discard(key, handle)
  }

  #remember(messages: readonly NewMessage[], entries: readonly Entry[]): void {
    for (const [index, entry] of entries.entries()) {
      const message = messages[index]
      if (message !== undefined) this.#entries.set(message.envelope.id, entry)
    }
    if (entries.length === 1) return
    for (const [key, count] of sharedBodies(entries)) this.#sharers.set(key, count)
  }

  /** Writes a body to a file of its own, which is on the disk when this settles. @returns its key. @throws SpoolFullError */
  async #writeFile(bytes: Uint8Array): Promise<number> {
    const { files } = this.#parts
    const key = this.#newKey()
    this.#space.takeForFile(bytes.length)
    const handle = await orFull(async () => await files.create(key))
    try {
      await orFull(async () => {
        await handle.writeFile(bytes)
        await files.finish(key, handle)
      })
    } catch (error) {
      await this.#discard(key, handle)
      throw error
    }
    return key
  }

  async *#body(entry: Entry): AsyncGenerator<Uint8Array> {
    if (entry.bodySize === 0) return
    if (entry.inFile) {
      yield* this.#parts.files.read(entry.bodyKey, entry.bodySize)
      return
    }
    const bytes = this.#parts.store.get('bodies', entry.bodyKey)
    if (bytes?.length !== entry.bodySize) throw new Error('the body is missing or damaged')
    yield bytes
  }

  async #removeBody(bodyKey: number): Promise<void> {
    await this.#commits.submit({
      writes: [{ table: 'bodies', key: bodyKey, value: undefined }],
      newMail: false,
    })
  }

  async #unlink(bodyKey: number): Promise<void> {
    try {
      await this.#parts.files.remove(String(bodyKey))
    } catch (error) {
      // the message is gone all the same; the next start tries again
      const text = `body file ${bodyKey} could not be removed: ${(error as Error).message}`
      this.#parts.options.events.emit(panic(this.#parts.options, 'warning', text))
    }
    this.#space.fileGone()
  }

  async #discard(key: number, handle: FileHandle): Promise<void> {
    await this.#parts.files.discard(key, handle)
    this.#space.fileGone()
  }

  #newKey(): number {
    const key = this.#nextKey
    this.#nextKey += 1
    return key
  }

  /** Whether that was the last message with this body. */
  #unshare(bodyKey: number): boolean {
    const left = (this.#sharers.get(bodyKey) ?? 1) - 1
    if (left > 1) this.#sharers.set(bodyKey, left)
    else this.#sharers.delete(bodyKey)
    return left <= 0
  }

  #refuseWhenClosed(): void {
    if (this.#closed) throw new Error('the spool is closed')
  }
}

/** The bodies that several messages have, and how many. */
function sharedBodies(entries: Iterable<Entry>): Map<number, number> {
  const counts = new Map<number, number>()
  for (const { bodyKey } of entries) counts.set(bodyKey, (counts.get(bodyKey) ?? 0) + 1)
  for (const [key, count] of counts) if (count === 1) counts.delete(key)
  return counts
}

function panic(options: SpoolOptions, level: Panic['level'], text: string): Panic {
  return { kind: 'panic', at: options.clock(), level, module: 'spool', text }
}
