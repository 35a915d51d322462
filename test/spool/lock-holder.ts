/** A process that opens the spool PATH, says so, and stays: `node lock-holder.ts PATH`. Prints `open` or the error. */

import { openSpool } from '../../src/spool/lmdb-spool.ts'

try {
  await openSpool({
    path: process.argv[2] ?? '',
    mode: 0o600,
    minFree: 0,
    receptionMemory: 1_000_000,
    clock: () => Date.now(),
    events: { emit: () => undefined },
  })
  process.stdout.write('open\n')
  process.stdin.resume()
} catch (error) {
  process.stdout.write(`${(error as Error).name}: ${(error as Error).message}\n`)
}
