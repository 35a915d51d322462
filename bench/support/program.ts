/** A program that is started for a run, waited for until it says that it is ready, and gone when the run ends. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Cleanup } from './cleanup.ts'
import { signalAll, treeOf } from './processes.ts'

export interface StartRequest {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** what it prints, on stdout or stderr, when it is ready */
  readonly ready: RegExp
  readonly cleanup: Cleanup
}

export interface Started {
  readonly child: ChildProcess
  readonly pids: () => readonly number[]
  /** of what it printed when it was ready */
  readonly match: RegExpExecArray
  readonly stop: () => Promise<void>
}

const READY_MS = 60_000
const STOP_MS = 40_000

/** @throws Error with what it has printed, when it ends or takes longer than a minute */
export async function startProgram(request: StartRequest): Promise<Started> {
  const child = spawn(request.command, [...request.args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
    env: { ...process.env, ...request.env },
  })
  const exit = once(child, 'exit')
  exit.catch(() => undefined)
  const kill = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      const tree = treeOf(child.pid)
      signalAll(tree, 'SIGKILL')
      signalAll(tree, 'SIGCONT')
    }
  }
  const withdraw = request.cleanup.add(kill)
  const match = await untilReady(child, request.ready)
  const pid = child.pid ?? 0
  return {
    child,
    match,
    pids: () => treeOf(pid),
    stop: async () => {
      signalAll(treeOf(pid), 'SIGCONT')
      child.kill('SIGTERM')
      const late = setTimeout(kill, STOP_MS)
      if (child.exitCode === null && child.signalCode === null) await exit
      clearTimeout(late)
      withdraw()
    },
  }
}

async function untilReady(child: ChildProcess, ready: RegExp): Promise<RegExpExecArray> {
  const { promise, resolve, reject } = Promise.withResolvers<RegExpExecArray>()
  let said = ''
  const listen = (chunk: Buffer): void => {
    if (said.length < 100_000) said += chunk.toString('latin1')
    const match = ready.exec(said)
    if (match !== null) resolve(match)
  }
  // what is said later must be read too, or the program would wait for a reader
  child.stdout?.on('data', listen)
  child.stderr?.on('data', listen)
  child.once('error', reject)
  child.once('exit', () => reject(new Error(`it ended: ${said.trim().slice(-2000)}`)))
  const deadline = setTimeout(() => {
    child.kill('SIGKILL')
    reject(new Error(`it is not ready after ${READY_MS / 1000} s: ${said.trim().slice(-2000)}`))
  }, READY_MS)
  try {
    return await promise
  } finally {
    clearTimeout(deadline)
  }
}
