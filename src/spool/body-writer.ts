/**
 * Octets on their way into a body file: one buffer is filled while another is written, so that whoever brings them waits for
 * the disk only when both are full, and the disk is asked seldom. Without buffers every chunk is written by itself.
 *
 * What has come of a large body is synced while the rest arrives, so that the disk has little left to do when the client waits for
 * its answer. That makes nothing durable: whoever wants that syncs the whole when it is there.
 *
 * What a write or sync in the background reports is thrown by the next call (the system tells of it only once); after that nothing
 * may be pushed any more.
 */

import type { FileHandle } from 'node:fs/promises'
import { orFull } from './space.ts'

/** one of the two buffers */
const BUFFER_OCTETS = 256 * 1024
/** what is written before a body is synced, again and again while it arrives */
const SYNC_OCTETS = 8 * 1024 * 1024
/** bodies that are synced at the same time while they arrive: each holds one of the threads that all files share */
const SYNCS_AT_ONCE = 4

/** What a writer asks before it takes anything. */
export interface BodyRoom {
  /** Takes room on the disk. @throws SpoolFullError */
  forFile(octets: number): void
  /** Takes memory once, if there is any, when the first chunk is pushed; whoever gave it takes it back. */
  forBuffers(octets: number): boolean
}

/** Syncs of bodies that still arrive; one for all writers of a spool. */
export class EarlySyncs {
  #running = 0

  /** @returns undefined while too many are under way; a rejection is SpoolFullError, or what the file reported */
  start(handle: FileHandle): Promise<void> | undefined {
    if (this.#running >= SYNCS_AT_ONCE) return undefined
    this.#running += 1
    return this.#sync(handle)
  }

  async #sync(handle: FileHandle): Promise<void> {
    try {
      await orFull(async () => await handle.datasync())
    } finally {
      this.#running -= 1
    }
  }
}

export class BodyWriter {
  readonly #handle: FileHandle
  readonly #room: BodyRoom
  readonly #syncs: EarlySyncs
  #buffered: boolean | undefined
  #filling: Buffer | undefined
  #used = 0
  #spare: Buffer | undefined
  #writing: Promise<void> | undefined
  #syncing: Promise<void> | undefined
  /** octets that were written since the last sync began */
  #unsynced = 0
  #failure: { readonly cause: unknown } | undefined

  /** @param handle where the file goes on */
  constructor(handle: FileHandle, room: BodyRoom, syncs: EarlySyncs) {
    this.#handle = handle
    this.#room = room
    this.#syncs = syncs
  }

  /** Takes a chunk; with a promise it must not change until that settles. @throws SpoolFullError, or what the file reported */
  push(chunk: Uint8Array): Promise<void> | undefined {
    this.#buffered ??= this.#room.forBuffers(2 * BUFFER_OCTETS)
    if (!this.#buffered) return this.write(chunk)
    for (let rest = chunk; ; ) {
      this.#throwFailure()
      rest = this.#fill(rest)
      if (this.#used < BUFFER_OCTETS) return undefined
      if (this.#writing !== undefined) return this.#goOn(this.#writing, rest)
      this.#writeFull()
    }
  }

  /** Writes octets behind all that were pushed, and resolves when the file has everything. */
  async write(octets: Uint8Array): Promise<void> {
    await this.flush()
    this.#room.forFile(octets.length)
    await writeAll(this.#handle, octets)
    this.#noteWritten(octets.length)
  }

  /** Resolves when everything was written; not when it is durable. @throws SpoolFullError, or what the file reported */
  async flush(): Promise<void> {
    await this.#writing
    if (this.#used > 0) this.#writeFull()
    await this.#writing
    this.#throwFailure()
  }

  /** The same, and nobody is at the file any more: a sync of the whole finds what none before it was told. */
  async end(): Promise<void> {
    await this.flush()
    await this.#syncing
    this.#throwFailure()
  }

  /** Resolves when nobody is at the file any more, however that went. */
  async idle(): Promise<void> {
    await this.#writing
    await this.#syncing
  }

  /** @returns what does not fit any more */
  #fill(octets: Uint8Array): Uint8Array {
    this.#filling ??= Buffer.allocUnsafeSlow(BUFFER_OCTETS)
    const fits = Math.min(octets.length, BUFFER_OCTETS - this.#used)
    this.#filling.set(fits === octets.length ? octets : octets.subarray(0, fits), this.#used)
    this.#used += fits
    return octets.subarray(fits)
  }

  async #goOn(writing: Promise<void>, rest: Uint8Array): Promise<void> {
    await writing
    this.#throwFailure()
    this.#writeFull()
    if (rest.length > 0) await this.push(rest)
  }

  /** Starts writing what is gathered; nothing is being written. */
  #writeFull(): void {
    const full = this.#filling
    if (full === undefined) return
    const octets = this.#used
    this.#room.forFile(octets)
    this.#filling = this.#spare
    this.#spare = undefined
    this.#used = 0
    this.#writing = this.#writeInBackground(full, octets)
  }

  async #writeInBackground(buffer: Buffer, octets: number): Promise<void> {
    try {
      await writeAll(this.#handle, buffer.subarray(0, octets))
      this.#noteWritten(octets)
    } catch (error) {
      this.#failure = { cause: error }
    }
    this.#spare = buffer
    this.#writing = undefined
  }

  #noteWritten(octets: number): void {
    this.#unsynced += octets
    if (this.#unsynced < SYNC_OCTETS || this.#syncing !== undefined) return
    const sync = this.#syncs.start(this.#handle)
    if (sync !== undefined) this.#syncing = this.#syncInBackground(sync)
  }

  async #syncInBackground(sync: Promise<void>): Promise<void> {
    this.#unsynced = 0
    try {
      await sync
    } catch (error) {
      this.#failure ??= { cause: error }
    }
    this.#syncing = undefined
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.cause
  }
}

/** Goes on after a partial write. @throws SpoolFullError when the disk is full */
async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  await orFull(async () => {
    for (let at = 0; at < bytes.length; )
      at += (await handle.write(bytes, at, bytes.length - at)).bytesWritten
  })
}
