/**
 * How much room the spool has, and the rule that LMDB never meets a full disk.
 *
 * Room is what the file system has free, plus what is free inside the data file (which never shrinks), less what is
 * under reception, less the reserve (`Spool_Min_Free`). New mail needs room; updates and removals do not, that is what
 * the reserve is for. Before a batch goes to LMDB, the most that it could make the file grow by is known to be
 * there: either the file system has it and much more, or it was written as zeros at the file's end beforehand, and
 * the file has no holes. Writing zeros fails as an ordinary error, where lmdb-js (3.5.6) writes its message about a
 * failed write past the end of a buffer and takes the process down. Near the limit some of the reserve is held in the
 * file as well, so that mail can leave even when others have filled the disk.
 */

import { closeSync, fdatasync, fstatSync, openSync, read, statfsSync, write } from 'node:fs'
import { promisify } from 'node:util'
import { SpoolFullError } from './spool.ts'
import type { PageUse } from './store.ts'

const fdatasyncAsync = promisify(fdatasync)
const readAsync = promisify(read)
const writeAsync = promisify(write)

/** a statfs costs about 2 µs; other programs also use the disk, so the figure must not get old */
const SAMPLE_INTERVAL_MS = 250
const SAMPLE_OCTETS = 8 * 1024 * 1024
/** kept allocated at the file's end when space is short: enough for any update or removal (see pagesFor) */
const TAIL_OCTETS = 2 * 1024 * 1024
/** the least by which the file is extended, so that not every batch waits for it */
const EXTENSION_OCTETS = 1024 * 1024
/** while this much is free beyond need and reserve, LMDB may let the file grow by itself */
const COMFORT_OCTETS = 16 * 1024 * 1024
/** while there is comfort, pages are counted anew after batches that could have taken this many at most */
const UNCOUNTED_PAGES = 2048
/** a message of this size must fit before MAIL is accepted */
const SMALLEST_ROOM = 512 * 1024
const ZEROS = Buffer.alloc(256 * 1024)
/** holes are whole blocks of this size, or of a multiple */
const BLOCK_OCTETS = 4096

export interface SpaceOptions {
  /** LMDB's data file */
  readonly file: string
  /** octets: Spool_Min_Free */
  readonly reserve: () => number
  readonly clock: () => number
  /** octets of bodies under reception that are in memory only */
  readonly inMemory: () => number
  readonly pageUse: () => PageUse
  /** processes that write to this file system at the same time, each for itself; 1 unless given */
  readonly sharers?: number | undefined
}

/** What a batch asks of the data file. */
export interface Need {
  /** pages by which it could grow at most */
  readonly pages: number
  /** whether it brings new mail, which must leave the reserve alone */
  readonly newMail: boolean
  /** whether it can be had in parts; when space is short a large one is refused so that it is divided */
  readonly divisible: boolean
}

export class Space {
  readonly #options: SpaceOptions
  readonly #descriptor: number
  #use: PageUse
  /** octets of the file beyond LMDB's last page when last looked at */
  #tail = 0
  /** the file has no holes below this octet */
  #solidUpTo = 0
  #free = 0
  #taken = 0
  #sampledAt = Number.NEGATIVE_INFINITY
  /** the most by which the batch under way can make the file grow, and whether it was comfortable when it began */
  #batch: { readonly pages: number; readonly comfort: boolean } = { pages: 0, comfort: false }
  /** the most by which batches can have made it grow since its pages were counted */
  #uncounted = 0

  constructor(options: SpaceOptions) {
    this.#options = options
    this.#descriptor = openSync(options.file, 'r+')
    this.#use = options.pageUse()
    this.#tail = this.#measureTail()
  }

  /** Page use after the last batch; while there is comfort, at most UNCOUNTED_PAGES ago. */
  get use(): PageUse {
    return this.#use
  }

  /** Octets that new mail may still take; negative below the reserve. */
  room(): number {
    const inside = this.#use.free * this.#use.pageSize + this.#tail
    return this.#diskFree() + inside - this.#options.inMemory() - this.#options.reserve()
  }

  hasRoom(): boolean {
    if (this.room() < SMALLEST_ROOM) return false
    return this.#mayExtend(SMALLEST_ROOM + TAIL_OCTETS - this.#tail) || this.#mayReuse(SMALLEST_ROOM)
  }

