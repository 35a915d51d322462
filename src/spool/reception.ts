/**
 * A body under reception: in memory while it is small and the shared budget lasts, otherwise in a file.
 *
 * All bodies under reception share one budget of octets (`Reception_Memory`), so memory stays flat whatever clients
 * send: what the budget refuses goes to the file at once. A failed append leaves the writer usable for abort only.
 */

import type { FileHandle } from 'node:fs/promises'
import { orFull } from './space.ts'
import type { NewMessage, ReceptionWriter } from './spool.ts'

/** chunks for the file are gathered up to this size, as far as the budget allows */
const FILE_CHUNK = 64 * 1024

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

export class Reception implements ReceptionWriter {
  readonly #host: ReceptionHost
  #size = 0
  #chunks: Uint8Array[] = []
  /** octets in #chunks, taken from the budget */
  #held = 0
  /** octets taken from the budget for whoever works with the body */
  #reserved = 0
  #file: { readonly key: number; readonly handle: FileHandle } | undefined
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
    const limit = this.#file === undefined ? this.#host.largeBody : FILE_CHUNK
    if (this.#held + chunk.length > limit || !this.#host.budget.take(chunk.length)) return this.#spill(chunk)
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

  async read(): Promise<Uint8Array> {
    if (this.#state !== 'open' || this.#busy !== undefined) throw new Error('this reception cannot be read')
    if (this.#file === undefined) return Buffer.concat(this.#chunks, this.#size)
    const written = this.#size - this.#held
    const bytes = Buffer.allocUnsafe(this.#size)
    const work = readInto(this.#file.handle, bytes.subarray(0, written))
    // nothing is appended meanwhile
    this.#busy = work
    try {
      await work
    } finally {
      this.#busy = undefined
    }
    let at = written
    for (const chunk of this.#chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    return bytes
  }

  async *chunks(): AsyncIterable<Uint8Array> {
    const file = this.#file
    const written = file === undefined ? 0 : this.#size - this.#held
    for (let at = 0; at < written; at += FILE_CHUNK) {
      if (this.#state !== 'open' || this.#busy !== undefined) throw new Error('this reception cannot be read')
      const bytes = Buffer.allocUnsafe(Math.min(FILE_CHUNK, written - at))
      const work = file === undefined ? Promise.resolve() : readInto(file.handle, bytes, at)
      this.#busy = work
      try {
        await work
      } finally {
        this.#busy = undefined
      }
      yield bytes
    }
    if (this.#state !== 'open' || this.#busy !== undefined) throw new Error('this reception cannot be read')
    if (this.#chunks.length > 0) yield Buffer.concat(this.#chunks, this.#held)
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
      if (this.#file !== undefined && this.#held > 0) await this.#write()
    } catch (error) {
      await this.#release()
      throw error
    }
    const file = this.#file
    this.#file = undefined
    try {
      await this.#host.keep(
        file === undefined
          ? { kind: 'memory', bytes: joined(this.#chunks, this.#size) }
          : { kind: 'file', ...file, size: this.#size },
        messages,
      )
    } finally {
      await this.#release()
    }
  }

  async abort(): Promise<void> {
    if (this.#state === 'done') return
    this.#state = 'done'
    // its own caller is told of the failure
    await this.#busy?.catch(() => undefined)
    await this.#release()
  }

  async #spill(chunk: Uint8Array): Promise<void> {
    const work = this.#spillNow(chunk)
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

  async #spillNow(chunk: Uint8Array): Promise<void> {
    if (this.#file === undefined) {
      this.#host.checkRoom(0)
      const key = this.#host.newKey()
      this.#file = { key, handle: await this.#host.createFile(key) }
    }
    this.#size += chunk.length
    await this.#write(chunk)
  }

  /** Writes what is held, then the chunk, to the file. */
  async #write(chunk?: Uint8Array): Promise<void> {
    if (this.#file === undefined) throw new Error('there is no file to write to')
    const octets = this.#held + (chunk?.length ?? 0)
    this.#host.takeForFile(octets)
    const parts = chunk === undefined ? this.#chunks : [...this.#chunks, chunk]
    await writeAll(this.#file.handle, parts)
    this.#drop()
  }

  /** Gives back memory, and the file unless the host has it. */
  async #release(): Promise<void> {
    this.#drop()
    this.#host.budget.give(this.#reserved)
    this.#reserved = 0
    const file = this.#file
    this.#file = undefined
    if (file !== undefined) await this.#host.discardFile(file.key, file.handle)
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

/** @throws SpoolFullError when the disk is full */
async function writeAll(handle: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  // writeFile starts where the file stands and goes on after a partial write
  const bytes = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  await orFull(async () => await handle.writeFile(bytes))
}
