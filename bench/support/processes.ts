/** What processes use, from /proc: CPU of a whole tree with its dead, resident memory, the machine's rest. Linux only. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** of /proc/PID/stat; USER_HZ is 100 on Linux */
const TICKS_PER_SECOND = 100

interface Stat {
  readonly pid: number
  readonly parent: number
  readonly state: string
  /** seconds, user and system, with those of children that were waited for */
  readonly cpuSeconds: number
}

function statOf(pid: number | string): Stat | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // the name, in brackets, may contain anything
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = [11, 12, 13, 14].reduce((sum, field) => sum + Number(fields[field]), 0)
  return {
    pid: Number(pid),
    state: fields[0] ?? '',
    parent: Number(fields[1]),
    cpuSeconds: ticks / TICKS_PER_SECOND,
  }
}

/** A process and all its descendants that live, the root first. */
export function treeOf(root: number): readonly number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = statOf(name)
    if (stat === undefined) continue
    const siblings = children.get(stat.parent)
    if (siblings === undefined) children.set(stat.parent, [stat.pid])
    else siblings.push(stat.pid)
  }
  const tree = [root]
  // grows while it is walked
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

/** The processes whose root is a folder: those in chroot. */
export function pidsInRoot(folder: string): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && rootOf(name).startsWith(folder))
    .map(Number)
}

function rootOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/root`)
  } catch {
    // it has ended
    return ''
  }
}

/** Seconds of user and system time, of those that live and of their children that have ended. */
export function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (statOf(pid)?.cpuSeconds ?? 0), 0)
}

export interface Resident {
  /** octets: VmRSS */
  readonly all: number
  /** octets that are the process's own: without pages of files */
  readonly anonymous: number
}

export function residentOf(pids: readonly number[]): Resident {
  let all = 0
  let anonymous = 0
  for (const pid of pids) {
    const text = readText(`/proc/${pid}/status`)
    const kibibytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0)
    all += kibibytes('VmRSS') * 1024
    anonymous += kibibytes('RssAnon') * 1024
  }
  return { all, anonymous }
}

/** Seconds for which the machine's processors were busy since it started, whoever it was for. */
export function busySeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] =
    readText('/proc/stat').split('\n', 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? []
  return (user + nice + system + irq + softIrq + steal) / TICKS_PER_SECOND
}

/** Sends a signal to all; those that have ended meanwhile need none. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // it has ended
    }
  }
}

/** seconds of CPU in a quarter of a second that still count as quiet */
const QUIET = 0.011

/** Waits until processes do nothing any more, so that what they do after their replies counts too; gives up in time. */
export async function untilQuiet(pids: () => readonly number[], limit = 25_000): Promise<boolean> {
  const until = Date.now() + limit
  let before = cpuSecondsOf(pids())
  for (let quiet = 0; quiet < 2; ) {
    if (Date.now() > until) return false
    await delay(250)
    const now = cpuSecondsOf(pids())
    quiet = Math.abs(now - before) <= QUIET ? quiet + 1 : 0
    before = now
  }
  return true
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return ''
  }
}

/** How many files a process may have open at most, which Node asks for by itself. */
export function descriptorLimit(): number {
  const [, , hard = '0'] = /^Max open files\s+(\d+)\s+(\S+)/m.exec(readText('/proc/self/limits')) ?? []
  return hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard)
}
