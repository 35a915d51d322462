/**
 * A body under reception: in memory while it is small and the shared budget lasts, otherwise in a file.
 *
 * All bodies under reception share one budget of octets (`Reception_Memory`), so memory stays flat whatever clients
 * send: what the budget refuses goes to the file at once. A failed append leaves the writer usable for abort only.
 */

import type { FileHandle } from 'node:fs/promises'
import type { EarlySyncs } from './body-writer.ts'
import { BodyWriter } from './body-writer.ts'
import type { NewMessage, ReceptionWriter } from './spool.ts'

/** a file's octets are read in pieces of this size */
const PIECE = 64 * 1024

/** Octets of memory that many share. */
export class MemoryBudget {
  readonly #limit: number
  #used = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  get used(): number {
    return this.#used
  }

  /** Takes octets, or answers false and takes none. */
  take(octets: number): boolean {
    if (this.#used + octets > this.#limit) return false
    this.#used += octets
    return true
  }

  give(octets: number): void {
    this.#used -= octets
  }
}

/** A whole body, ready to be kept. */
export type ReceivedBody =
  | { readonly kind: 'memory'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly key: number; readonly size: number; readonly handle: FileHandle }

/** What a reception needs of the spool. */
export interface ReceptionHost {
  readonly budget: MemoryBudget
  readonly earlySyncs: EarlySyncs
  /** larger bodies get a file of their own, octets */
  readonly largeBody: number
  /** @throws SpoolFullError unless new mail may still take this much */
  checkRoom(octets: number): void
  /** Takes room for octets that go to a file. @throws SpoolFullError */
  takeForFile(octets: number): void
  /** a number that no body has had */
  newKey(): number
  createFile(key: number): Promise<FileHandle>
  discardFile(key: number, handle: FileHandle): Promise<void>
  /** Makes body and messages durable; the file is the host's from here on, also when this fails. */
  keep(body: ReceivedBody, messages: readonly NewMessage[]): Promise<void>
}

interface BodyFile {
  readonly key: number
  readonly handle: FileHandle
  readonly writer: BodyWriter
}

export class Reception implements ReceptionWriter {
  readonly #host: ReceptionHost
  #size = 0
  #chunks: Uint8Array[] = []
  /** octets in #chunks, taken from the budget */
  #held = 0
  /** octets taken from the budget for the file's buffers and for whoever works with the body */
  #reserved = 0
  #file: BodyFile | undefined
  #busy: Promise<void> | undefined
  #state: 'open' | 'broken' | 'done' = 'open'

  constructor(host: ReceptionHost) {
    this.#host = host
  }

  get size(): number {
    return this.#size
  }

