/**
 * What has to be taken away however a run ends: by itself, by an error or by a signal. Everything is done at once and
 * synchronously, because nothing else happens in a process that ends.
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

export class Cleanup {
  readonly #steps = new Set<() => void>()

  /** From now on signals end this process properly. */
  constructor() {
    process.once('exit', () => this.#run())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        process.stderr.write(`\nended by ${signal}; everything is taken away\n`)
        process.exit(130)
      })
    }
  }

  /** @returns withdraws the step, without running it */
  add(step: () => void): () => void {
    this.#steps.add(step)
    return () => this.#steps.delete(step)
  }

  /** A folder that does not outlive the run. */
  folder(name: string, under = tmpdir()): string {
    const folder = mkdtempSync(path.join(under, `postern-bench-${name}-`))
    this.add(() => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  #run(): void {
    for (const step of [...this.#steps].toReversed()) {
      try {
        step()
      } catch (error) {
        process.stderr.write(`not taken away: ${String(error)}\n`)
      }
    }
  }
}
