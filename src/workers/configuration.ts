/** A configuration as the supervisor has it: read once, for itself and for its workers. */

import { dirname } from 'node:path'
import { ConfigError, type Diagnostic } from '../config/diagnostic.ts'
import { loadSettings } from '../config/load.ts'
import { type RecordedFiles, recording } from '../config/recorded-files.ts'
import { nodeRestartWarnings, orRollingRestart } from '../config/restart.ts'
import type { Settings } from '../config/settings.ts'
import { diskFiles, type SourceFiles } from '../config/source.ts'
import type { EventBus } from '../events/events.ts'
import { BindError, clearStaleSocket } from '../listener/bind.ts'
import { ListenError } from '../listener/listener.ts'
import { planTargets } from '../listener/targets.ts'
import { loadTls, type TlsContexts } from '../tls/contexts.ts'
import type { TicketSecret } from '../tls/ticket-secret.ts'

/** A configuration as it was read. */
export interface Configuration {
  readonly settings: Settings
  readonly files: RecordedFiles
  /** for handshakes of HTTP and of the console; undefined where there are none */
  readonly tls: TlsContexts | undefined
}

export interface TlsBase {
  readonly events: EventBus
  readonly ticketSecret: TicketSecret
  readonly previous?: TlsContexts | undefined
}

/** Reads it. @throws ConfigError */
export async function configurationOf(
  file: string,
  base: TlsBase,
  source: SourceFiles = diskFiles,
): Promise<Configuration> {
  const { files, record } = recording(source)
  const { settings, diagnostics } = await loadSettings(file, files)
  if (settings === undefined) throw new ConfigError(diagnostics)
  return { settings, files: record, tls: await httpTls(settings, base) }
}

/** For handshakes of HTTP and of the console; undefined where there are none. @throws ConfigError */
export async function httpTls(settings: Settings, base: TlsBase): Promise<TlsContexts | undefined> {
  const listens = [...settings.httpListens, ...settings.controlListens]
  const shaken = listens.some(({ scope }) => scope.options.enable && scope.options.use_ssl)
  const folder = dirname(settings.file)
  return shaken ? await loadTls(settings, { ...base, clock: Date.now, folder }) : undefined
}

/** Sockets that nobody listens on any more are removed before the workers ask for theirs. @throws ListenError */
export async function clearPaths({ listens }: Settings, open: readonly string[]): Promise<void> {
  for (const { key, target, listen } of planTargets(listens)) {
    if (target.kind !== 'unix' || open.includes(key)) continue
    try {
      await clearStaleSocket(target.path)
    } catch (error) {
      if (!(error instanceof BindError)) throw error
      throw new ListenError([{ severity: 'error', message: error.message, at: listen.at }])
    }
  }
}

/**
 * The sockets of workers are made by this process when they ask for them: nobody but the owner may connect to a path
 * before its mode is set.
 * @param umask of the process otherwise
 */
export async function tightly<T>({ listens }: Settings, umask: number, work: () => Promise<T>): Promise<T> {
  if (!listens.some(({ address }) => address.kind === 'unix')) return await work()
  process.umask(0o077)
  try {
    return await work()
  } finally {
    process.umask(umask)
  }
}

/**
 * What a configuration says in a node of workers, where some of it is another thing than in each of them.
 * @param began the settings with which the node began @param said by a worker, which may have begun later
 */
export function nodeWarnings(
  settings: Settings,
  began: Settings,
  workers: number,
  said: readonly Diagnostic[],
): readonly Diagnostic[] {
  const known = said.map(({ message }) => message)
  const more = nodeRestartWarnings(began, settings).filter(({ message }) => !known.includes(message))
  // one worker alone cannot be replaced while mail goes on
  const own = workers < 2 ? said : orRollingRestart(said)
  return [...own, ...more, ...scriptsWarnings(settings, workers)]
}

function scriptsWarnings({ scripts }: Settings, workers: number): readonly Diagnostic[] {
  const [first] = scripts
  if (workers < 2 || first === undefined) return []
  const message = `with ${workers} workers each has the scripts for itself: what they count and remember, and msys.audit's figures, are of one worker`
  return [{ severity: 'warning', message, at: first.at }]
}
