/** Whole files, read without holding up anything. */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** Reads a regular file of at most `limit` octets. @throws Error that says why not */
export type FileReader = (path: string, limit: number) => Promise<Uint8Array>

export const readWholeFile: FileReader = async (path, limit) => {
  // a FIFO must not hold the thread that opens it
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new Error(`${path}: not a regular file`)
    if (stat.size > limit) throw new Error(`${path}: longer than ${limit} octets`)
    const octets = await file.readFile()
    if (octets.length > limit) throw new Error(`${path}: longer than ${limit} octets`)
    return octets
  } finally {
    await file.close()
  }
}
