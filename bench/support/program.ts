/** A program that is started for a run, waited for until it says that it is ready, and gone when the run ends. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
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
  readonly stop: () => Promise<void>
}

const READY_MS = 60_000
const STOP_MS = 40_000

/** One whose output goes into a file, which nobody has to read while it is measured. */
export interface QuietRequest extends Omit<StartRequest, 'ready'> {
  readonly log: string
  /** where it sends a banner once it is ready */
  readonly port: number
}

/** @throws Error with what it has printed, when it ends or takes longer than a minute */
export async function startProgram(
  request: StartRequest,
): Promise<Started & { readonly match: RegExpExecArray }> {
  const child = spawn(request.command, [...request.args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
    env: { ...process.env, ...request.env },
  })
  const started = watch(child, request.cleanup)
  return { ...started, match: await untilReady(child, request.ready) }
}

/** @throws Error with what is in its log, when it ends or sends no banner within a minute */
export async function startQuietly(request: QuietRequest): Promise<Started> {
  const log = openSync(request.log, 'a')
  const child = spawn(request.command, [...request.args], {
    stdio: ['ignore', log, log],
    ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
    env: { ...process.env, ...request.env },
  })
  closeSync(log)
  const started = watch(child, request.cleanup)
  const until = Date.now() + READY_MS
  while (!(await greeting(request.port)).startsWith('220')) {
    if (Date.now() > until || child.exitCode !== null || child.signalCode !== null) {
      await started.stop()
      throw new Error(`it does not start: ${readFileSync(request.log, 'latin1').trim().slice(-1000)}`)
    }
    await delay(100)
  }
  return started
}

function watch(child: ChildProcess, cleanup: Cleanup): Started {
  const exit = once(child, 'exit')
  exit.catch(() => undefined)
  const pid = child.pid ?? 0
  const ended = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null
  const kill = (): void => {
    if (!ended()) signalAll(treeOf(pid), 'SIGKILL')
  }
  const withdraw = cleanup.add(kill)
  return {
    child,
    pids: () => (ended() ? [] : treeOf(pid)),
    stop: async () => {
      if (!ended()) {
        const tree = treeOf(pid)
        signalAll(tree, 'SIGCONT')
        child.kill('SIGTERM')
        const late = setTimeout(kill, STOP_MS)
        await exit
        clearTimeout(late)
        // some leave their workers behind
        signalAll(tree, 'SIGKILL')
      }
      withdraw()
    },
  }
}

/** The first octets that come from a port, if any do within a second. */
async function greeting(port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(1000, () => socket.destroy())
  socket.once('data', (chunk) => {
    resolve(chunk.toString('latin1'))
    socket.end('QUIT\r\n')
  })
  socket.on('error', () => undefined).once('close', () => resolve(''))
  return await promise
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
