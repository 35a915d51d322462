/** A gate as a process of its own, started through bin/postern, for tests that kill it or watch it from outside. */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { Address } from './smtp-client.ts'

export const bin = path.join(import.meta.dirname, '..', '..', 'bin', 'postern')

export interface GateProcess {
  readonly child: ChildProcess
  readonly addresses: readonly Address[]
  /** what it has written to stderr so far */
  readonly complaints: () => string
  /** Sends a signal and waits for the end. @returns the exit code, or the signal's name */
  end(signal: NodeJS.Signals): Promise<number | string>
}

const READY_MS = 60_000

/** Starts `postern serve -c FILE`, under a wrapper command if one is given, and waits until it is ready. */
export async function startGateProcess(
  file: string,
  wrapper: readonly string[] = [],
  options: readonly string[] = [],
): Promise<GateProcess> {
  const args = [...wrapper, bin, 'serve', '-c', file, ...options]
  const command = args.shift() ?? bin
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  let complaints = ''
  child.stderr.on('data', (chunk: Buffer) => {
    complaints += chunk.toString()
  })
  const ready = await new Promise<string | undefined>((resolve) => {
    const timer = setTimeout(() => resolve(undefined), READY_MS)
    createInterface({ input: child.stdout })
      .on('line', (line) => {
        if (!line.startsWith('postern ready')) return
        clearTimeout(timer)
        resolve(line)
      })
      .on('close', () => {
        clearTimeout(timer)
        resolve(undefined)
      })
  })
  if (ready === undefined) {
    child.kill('SIGKILL')
    throw new Error(`the gate did not start: ${complaints}`)
  }
  return {
    child,
    addresses: [...ready.matchAll(/ \[?([^\s[\]]+)\]?:(\d+)/g)].map(([, host = '', port]) => ({
      host,
      port: Number(port),
    })),
    complaints: () => complaints,
    end: async (signal) => {
      child.kill(signal)
      const [code, by] = await exit
      return code ?? by ?? 'unknown'
    },
  }
}

/** Stops a process where it waits for something to do: it holds nothing then that others need. SIGCONT lets it go on. */
export async function pauseProcess(pid: number): Promise<void> {
  await becomes(pid, 'S')
  process.kill(pid, 'SIGSTOP')
  await becomes(pid, 'T')
}

/** @param state a letter of proc_pid_stat(5) */
async function becomes(pid: number, state: string): Promise<void> {
  const until = Date.now() + READY_MS
  while (/\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] !== state) {
    if (Date.now() > until) throw new Error(`process ${pid} is not in state ${state}`)
    await delay(2)
  }
}
