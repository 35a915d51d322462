/** The floor as a server that is measured: SMTP and LMDB in this runtime, and nothing else. */

import path from 'node:path'
import type { Cleanup } from './cleanup.ts'
import { startProgram } from './program.ts'
import type { Subject } from './subject.ts'

export const FLOOR = 'bare SMTP loop with LMDB'

const PROGRAM = path.join(import.meta.dirname, '..', 'servers', 'bare-smtp.ts')

/** @param under where its mail lies; undefined: the system's temporary folder */
export async function startFloor(pki: string, cleanup: Cleanup, under?: string): Promise<Subject> {
  const { pids, match, stop } = await startProgram({
    command: process.execPath,
    args: [PROGRAM, pki, cleanup.folder('floor', under)],
    ready: /ready (\d+)/,
    cleanup,
  })
  return { name: FLOOR, host: '127.0.0.1', port: Number(match[1]), pids, stop }
}
