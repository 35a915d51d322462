/** A server that is measured: where it listens, which processes it is, how it is held and let go. */

import { cpuSecondsOf, type Resident, residentOf, signalAll } from './processes.ts'

export interface Subject {
  readonly name: string
  readonly host: string
  readonly port: number
  /** all its processes that live */
  readonly pids: () => readonly number[]
  /** Ends it and takes away what it has written. */
  readonly stop: () => Promise<void>
}

export function cpuOf(subject: Subject): number {
  return cpuSecondsOf(subject.pids())
}

export function memoryOf(subject: Subject): Resident {
  return residentOf(subject.pids())
}

/** Stops all processes of the subjects where they are: nothing that they do in the background counts for another. */
export function freeze(subjects: readonly Subject[]): void {
  for (const subject of subjects) signalAll(subject.pids(), 'SIGSTOP')
}

export function thaw(subject: Subject): void {
  signalAll(subject.pids(), 'SIGCONT')
}
