/**
 * A file of users, read again when its date, size or inode changes. One that cannot be read or is too large is
 * AuthUnavailableError, which names the file and no line of it.
 */

import { constants, open } from 'node:fs/promises'
import { AuthUnavailableError } from './store.ts'

const MAX_OCTETS = 16 * 1024 * 1024

/** A pipe in place of the file must not block a thread of the process: hence O_NONBLOCK. */
const READ = constants.O_RDONLY | constants.O_NONBLOCK

export class CachedFile<T> {
  readonly path: string
  readonly #parse: (text: string) => T
  readonly #maximum: number
  #stamp = ''
  #contents: T | undefined

  /** @param parse gets the file as a byte string, and must not throw */
  constructor(path: string, parse: (text: string) => T, maximum = MAX_OCTETS) {
    this.path = path
    this.#parse = parse
    this.#maximum = maximum
  }

  /** @throws AuthUnavailableError */
  async read(): Promise<T> {
    try {
      const file = await open(this.path, READ)
      try {
        const status = await file.stat()
        if (!status.isFile()) throw new AuthUnavailableError(`${this.path} is not a regular file`)
        const { mtimeMs, ctimeMs, size, ino, dev } = status
        const stamp = `${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
        if (this.#contents !== undefined && this.#stamp === stamp) return this.#contents
        if (size > this.#maximum) {
          throw new AuthUnavailableError(`${this.path} is larger than ${this.#maximum} octets`)
        }
        const contents = this.#parse(await file.readFile('latin1'))
        this.#contents = contents
        this.#stamp = stamp
        return contents
      } finally {
        await file.close()
      }
    } catch (error) {
      if (error instanceof AuthUnavailableError) throw error
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new AuthUnavailableError(`cannot read the user list ${this.path}: ${code}`)
    }
  }
}
