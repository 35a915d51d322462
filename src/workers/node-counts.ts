/**
 * The counters of strict limits, shared by the processes of a node: an LMDB environment in memory that is in no hurry to
 * reach a disk. A change is one short transaction, so no two processes can both take the last place.
 *
 * What a process has taken is also counted by itself, so that the supervisor gives it back when the process is gone,
 * however it went (`clear`). A process that is killed inside a transaction leaves nothing of it: the lock is robust and
 * pages are only ever replaced.
 */

import { createHash } from 'node:crypto'
import { accessSync, constants, mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { open, type RootDatabase } from 'lmdb'
import type { Budget, LimitCounts } from '../config/limit-counts.ts'

/** address space; a million counters need less */
const MAP_SIZE = 2 ** 28
/** octets of a counter's name in a key; LMDB takes 1978 */
const MAX_NAME = 900
const MEMORY = '/dev/shm'
/** octets that the table has from the start: LMDB must not meet a full file system later */
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

export class NodeCounts implements LimitCounts {
  readonly #table: RootDatabase<number, string>
  readonly #slot: number

  /** @param slot of this process, among all that have the table open */
  constructor(folder: string, slot: number) {
    this.#slot = slot
    this.#table = open<number, string>({
      path: folder,
      encoding: 'ordered-binary',
      mapSize: MAP_SIZE,
      noSync: true,
      noMetaSync: true,
      overlappingSync: false,
      eventTurnBatching: false,
    })
  }

  /** Takes room for many counters; for who makes the table. */
  takeRoom(): void {
    const names = Array.from({ length: ROOM / 1024 }, (_, n) => `room|${n}|${'x'.repeat(MAX_NAME - 20)}`)
    this.#table.transactionSync(() => {
      for (const name of names) this.#table.putSync(name, 1)
    })
    this.#table.transactionSync(() => {
      for (const name of names) this.#table.removeSync(name)
    })
  }

  get size(): number {
    return this.#table.getKeysCount({ start: 'all|', end: 'all}' })
  }

  take(budgets: readonly Budget[]): boolean {
    return this.#table.transactionSync(() => this.#take(budgets))
  }

  give(counters: readonly string[]): void {
    this.#table.transactionSync(() => this.#add(counters, -1))
  }

  swap(from: readonly string[], to: readonly Budget[]): boolean {
    return this.#table.transactionSync(() => {
      this.#add(from, -1)
      const room = this.#take(to)
      if (!room) this.#add(from, 1)
      return room
    })
  }

  count(counter: string): number {
    return this.#table.get(allKey(counter)) ?? 0
  }

  /** A process is gone: what it had taken is free. */
  clear(slot: number): void {
    const [start, end] = [`${slot}|`, `${slot}}`]
    this.#table.transactionSync(() => {
      for (const { key, value } of Array.from(this.#table.getRange({ start, end }))) {
        this.#change(`all|${key.slice(start.length)}`, -value)
        this.#table.removeSync(key)
      }
    })
  }

  async close(): Promise<void> {
    await this.#table.close()
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
      const own = this.#change(`${this.#slot}|${nameOf(counter)}`, change)
      // what this process never took is nothing that it can give back
      if (own >= 0) this.#change(allKey(counter), change)
      else this.#change(`${this.#slot}|${nameOf(counter)}`, 1)
    }
  }

  #change(key: string, change: number): number {
    const value = (this.#table.get(key) ?? 0) + change
    if (value === 0) this.#table.removeSync(key)
    else this.#table.putSync(key, value)
    return value
  }
}

function allKey(counter: string): string {
  return `all|${nameOf(counter)}`
}

/** Names are of configurations and of clients; a long one is cut, and then counts together with its like. */
function nameOf(counter: string): string {
  return counter.length <= MAX_NAME ? counter : counter.slice(0, MAX_NAME)
}
