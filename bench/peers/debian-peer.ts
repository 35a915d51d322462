/** What the mail servers from Debian's packages have in common: a root of their own, from which nothing gets out. */

import { rmSync } from 'node:fs'
import { DebianRoot, type RootRequest, type RunningProgram } from '../../test/mta/debian-root.ts'
import type { Cleanup } from '../support/cleanup.ts'
import { pidsInRoot, signalAll } from '../support/processes.ts'

/** A root that is gone when the run ends, with everything that runs in it. */
export function makeRoot(request: RootRequest, cleanup: Cleanup): DebianRoot {
  const root = DebianRoot.make(request)
  cleanup.add(() => {
    signalAll(pidsInRoot(root.folder), 'SIGKILL')
    // they may write until they are gone
    rmSync(root.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  })
  return root
}

/** Ends what runs in a root; also when it was stopped where it is, and more than once. */
export function stopper(root: DebianRoot, program: RunningProgram): () => Promise<void> {
  return async () => {
    signalAll(pidsInRoot(root.folder), 'SIGCONT')
    if (!program.ended()) await program.stop()
  }
}
