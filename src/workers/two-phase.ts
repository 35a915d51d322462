/** A reload in every worker or in none: all prepare it, and only when the last one is ready do they switch. */

import type { RecordedFiles } from '../config/recorded-files.ts'
import type { Crew } from './crew.ts'
import type { Questions } from './protocol.ts'
import { WorkerSilentError } from './worker-handle.ts'

/** scripts, certificates and a million of Peer stanzas */
const PREPARE_MS = 120_000
const COMMIT_MS = 20_000

/** All are ready for it, or none keeps anything of it. @throws what a worker met */
export async function prepareWorkers(crew: Crew, files: RecordedFiles): Promise<void> {
  const workers = crew.serving
  const ends = await Promise.allSettled(workers.map((worker) => worker.ask('prepare', { files }, PREPARE_MS)))
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
  if (failures.length === 0) return
  await Promise.all(
    workers.map(async (worker, index) => {
      // one that has not answered may yet get ready, for something that nobody commits: it is replaced
      if (ends[index]?.status === 'rejected' && ends[index].reason instanceof WorkerSilentError) worker.kill()
      if (ends[index]?.status !== 'fulfilled') return
      await worker.ask('rollback', undefined, COMMIT_MS).catch(() => worker.kill())
    }),
  )
  throw failures.find((error) => !(error instanceof WorkerSilentError)) ?? failures[0]
}

/**
 * Nothing should fail here. Whoever does not follow is replaced, and its replacement begins with the new one.
 * @returns what the first worker says of it
 */
export async function commitWorkers(
  crew: Crew,
  onFailure: (text: string) => void,
): Promise<Questions['commit']['answer'] | undefined> {
  const answers = await Promise.all(
    crew.serving.map(async (worker) => {
      try {
        return [await worker.ask('commit', undefined, COMMIT_MS)]
      } catch (error) {
        onFailure(`after a reload: ${String(error)}; it is replaced`)
        worker.kill()
        return []
      }
    }),
  )
  return answers.flat()[0]
}
