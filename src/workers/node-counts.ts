/**
 * The counters of strict limits, shared by the processes of a node: a SQLite database in memory that is in no hurry to
 * reach a disk. A change is one short transaction, so no two processes can both take the last place.
 *
 * What a process has taken is counted for itself, so that the supervisor gives it back when the process is gone, however
 * it went (`clear`). SQLite's locks are the kernel's (fcntl): they end with the process that held them, and a transaction
 * that was not committed never was. Should one be held for longer than a moment (its process was stopped in the midst of
 * it), nothing is taken and the limit counts as reached; what is to be given back is given back later.
 */

import { createHash } from 'node:crypto'
import { accessSync, constants, mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { Budget, LimitCounts } from '../config/limit-counts.ts'

/** octets of a counter's name */
const MAX_NAME = 900
/** milliseconds that a change waits for another process's */
const PATIENCE = 2000
const MEMORY = '/dev/shm'
/** octets that the table has from the start, so that a file system that fills up later takes none of it */
const ROOM = 4 * 1024 * 1024

/**
 * A new folder for the table of one node, in the place of the one that a node before it may have left behind. The node
 * must have the spool's lock.
 * @param spool where it is made when the system has no file system in memory
 */
export function makeTableFolder(spool: string): string {
  const name = createHash('sha256').update(resolve(spool)).digest('hex').slice(0, 16)
  try {
    accessSync(MEMORY, constants.W_OK)
    const { bavail, bsize } = statfsSync(MEMORY)
    if (bavail * bsize < 8 * ROOM) throw new Error('it is too full')
    return makeAnew(join(MEMORY, `postern-${name}`))
  } catch {
    // also where somebody else has made a folder of that name
    return makeAnew(join(spool, 'counts'))
  }
}

function makeAnew(folder: string): string {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { mode: 0o700 })
  return folder
}

export function removeTableFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

const TABLE = `CREATE TABLE IF NOT EXISTS counts
  (name TEXT, slot INTEGER, taken INTEGER, PRIMARY KEY (name, slot)) WITHOUT ROWID`

export class NodeCounts implements LimitCounts {
  readonly #database: DatabaseSync
  readonly #slot: number
  readonly #sum: StatementSync
  readonly #own: StatementSync
  readonly #put: StatementSync
  readonly #remove: StatementSync
  /** what could not be given back yet */
  #owed: string[] = []
  /** processes that could not be cleared yet */
  #gone: number[] = []

  /** @param slot of this process, among all that have the table open */
  constructor(folder: string, slot: number) {
    this.#slot = slot
    this.#database = new DatabaseSync(join(folder, 'counts.db'), { timeout: PATIENCE })
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF')
    this.#database.exec(TABLE)
    this.#sum = this.#database.prepare('SELECT total(taken) AS n FROM counts WHERE name = ?')
    this.#own = this.#database.prepare('SELECT total(taken) AS n FROM counts WHERE name = ? AND slot = ?')
    this.#put = this.#database.prepare('INSERT OR REPLACE INTO counts VALUES (?, ?, ?)')
    this.#remove = this.#database.prepare('DELETE FROM counts WHERE name = ? AND slot = ?')
  }

  /** Takes room for many counters; for who makes the table. */
  takeRoom(): void {
    const filler = 'x'.repeat(MAX_NAME - 20)
    this.#change(() => {
      for (let n = 0; n < ROOM / 1024; n++) this.#put.run(`${n} ${filler}`, -1, 1)
      return true
    })
    this.clear(-1)
  }

  get size(): number {
    return number(this.#database.prepare('SELECT count(DISTINCT name) AS n FROM counts').get())
  }

  take(budgets: readonly Budget[]): boolean {
    return this.#change(() => this.#take(budgets)) ?? false
  }

  give(counters: readonly string[]): void {
    const done = this.#change(() => {
      this.#add(counters, -1)
      return true
    })
    if (done === undefined) this.#owed.push(...counters)
  }

  swap(from: readonly string[], to: readonly Budget[]): boolean {
    const swapped = this.#change(() => {
      this.#add(from, -1)
      const room = this.#take(to)
      if (!room) this.#add(from, 1)
      return room
    })
    return swapped ?? false
  }

  count(counter: string): number {
    return number(this.#sum.get(nameOf(counter)))
  }

  /** A process is gone: what it had taken is free. */
  clear(slot: number): void {
    if (this.#change(() => this.#forget(slot)) === undefined) this.#gone.push(slot)
  }

  close(): void {
    this.#database.close()
  }

  /** In one transaction, with what is owed; undefined, and nothing changed, when the table is not to be had now. */
  #change<T extends boolean>(work: () => T): T | undefined {
    try {
      this.#database.exec('BEGIN IMMEDIATE')
    } catch {
      return undefined
    }
    try {
      this.#add(this.#owed, -1)
      for (const slot of this.#gone) this.#forget(slot)
      const result = work()
      this.#database.exec('COMMIT')
      this.#owed = []
      this.#gone = []
      return result
    } catch {
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK')
      return undefined
    }
  }

  #forget(slot: number): true {
    this.#database.prepare('DELETE FROM counts WHERE slot = ?').run(slot)
    return true
  }

  #take(budgets: readonly Budget[]): boolean {
    if (budgets.some(({ counter, limit }) => limit > 0 && this.count(counter) >= limit)) return false
    this.#add(
      budgets.map(({ counter }) => counter),
      1,
    )
    return true
  }

  #add(counters: readonly string[], change: 1 | -1): void {
    for (const counter of counters) {
      const name = nameOf(counter)
      const taken = number(this.#own.get(name, this.#slot)) + change
      if (taken > 0) this.#put.run(name, this.#slot, taken)
      // what this process never took is nothing that it can give back
      else this.#remove.run(name, this.#slot)
    }
  }
}

function number(row: Record<string, unknown> | undefined): number {
  return Number(row?.['n'] ?? 0)
}

/** Names are of configurations and of clients; a long one is cut, and then counts together with its like. */
function nameOf(counter: string): string {
  return counter.length <= MAX_NAME ? counter : counter.slice(0, MAX_NAME)
}
