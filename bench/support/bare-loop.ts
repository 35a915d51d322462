/** The bare TLS loop as a server that is measured. */

import path from 'node:path'
import type { Cleanup } from './cleanup.ts'
import { startProgram } from './program.ts'
import type { Subject } from './subject.ts'

const PROGRAM = path.join(import.meta.dirname, '..', 'servers', 'bare-loop.ts')

/** @param manner `hold` keeps connections instead of closing them */
export async function startBareLoop(pki: string, cleanup: Cleanup, manner?: 'hold'): Promise<Subject> {
  const { pids, match, stop } = await startProgram({
    command: process.execPath,
    args: [PROGRAM, pki, ...(manner === undefined ? [] : [manner])],
    ready: /ready (\d+)/,
    cleanup,
  })
  return { name: 'bare loop', host: '127.0.0.1', port: Number(match[1]), pids, stop }
}