  append(chunk: Uint8Array): void | Promise<void> {
    if (this.#state !== 'open' || this.#busy !== undefined)
      throw new Error('this reception cannot take bytes now')
    if (chunk.length === 0) return undefined
    if (this.#file !== undefined) return this.#appendToFile(this.#file.writer, chunk)
    if (this.#held + chunk.length > this.#host.largeBody || !this.#host.budget.take(chunk.length))
      return this.#wait(this.#spill(chunk))
    this.#held += chunk.length
    try {
      this.#host.checkRoom(0)
    } catch (error) {
      this.#state = 'broken'
      throw error
    }
    this.#chunks.push(new Uint8Array(chunk))
    this.#size += chunk.length
    return undefined
  }

  settle(): Promise<void> | undefined {
    this.#refuseReading()
    return this.#file && this.#wait(this.#file.writer.flush())
  }

  async read(): Promise<Uint8Array> {
    await this.settle()
    if (this.#file === undefined) return Buffer.concat(this.#chunks, this.#size)
    const { handle } = this.#file
    const bytes = Buffer.allocUnsafe(this.#size)
    await this.#readInto(handle, bytes)
    return bytes
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    await this.settle()
    if (this.#file === undefined) {
      if (this.#size > 0) yield Buffer.concat(this.#chunks, this.#size)
      return
    }
    const { handle } = this.#file
    for (let at = 0; at < this.#size; at += PIECE) {
      this.#refuseReading()
      const bytes = Buffer.allocUnsafe(Math.min(PIECE, this.#size - at))
      await this.#readInto(handle, bytes, at)
      yield bytes
    }
    this.#refuseReading()
  }

  reserve(octets: number): boolean {
    if (this.#state === 'done' || !this.#host.budget.take(octets)) return false
    this.#reserved += octets
    return true
  }

  async commit(messages: readonly NewMessage[]): Promise<void> {
    if (this.#state !== 'open' || this.#busy !== undefined)
      throw new Error('this reception cannot be committed')
    this.#state = 'done'
    try {
      const file = this.#file
      if (file !== undefined) await file.writer.end()
      this.#file = undefined
      await this.#host.keep(
        file === undefined
          ? { kind: 'memory', bytes: joined(this.#chunks, this.#size) }
          : { kind: 'file', key: file.key, handle: file.handle, size: this.#size },
        messages,
      )
    } finally {
      const released = this.#release()
      if (released !== undefined) await released
    }
  }

  async abort(): Promise<void> {
    if (this.#state === 'done') return
    this.#state = 'done'
    // its own caller is told of the failure
    await this.#busy?.catch(() => undefined)
    await this.#release()
  }

  #appendToFile(writer: BodyWriter, chunk: Uint8Array): void | Promise<void> {
    this.#size += chunk.length
    try {
      const full = writer.push(chunk)
      return full === undefined ? undefined : this.#wait(full)
    } catch (error) {
      this.#state = 'broken'
      throw error
    }
  }

  /** For work that belongs to the body: nothing else may be asked meanwhile, and after a failure only abort. */
  async #wait(work: Promise<void>): Promise<void> {
    this.#busy = work
    try {
      await work
    } catch (error) {
      if (this.#state === 'open') this.#state = 'broken'
      throw error
    } finally {
      this.#busy = undefined
    }
  }

  /** From memory to a file: what is held, then the chunk. */
  async #spill(chunk: Uint8Array): Promise<void> {
    this.#host.checkRoom(0)
    const key = this.#host.newKey()
    const handle = await this.#host.createFile(key)
    const room = {
      forFile: (octets: number) => this.#host.takeForFile(octets),
      forBuffers: (octets: number) => this.reserve(octets),
    }
    const writer = new BodyWriter(handle, room, this.#host.earlySyncs)
    this.#file = { key, handle, writer }
    this.#size += chunk.length
    await writer.write(joined([...this.#chunks, chunk], this.#held + chunk.length))
    this.#drop()
  }

  #refuseReading(): void {
    if (this.#state !== 'open' || this.#busy !== undefined) throw new Error('this reception cannot be read')
  }

  /** Nothing is appended meanwhile. */
  async #readInto(handle: FileHandle, bytes: Uint8Array, from = 0): Promise<void> {
    const work = readInto(handle, bytes, from)
    this.#busy = work
    try {
      await work
    } finally {
      this.#busy = undefined
    }
  }

  /** Gives back memory, and the file unless the host has it. A promise only where there is a file. */
  #release(): Promise<void> | undefined {
    this.#drop()
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) return this.#discard(file)
    this.#giveBack()
    return undefined
  }

  async #discard({ key, handle, writer }: BodyFile): Promise<void> {
    // its buffers are in use until then
    await writer.idle()
    this.#giveBack()
    await this.#host.discardFile(key, handle)
  }

  #giveBack(): void {
    this.#host.budget.give(this.#reserved)
    this.#reserved = 0
  }

  #drop(): void {
    this.#chunks = []
    this.#host.budget.give(this.#held)
    this.#held = 0
  }
}

/** The chunk itself where there is but one. */
function joined(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = chunks
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks, size)
}

/** Reads without moving the place where the file is written. */
async function readInto(handle: FileHandle, bytes: Uint8Array, from = 0): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await handle.read(bytes, at, bytes.length - at, from + at)
    if (bytesRead === 0) throw new Error('the body file is shorter than what was written to it')
    at += bytesRead
  }
}
