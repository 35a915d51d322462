/**
 * The LMDB environment of one partition: four small tables of octets by number, and atomic, synced batches.
 *
 * `apply` resolves after the pages were written, fdatasync returned and the meta page went out through a descriptor
 * opened with O_DSYNC: that is LMDB's own order with overlapping sync switched off, and what the tests see in the
 * recorded I/O. A batch that fails leaves nothing behind. Numbers only grow, so that what arrives together is written
 * to the same pages. Who calls sees to it that the disk has room (space.ts).
 */

import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import type { Database, RootDatabase } from 'lmdb'
import { open } from 'lmdb'
import { dataFile, prepareDataFile } from './data-file.ts'

/** messages: records (record.ts). headers, bodies: content. damaged: records that could not be read. */
export type Table = 'messages' | 'headers' | 'bodies' | 'damaged'

const TABLES: readonly Table[] = ['messages', 'headers', 'bodies', 'damaged']

/** One change. Without a value the entry goes. */
export interface Write {
  readonly table: Table
  readonly key: number
  /** must not change until the batch has settled */
  readonly value: Uint8Array | undefined
}

/** How the environment's pages are used. */
export interface PageUse {
  readonly pageSize: number
  /** pages in the file, up to the last that was ever used */
  readonly pages: number
  /** pages below that which hold nothing and are used again before the file grows */
  readonly free: number
  /** pages of the trees themselves: all that is not free and not content with pages of its own */
  readonly treePages: number
  /** levels of the deepest tree */
  readonly depth: number
}

/** What lmdb-js reports about one tree. */
interface TreeStats {
  readonly treeDepth: number
  readonly treeBranchPageCount: number
  readonly treeLeafPageCount: number
  readonly overflowPages: number
}

interface Stats extends TreeStats {
  readonly entryCount: number
  readonly pageSize: number
  readonly lastPageNumber: number
  readonly root: TreeStats
  readonly free: TreeStats
}

/** address space, not disk: LMDB maps the file and would otherwise map it anew each time that it doubles */
const MAP_SIZE = 2 ** 36
/** LMDB's two meta pages are in no tree */
const META_PAGES = 2

export class Store {
  readonly #root: RootDatabase<Buffer, number>
  readonly #tables: Readonly<Record<Table, Database<Buffer, number>>>

  /** @param mode permission bits of the files, whatever the umask. @throws DataFileError, or what LMDB reports */
  constructor(directory: string, mode: number) {
    const file = dataFile(directory)
    prepareDataFile(file, mode)
    const root = open<Buffer, number>({
      path: directory,
      encoding: 'binary',
      noSubdir: false,
      maxDbs: TABLES.length + 1,
      mapSize: MAP_SIZE,
      overlappingSync: false,
      eventTurnBatching: false,
    })
    chmodSync(file, mode)
    chmodSync(join(directory, 'lock.mdb'), mode)
    const table = (name: Table): Database<Buffer, number> => root.openDB(name, { encoding: 'binary' })
    this.#root = root
    this.#tables = {
      messages: table('messages'),
      headers: table('headers'),
      bodies: table('bodies'),
      damaged: table('damaged'),
    }
  }

  get(table: Table, key: number): Buffer | undefined {
    return this.#tables[table].get(key)
  }

  has(table: Table, key: number): boolean {
    return this.#tables[table].doesExist(key)
  }

  /** Every entry, by rising key. For start-up: it holds a snapshot as long as it runs. */
  entries(table: Table): Iterable<{ readonly key: number; readonly value: Buffer }> {
    return this.#tables[table].getRange({})
  }

  /** Every key, rising; values are not touched. */
  keys(table: Table): Iterable<number> {
    return this.#tables[table].getKeys({})
  }

  count(table: Table): number {
    return (this.#tables[table].getStats() as Stats).entryCount
  }

  /** The largest key in use, 0 when there is none. */
  lastKey(): number {
    const lasts = TABLES.map((name) => [...this.#tables[name].getKeys({ reverse: true, limit: 1 })][0])
    return Math.max(0, ...lasts.map((key) => key ?? 0))
  }

  /** Makes all writes durable, or none. Resolves after the sync. */
  async apply(writes: readonly Write[]): Promise<void> {
    const done = this.#root.batch(() => {
      for (const { table, key, value } of writes) {
        // what these two return is settled with the batch
        if (value === undefined) void this.#tables[table].remove(key)
        else void this.#tables[table].put(key, value as Buffer)
      }
    })
    try {
      await done
    } catch (error) {
      throw await storageError(error)
    }
  }

  pageUse(): PageUse {
    this.#root.resetReadTxn()
    const trees = TABLES.map((name) => this.#tables[name].getStats() as Stats)
    const last = trees[0] as Stats
    const all = [...trees, last.root, last.free]
    const treePages = all.reduce((sum, tree) => sum + tree.treeBranchPageCount + tree.treeLeafPageCount, 0)
    const used = all.reduce((sum, tree) => sum + tree.overflowPages, treePages + META_PAGES)
    const pages = last.lastPageNumber + 1
    return {
      pageSize: last.pageSize,
      pages,
      free: Math.max(0, pages - used),
      treePages,
      depth: Math.max(...trees.map((tree) => tree.treeDepth)),
    }
  }

  async close(): Promise<void> {
    await this.#root.close()
  }
}

/** lmdb-js rejects with a general error whose `commitError` is a promise that is rejected with the cause. */
async function storageError(error: unknown): Promise<Error> {
  let cause = error
  try {
    await (error as { commitError?: Promise<unknown> }).commitError
  } catch (inner) {
    cause = inner
  }
  return new Error(
    `the spool could not be written: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      cause,
    },
  )
}
