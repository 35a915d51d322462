/** What a run was made on, in a few lines. */

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { sequentialRate, smallSyncMilliseconds } from './disk.ts'
import { descriptorLimit } from './processes.ts'

/** @param folder on the disk that the spools are on */
export function describeMachine(folder: string): readonly string[] {
  const disk = (sequentialRate(folder, 25 * 1024 * 1024, 4) / 1024 ** 2).toFixed(0)
  return [
    `${availableParallelism()} processors (${cpus()[0]?.model ?? 'unknown'}), ${(totalmem() / 1024 ** 3).toFixed(0)} GiB, Linux ${release()}, ${distribution()}`,
    `disk: ${fileSystem(folder)}; 4 KiB and fdatasync take ${smallSyncMilliseconds(folder).toFixed(2)} ms, files of 25 MiB with fsync ${disk} MiB/s`,
    `Node.js ${process.version}, OpenSSL ${process.versions.openssl}, at most ${descriptorLimit()} open files; load average at the beginning ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}`,
  ]
}

function distribution(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown'
  } catch {
    return 'unknown'
  }
}

function fileSystem(folder: string): string {
  return execFileSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' }).trim()
}
