/**
 * A look at LMDB's data file before LMDB maps it: a file that is something else, or that was cut short, would end the
 * process by a signal instead of an error. Damage further inside is not found here.
 *
 * Layout (lmdb 0.9.9x as lmdb-js builds it, 64 bit): pages 0 and 1 are meta pages with a header of 24 octets, then
 * u32 magic; at 48 u32 page size; at 88 and 136 u64 roots; at 144 u64 last page in use; at 152 u64 transaction. The last pages of a batch may be
 * counted without having been written, when it freed them again; so a file may be a little shorter than it says.
 */

import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'

const MAGIC = 0xbeefc0de
const NO_PAGE = 2n ** 64n - 1n
const META_OCTETS = 160
/** more than the pages of one batch */
const UNWRITTEN_OCTETS = 64n * 1024n * 1024n

/** The spool's data file cannot be used; the message names it and says what is wrong. */
export class DataFileError extends Error {
  constructor(path: string, reason: string) {
    super(`the spool's data file ${path} ${reason}`)
    this.name = 'DataFileError'
  }
}

/** The file that the environment of a directory is in. */
export function dataFile(directory: string): string {
  return join(directory, 'data.mdb')
}

/** Makes the file when it is missing and checks it when it is not empty. @throws DataFileError */
export function prepareDataFile(path: string, mode: number): void {
  // made here so that mail is never readable to others, not even for a moment
  const descriptor = openSync(path, 'a+', mode)
  try {
    const { size } = fstatSync(descriptor)
    if (size === 0) return
    const first = readMeta(descriptor, 0)
    const pageSize = first?.pageSize ?? 0
    const second = first === undefined ? undefined : readMeta(descriptor, pageSize)
    if (first === undefined || second === undefined)
      throw new DataFileError(path, 'is damaged or something else')
    const { lastPage, roots } = second.transaction > first.transaction ? second : first
    const needed = (lastPage + 1n) * BigInt(pageSize)
    const holdsRoots = roots.every(
      (page) => page === NO_PAGE || (page + 1n) * BigInt(pageSize) <= BigInt(size),
    )
    if (!holdsRoots || BigInt(size) + UNWRITTEN_OCTETS < needed) {
      throw new DataFileError(path, `is cut short: ${size} of ${needed} octets`)
    }
  } finally {
    closeSync(descriptor)
  }
}

interface Meta {
  readonly pageSize: number
  /** root pages of the list of free pages and of the main tree */
  readonly roots: readonly bigint[]
  readonly lastPage: bigint
  readonly transaction: bigint
}

function readMeta(descriptor: number, at: number): Meta | undefined {
  const bytes = Buffer.alloc(META_OCTETS)
  if (readSync(descriptor, bytes, 0, META_OCTETS, at) < META_OCTETS) return undefined
  const pageSize = bytes.readUInt32LE(48)
  if (bytes.readUInt32LE(24) !== MAGIC || pageSize < 512 || pageSize > 65_536) return undefined
  return {
    pageSize,
    roots: [bytes.readBigUInt64LE(88), bytes.readBigUInt64LE(136)],
    lastPage: bytes.readBigUInt64LE(144),
    transaction: bytes.readBigUInt64LE(152),
  }
}
