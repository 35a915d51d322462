/**
 * The directories of a spool, made when they are missing, so that a power failure does not take their entries back.
 */

import { mkdir, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Permission bits of a directory for files with these: whoever may read the files may search it. */
export function directoryMode(fileMode: number): number {
  return fileMode | ((fileMode & 0o444) >> 2)
}

/**
 * Makes a directory and what is missing above it; every entry made is on stable storage afterwards.
 *
 * Level by level: mkdir's own `recursive` never ends where a parent exists and still answers ENOENT, as in /proc.
 */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  if (await makeOne(path, mode)) return
  await makeDirectory(dirname(path), mode)
  if (await makeOne(path, mode)) return
  // whose fault it is is told as for what the system itself refuses
  throw Object.assign(new Error(`the directory ${path} cannot be made`), { syscall: 'mkdir' })
}

/** Whether the directory is there now; false when its parent is missing. */
async function makeOne(path: string, mode: number): Promise<boolean> {
  try {
    await mkdir(path, { mode })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOENT') return false
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return true
    throw error
  }
  await syncDirectory(dirname(path))
  return true
}

/** Makes the entries of a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
