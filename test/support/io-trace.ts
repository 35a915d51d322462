/**
 * What a program asks of the file system, in order: a run under strace, as data.
 *
 * A call has a place where it began and one where it had returned; threads overlap, so "synced before" is
 * `sync.end < acknowledgement.start`, never the order of lines. Linux with strace only; `straceMissing` says why not.
 */

import { spawn, spawnSync } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'

export interface IoCall {
  readonly name: string
  /** lines of the trace: began, returned */
  readonly start: number
  readonly end: number
  /** of the file behind the first descriptor, or the path that was opened or renamed; '' when there is none */
  readonly path: string
  /** all that strace shows of the arguments and the result; strings of up to 8 KiB */
  readonly text: string
  readonly ok: boolean
}

const STRACE = 'strace'
const CALLS = [
  'openat,mkdir,mkdirat,rename,renameat,renameat2,unlink,unlinkat',
  'write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate',
  'fsync,fdatasync,msync,sync_file_range',
].join(',')

/** A reason to skip, or false. */
export function straceMissing(): string | false {
  const { status, stderr } = spawnSync(STRACE, ['-f', '-e', 'trace=write', 'true'], { encoding: 'utf8' })
  if (status === null) return 'strace is not installed'
  return status === 0 ? false : `strace cannot trace here: ${stderr.trim().split('\n')[0] ?? ''}`
}

/** Runs a program to its end and answers what it did. @throws when it fails */
export async function traceIo(command: readonly string[], traceFile: string): Promise<readonly IoCall[]> {
  const child = spawn(
    'strace',
    ['-f', '-y', '-s', '8192', '-e', `trace=${CALLS}`, '-o', traceFile, ...command],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  const status = await new Promise((resolve) => child.once('close', resolve))
  if (status !== 0) throw new Error(`${command.join(' ')} ended with ${String(status)}`)
  const calls = parseTrace(await readFile(traceFile, 'latin1'))
  await rm(traceFile)
  return calls
}

function parseTrace(trace: string): IoCall[] {
  const calls: IoCall[] = []
  const unfinished = new Map<string, { readonly start: number; readonly text: string }>()
  for (const [at, line] of trace.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const [, resumed] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? []
    if (rest.endsWith('<unfinished ...>')) {
      unfinished.set(thread, { start: at, text: rest.slice(0, -'<unfinished ...>'.length) })
    } else if (resumed !== undefined) {
      const begun = unfinished.get(thread)
      if (begun !== undefined) calls.push(makeCall(begun.text + resumed, begun.start, at))
    } else if (/^\w+\(/.test(rest)) calls.push(makeCall(rest, at, at))
  }
  return calls
}

function makeCall(text: string, start: number, end: number): IoCall {
  const [, name = ''] = /^(\w+)\(/.exec(text) ?? []
  const [, byDescriptor] =
    /^(?:fsync|fdatasync|write|writev|p?writev?2?|pwrite64|ftruncate|fallocate)\(\d+<([^>]*)>/.exec(text) ??
    []
  const [, byName] = /"([^"]*)"/.exec(text) ?? []
  return { name, start, end, path: byDescriptor ?? byName ?? '', text, ok: !/ = -1 /.test(text.slice(-200)) }
}
