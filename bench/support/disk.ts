/** What the disk does by itself: how fast it takes a large file that is synced, and how long a small sync takes. */

import { closeSync, fdatasyncSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import path from 'node:path'

const CHUNK = 1024 * 1024

/**
 * Writes files one after the other, each from its first octet to its fsync.
 * @param size octets of each @returns octets per second
 */
export function sequentialRate(folder: string, size: number, files: number): number {
  const chunk = Buffer.alloc(CHUNK, 'x')
  const paths = Array.from({ length: files }, (_, n) => path.join(folder, `probe-${n}`))
  const began = performance.now()
  for (const name of paths) {
    const file = openSync(name, 'w')
    for (let left = size; left > 0; left -= CHUNK) writeSync(file, chunk, 0, Math.min(left, CHUNK))
    fsyncSync(file)
    closeSync(file)
  }
  const seconds = (performance.now() - began) / 1000
  for (const name of paths) rmSync(name)
  return (size * files) / seconds
}

/** @returns milliseconds that appending 4 KiB and fdatasync take: the median of a hundred */
export function smallSyncMilliseconds(folder: string): number {
  const name = path.join(folder, 'probe')
  const file = openSync(name, 'w')
  const chunk = Buffer.alloc(4096, 'x')
  const times = Array.from({ length: 100 }, () => {
    const began = performance.now()
    writeSync(file, chunk)
    fdatasyncSync(file)
    return performance.now() - began
  })
  closeSync(file)
  rmSync(name)
  return times.toSorted((a, b) => a - b)[50] ?? Number.NaN
}
