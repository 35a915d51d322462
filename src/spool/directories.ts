/**
 * The directories of a spool, made when they are missing, so that a power failure does not take their entries back.
 */

import { mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Permission bits of a directory for files with these: whoever may read the files may search it. */
export function directoryMode(fileMode: number): number {
  return fileMode | ((fileMode & 0o444) >> 2)
}

/** Makes a directory and what is missing above it; every entry made is on stable storage afterwards. */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode })
  if (first === undefined) return
  const top = dirname(first)
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    await syncDirectory(parent)
    if (parent === top) return
  }
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
