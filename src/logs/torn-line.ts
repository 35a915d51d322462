/**
 * Takes half a line off the end of a file: a file system that is full takes a part of what is written, and several
 * processes write one log. Whoever wrote next would go on in the middle of that line, and both would be lost.
 *
 * At once and in one go, so that hardly anybody can come between; what stands at the end is looked at before.
 */

import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs'

/**
 * @param fd of the file, open for writing alone
 * @param half what was written last
 * @returns whether the file ended in it, and does no longer
 */
export function cutTornLine(fd: number, half: Buffer): boolean {
  let reader: number | undefined
  try {
    // by its number: the file may have been moved away
    reader = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK)
    const { size } = fstatSync(fd)
    const end = Buffer.alloc(half.length)
    if (size < half.length || readSync(reader, end, 0, half.length, size - half.length) < half.length)
      return false
    if (!end.equals(half)) return false
    ftruncateSync(fd, size - half.length)
    return true
  } catch {
    return false
  } finally {
    if (reader !== undefined) closeSync(reader)
  }
}
