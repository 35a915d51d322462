/**
 * One file per large body: `bodies/<key>.part` while it is received, `bodies/<key>` once it is whole.
 *
 * `finish` syncs the file, renames it and syncs the directory, in that order and before anything refers to the
 * file. A name that no record refers to is a stray of a crash and is removed at the next start.
 */

import { constants, createReadStream } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { open, readdir, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { directoryMode, makeDirectory } from './directories.ts'

const READ_OCTETS = 256 * 1024
const PART = '.part'

/** What the directory holds: final bodies by key with their octets, and everything else by name. */
export interface BodyListing {
  readonly bodies: ReadonlyMap<number, number>
  readonly strays: readonly string[]
}

export class BodyFiles {
  readonly #directory: string
  readonly #handle: FileHandle
  readonly #mode: number

  private constructor(directory: string, handle: FileHandle, mode: number) {
    this.#directory = directory
    this.#handle = handle
    this.#mode = mode
  }

  /** @param partition where `bodies/` is or will be. @param mode permission bits of the files */
  static async open(partition: string, mode: number): Promise<BodyFiles> {
    const directory = join(partition, 'bodies')
    await makeDirectory(directory, directoryMode(mode))
    return new BodyFiles(directory, await open(directory, 'r'), mode)
  }

  /** Starts a body. The caller writes to the handle and gives it to `finish` or `discard`. */
  async create(key: number): Promise<FileHandle> {
    const handle = await open(
      this.#path(`${key}${PART}`),
      constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
      this.#mode,
    )
    try {
      // the umask has no say in Spool_Mode
      await handle.chmod(this.#mode)
    } catch (error) {
      await this.discard(key, handle)
      throw error
    }
    return handle
  }

  /** Makes a body durable under its final name. Closes the handle. */
  async finish(key: number, handle: FileHandle): Promise<void> {
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(this.#path(`${key}${PART}`), this.#path(String(key)))
    await this.#handle.sync()
  }

  /** Forgets a body that was not finished, or whose record could not be written. */
  async discard(key: number, handle: FileHandle): Promise<void> {
    // closing twice is harmless; what remains is removed at the next start
    await handle.close().catch(() => undefined)
    await this.remove(`${key}${PART}`)
    await this.remove(String(key))
  }

  /** Removes a file; it is no error when it is not there. */
  async remove(name: string): Promise<void> {
    try {
      await unlink(this.#path(name))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }

  /** The body's octets. @throws when the file is missing or not as long as it was */
  async *read(key: number, size: number): AsyncGenerator<Uint8Array> {
    let left = size
    for await (const chunk of createReadStream(this.#path(String(key)), { highWaterMark: READ_OCTETS })) {
      const bytes = chunk as Buffer
      left -= bytes.length
      if (left < 0) break
      yield bytes
    }
    if (left !== 0) throw new Error(`body file ${key} is not ${size} octets long`)
  }

  async list(): Promise<BodyListing> {
    const bodies = new Map<number, number>()
    const strays: string[] = []
    for (const name of await readdir(this.#directory)) {
      if (/^[1-9][0-9]{0,15}$/.test(name)) bodies.set(Number(name), (await stat(this.#path(name))).size)
      else if (name.endsWith(PART)) strays.push(name)
    }
    return { bodies, strays }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }
}
