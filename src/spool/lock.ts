/**
 * One process per spool: an exclusive lock on `<partition>/lock`, held until `release` or until the process ends.
 *
 * The lock is the kernel's (an fcntl lock that SQLite, part of Node, takes on the file): it dies with its holder, so a
 * stale one cannot exist, and it holds across containers and pid namespaces that share the directory. SQLite writes
 * nothing into the file, so a full disk does not matter. Nothing else may open that file: closing any descriptor of
 * it in this process would drop the lock. The holder's pid stands in `owner`, for people only.
 */

import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Another process has this spool open. Start-up must refuse. */
export class SpoolLockedError extends Error {
  readonly path: string
  /** the holder's pid, undefined when it could not be read */
  readonly pid: number | undefined

  constructor(path: string, pid: number | undefined) {
    super(`the spool ${path} is in use by ${pid === undefined ? 'another process' : `process ${pid}`}`)
    this.name = 'SpoolLockedError'
    this.path = path
    this.pid = pid
  }
}

const SQLITE_BUSY = 5

export class SpoolLock {
  readonly #database: DatabaseSync

  private constructor(database: DatabaseSync) {
    this.#database = database
  }

  /**
   * @param directory the partition's directory; must exist
   * @param mode permission bits of the two files
   * @throws SpoolLockedError when a live process holds it
   */
  static acquire(directory: string, mode: number): SpoolLock {
    const path = join(directory, 'lock')
    const owner = join(directory, 'owner')
    const database = new DatabaseSync(path, { timeout: 0 })
    try {
      database.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
    } catch (error) {
      database.close()
      if ((error as { errcode?: number }).errcode === SQLITE_BUSY) {
        throw new SpoolLockedError(directory, readPid(owner))
      }
      throw error
    }
    chmodSync(path, mode)
    try {
      writeFileSync(owner, `${process.pid}\n`, { mode })
    } catch {
      // a full disk: the lock holds all the same, only its message will be less helpful
    }
    return new SpoolLock(database)
  }

  release(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

function readPid(path: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(path, 'latin1'), 10)
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}
