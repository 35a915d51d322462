/**
 * One run of a program: never by a shell, in a process group of its own, with nothing of our environment and none of our
 * open files. When its time is up, or we have to stop, the whole group gets SIGTERM and a little later SIGKILL; a run is
 * over only when the program is gone. What it writes is read to the end and kept up to a limit.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable } from 'node:stream'

export interface ProgramRun {
  /** an absolute path */
  readonly program: string
  readonly arguments: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly directory: string
  /** descriptor of an open file */
  readonly input: number
  /** likewise; undefined: what is written is kept for the answer */
  readonly output: number | undefined
  readonly errors: number | undefined
  /** seconds */
  readonly timeout: number
}

export type ProgramEnd = {
  /** what it wrote, its beginning, as a byte string */
  readonly output: string
} & (
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'killed'; readonly by: string }
  | { readonly kind: 'timed-out' }
  /** it never ran */
  | { readonly kind: 'not-started'; readonly reason: string }
)

const MAX_OUTPUT = 4096
/** between SIGTERM and SIGKILL */
const GRACE_MS = 5000
/** for output that something which outlives the program could still write */
const TRAILING_MS = 200

/** @param graceMs for tests @throws the signal's reason, once the program is gone */
export async function runProgram(
  run: ProgramRun,
  signal: AbortSignal,
  graceMs = GRACE_MS,
): Promise<ProgramEnd> {
  signal.throwIfAborted()
  const child = spawn(run.program, run.arguments, {
    cwd: run.directory,
    env: { ...run.environment },
    // a session and a process group of its own
    detached: true,
    shell: false,
    stdio: [run.input, run.output ?? 'pipe', run.errors ?? 'pipe'],
  })
  const watch = new Watch(child, graceMs)
  const timer = setTimeout(() => watch.end('timed-out'), run.timeout * 1000)
  const abort = (): void => watch.end('aborted')
  signal.addEventListener('abort', abort, { once: true })
  try {
    const end = await watch.ended
    signal.throwIfAborted()
    return end
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

class Watch {
  readonly ended: Promise<ProgramEnd>
  readonly #child: ChildProcess
  readonly #graceMs: number
  #why: 'timed-out' | 'aborted' | undefined
  #kill: NodeJS.Timeout | undefined
  #output = ''

  constructor(child: ChildProcess, graceMs: number) {
    this.#child = child
    this.#graceMs = graceMs
    for (const stream of [child.stdout, child.stderr]) if (stream !== null) this.#read(stream)
    this.ended = new Promise((resolve) => {
      child.on('error', (error) => {
        // a signal that could not be sent comes here too
        if (child.pid === undefined) resolve({ kind: 'not-started', reason: codeOf(error), output: '' })
      })
      child.on('exit', (status, by) => {
        clearTimeout(this.#kill)
        // whoever is left of the group was told to end as well
        if (this.#why !== undefined) this.#signal('SIGKILL')
        const finish = (): void => {
          clearTimeout(trailing)
          child.stdout?.destroy()
          child.stderr?.destroy()
          resolve(this.#end(status, by))
        }
        const trailing = setTimeout(finish, TRAILING_MS)
        child.once('close', finish)
      })
    })
  }

  /** Asks the group to end, and sees to it. */
  end(why: 'timed-out' | 'aborted'): void {
    if (this.#why !== undefined || this.#child.pid === undefined || this.#isGone) return
    this.#why = why
    this.#signal('SIGTERM')
    this.#kill = setTimeout(() => this.#signal('SIGKILL'), this.#graceMs)
  }

  get #isGone(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  #signal(name: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.#child
    if (pid === undefined) return
    try {
      process.kill(-pid, name)
    } catch (error) {
      // nobody is left, or somebody who has become another user
      if (codeOf(error) !== 'ESRCH' && codeOf(error) !== 'EPERM') throw error
    }
  }

  #read(stream: Readable): void {
    stream.on('error', () => undefined)
    stream.on('data', (chunk: Buffer) => {
      const room = MAX_OUTPUT - this.#output.length
      if (room > 0) this.#output += chunk.toString('latin1', 0, room)
    })
  }

  #end(status: number | null, by: string | null): ProgramEnd {
    const output = this.#output
    // one that was told to stop may say that all went well; nobody knows what it had done by then
    if (this.#why === 'timed-out') return { kind: 'timed-out', output }
    if (status === null) return { kind: 'killed', by: by ?? 'a signal', output }
    return { kind: 'exited', status, output }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
}
