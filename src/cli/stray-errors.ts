/**
 * Errors that nobody waits for: a promise that a policy in TypeScript has let go of, a timer that it has set. They are
 * told in the panic log and end nothing. An error that no policy has thrown leaves the server in a state that nobody
 * has thought of: that one ends the process, as in any program of Node.
 */

import { describeStray, isPolicyError } from '../policy/typescript/findings.ts'

export interface StrayTeller {
  /** a line of the panic log */
  tellPanic(level: 'error' | 'critical', module: string, text: string): void
}

/** From now on, for the whole process. */
export function surviveStrayErrors(server: StrayTeller): void {
  process.on('uncaughtException', (error: unknown, origin) => {
    // a rejected promise broke nothing off: whoever made it had gone on already
    const harmless = isPolicyError(error) || origin === 'unhandledRejection'
    if (harmless) {
      server.tellPanic('error', 'scriptlet', `nobody waited for an error: ${describeStray(error)}`)
      return
    }
    process.stderr.write(
      `postern: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
    )
    process.exit(1)
  })
}
