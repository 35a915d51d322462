/**
 * The command `postern explain`: runs `confined.ts` in a process of its own that may read files and nothing else, and
 * passes on what it prints. What that process may not do nobody in it can do by mistake.
 */

import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Io } from '../io.ts'
import { locateConfig } from '../locate.ts'
import type { ExplainOptions } from './client.ts'

/** What the confined process is told, as JSON. */
export interface ExplainRequest {
  readonly file: string
  readonly options: ExplainOptions
  readonly terminal: boolean
}

/** @returns 0 when it could be explained, whatever the verdict; 1 for a configuration error, 64 for wrong usage */
export async function runExplain(options: ExplainOptions, io: Io): Promise<number> {
  const { config, ...rest } = options
  const request: ExplainRequest = { file: locateConfig(config), options: rest, terminal: io.terminal }
  const child = explainProcess(request)
  child.stdout.pipe(io.stdout, { end: false })
  child.stderr.pipe(io.stderr, { end: false })
  const [code] = (await once(child, 'close')) as [number | null]
  return code ?? 1
}

/** The confined process, whose output is the explanation. */
export function explainProcess(request: ExplainRequest): ChildProcessByStdio<null, Readable, Readable> {
  const program = fileURLToPath(
    new URL(`confined.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
  )
  return spawn(process.execPath, ['--permission', '--allow-fs-read=*', program, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: withoutNodeOptions(),
  })
}

/** They could open what the flags close. */
function withoutNodeOptions(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_COMPILE_CACHE: _cache, ...env } = process.env
  return env
}