  /**
   * Takes room for octets of a body file. Files cannot use what is free inside the data file, so half of the reserve
   * must also be left on the file system itself.
   * @throws SpoolFullError
   */
  takeForFile(octets: number): void {
    if (this.room() < octets || this.#diskFree() - octets < this.#options.reserve() / 2)
      throw new SpoolFullError()
    this.#taken += octets
  }

  /** Body files went or may have gone: look again before the next answer. */
  fileGone(): void {
    this.#sampledAt = Number.NEGATIVE_INFINITY
  }

  /**
   * Sees to it that a batch cannot meet a full disk. No batch may be under way. A promise only where something is to be
   * done for it. @throws SpoolFullError
   */
  prepare(need: Need): Promise<void> | undefined {
    // a look for each batch: what others can write between it and the batch's own writes must be less than the margin
    this.fileGone()
    // measured by an old count: since then a tree can have become one level deeper, and larger by what was written
    const pages = this.#uncounted === 0 ? need.pages : 2 * need.pages + this.#uncounted
    this.#batch = { pages, comfort: this.#comfortable(pages * this.#use.pageSize) }
    if (this.#batch.comfort) return undefined
    if (this.#uncounted > 0) this.#count()
    return this.#makeRoom({ ...need, pages })
  }

  /** Whether the file system has what a batch may take and much more, so that nothing about the file matters. */
  #comfortable(octets: number): boolean {
    const sharers = this.#options.sharers ?? 1
    return this.#diskFree() - sharers * octets >= this.#options.reserve() + sharers * COMFORT_OCTETS
  }

  /** @throws SpoolFullError */
  async #makeRoom(need: Need): Promise<void> {
    const octets = need.pages * this.#use.pageSize
    if (need.newMail && this.room() + this.#options.inMemory() < octets) throw new SpoolFullError()
    await this.#fillHoles()
    this.#tail = this.#measureTail()
    if (need.divisible && octets > TAIL_OCTETS / 2) throw new SpoolFullError()
    const wanted = octets + TAIL_OCTETS - this.#tail
    if (wanted <= 0) return
    this.fileGone()
    const step = Math.max(wanted, EXTENSION_OCTETS)
    if (this.#mayExtend(step)) await this.#extend(step)
    else if (!need.newMail) await this.#extendAsFarAs(wanted, octets)
    else if (this.#mayExtend(wanted)) await this.#extend(wanted)
    else if (this.#mayReuse(octets)) await this.#extendAsFarAs(octets + TAIL_OCTETS / 2 - this.#tail, octets)
    else throw new SpoolFullError()
  }

  /** A batch has ended: counts anew what it used, or what several used if that is soon enough. */
  settled(): void {
    const { pages, comfort } = this.#batch
    this.#uncounted += pages
    // counting costs as much as a tenth of a small batch
    if (comfort && this.#uncounted <= UNCOUNTED_PAGES) this.#taken += pages * this.#use.pageSize
    else this.#count()
  }

  #count(): void {
    const before = this.#use.pages
    this.#use = this.#options.pageUse()
    this.#uncounted = 0
    const grown = Math.max(0, this.#use.pages - before) * this.#use.pageSize
    this.#taken += Math.max(0, grown - Math.max(0, this.#tail))
    this.#tail -= grown
    if (this.#tail < 0) this.#tail = this.#measureTail()
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  /** Whether the file may take this much of the disk for new mail: half of the reserve stays outside the file. */
  #mayExtend(octets: number): boolean {
    return octets <= 0 || this.#diskFree() - octets >= this.#options.reserve() / 2
  }

  /**
   * Whether new mail will find its place inside the file although the file may hardly grow: four times as much is free
   * there, so growing is the exception, and for the exception there is enough. Removals keep their part and the disk a
   * quarter of the reserve, unless three quarters of the file are free: a file that has taken all but the reserve must
   * not stay closed to mail once it is empty.
   */
  #mayReuse(octets: number): boolean {
    const { free, pages, pageSize } = this.#use
    if (free * pageSize < 4 * octets) return false
    const disk = this.#diskFree()
    if (free >= 0.75 * pages) return this.#tail + disk >= octets
    return this.#tail + Math.max(0, disk - this.#options.reserve() / 4) >= octets + TAIL_OCTETS / 2
  }

  /** Extends by as much as the disk gives. @throws SpoolFullError when the tail is then still below `enough` */
  async #extendAsFarAs(octets: number, enough: number): Promise<void> {
    try {
      await this.#extend(octets)
    } catch (error) {
      if (!(error instanceof SpoolFullError) || this.#tail < enough) throw error
    }
  }

  #diskFree(): number {
    const now = this.#options.clock()
    if (
      now - this.#sampledAt >= SAMPLE_INTERVAL_MS ||
      now < this.#sampledAt ||
      this.#taken >= SAMPLE_OCTETS
    ) {
      const { bavail, bsize } = statfsSync(this.#options.file)
      this.#free = bavail * bsize
      this.#taken = 0
      this.#sampledAt = now
    }
    return Math.max(0, this.#free - this.#taken)
  }

  /** Negative when the last pages were never written. */
  #measureTail(): number {
    return fstatSync(this.#descriptor).size - this.#use.pages * this.#use.pageSize
  }

  /**
   * Pages that LMDB counted but never wrote are holes, and writing to a hole needs the disk. They read as zeros, so
   * zeros are written over every block of zeros, once over the file and then over what it grew by.
   */
  async #fillHoles(): Promise<void> {
    const { size } = fstatSync(this.#descriptor)
    if (size <= this.#solidUpTo) return
    const chunk = Buffer.alloc(ZEROS.length)
    const zeros = ZEROS.subarray(0, BLOCK_OCTETS)
    await orFull(async () => {
      for (let at = this.#solidUpTo - (this.#solidUpTo % BLOCK_OCTETS); at < size; at += chunk.length) {
        const { bytesRead } = await readAsync(this.#descriptor, chunk, 0, chunk.length, at)
        for (let block = 0; block + BLOCK_OCTETS <= bytesRead; block += BLOCK_OCTETS) {
          if (!chunk.subarray(block, block + BLOCK_OCTETS).equals(zeros)) continue
          await this.#writeZeros(at + block, at + block + BLOCK_OCTETS)
        }
      }
      await fdatasyncAsync(this.#descriptor)
    })
    this.#solidUpTo = size
  }

  /** Writes zeros behind everything that LMDB has written. @throws SpoolFullError with what fitted kept */
  async #extend(octets: number): Promise<void> {
    if (octets <= 0) return
    const { size } = fstatSync(this.#descriptor)
    try {
      await orFull(async () => {
        await this.#writeZeros(size, Math.max(size, this.#use.pages * this.#use.pageSize) + octets)
        await fdatasyncAsync(this.#descriptor)
      })
    } finally {
      this.#tail = this.#measureTail()
      // prepare has filled the holes below, and the zeros were written one after the other
      this.#solidUpTo = fstatSync(this.#descriptor).size
      this.fileGone()
    }
  }

  async #writeZeros(from: number, to: number): Promise<void> {
    for (let at = from; at < to; ) {
      at += (await writeAsync(this.#descriptor, ZEROS, 0, Math.min(ZEROS.length, to - at), at)).bytesWritten
    }
  }
}

/** What a batch of changes consists of, for pagesFor. */
export interface BatchSize {
  /** octets of new values that are small enough to share a page */
  readonly inlineOctets: number
  /** whole pages of new values that are not */
  readonly overflowPages: number
  /** entries that are replaced or removed, each on a page of its own in the worst case */
  readonly touched: number
}

/**
 * The most pages by which a batch can make the file grow, if nothing freed earlier could be used again: new entries
 * come last in their trees, so they fill pages one by one; every other change copies its path from the root, each page
 * of the trees at most once; and the list of free pages is written anew (lmdb-js keeps up to 50,000 runs of it in memory, 500 to a page).
 */
export function pagesFor(size: BatchSize, use: PageUse): number {
  const path = use.depth + 2
  const fresh = 2 * Math.ceil(size.inlineOctets / use.pageSize) + 4 * path
  const copied = Math.min(path * size.touched, use.treePages + path)
  const freeList = 2 * Math.ceil((Math.min(use.free, 50_000) + copied + size.touched) / 500) + 16
  return fresh + size.overflowPages + copied + freeList
}

/** Whether a value gets pages of its own, and how many (a page's 16 octets of header come once). */
export function overflowPages(octets: number, pageSize: number): number {
  return octets > pageSize / 2 - 128 ? Math.ceil((octets + 16) / pageSize) : 0
}

/** @throws SpoolFullError when the work finds the disk full */
export async function orFull<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw isDiskFull(error) ? new SpoolFullError() : error
  }
}

function isDiskFull(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  return code === 'ENOSPC' || code === 'EDQUOT'
}
