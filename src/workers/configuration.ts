/** A configuration as the supervisor has it: read once, for itself and for its workers. */

import { dirname } from 'node:path'
import { ConfigError } from '../config/diagnostic.ts'
import { loadSettings } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import type { EventBus } from '../events/events.ts'
import { BindError, clearStaleSocket } from '../listener/bind.ts'
import { ListenError } from '../listener/listener.ts'
import { planTargets } from '../listener/targets.ts'
import { loadTls, type TlsContexts } from '../tls/contexts.ts'
import type { TicketSecret } from '../tls/ticket-secret.ts'
import { type RecordedFiles, recording } from './recorded-files.ts'

/** A configuration as it was read. */
export interface Configuration {
  readonly settings: Settings
  readonly files: RecordedFiles
  /** for handshakes of HTTP; undefined where there are none */
  readonly tls: TlsContexts | undefined
}

/** @throws ConfigError */
export async function configurationOf(
  file: string,
  base: {
    readonly events: EventBus
    readonly ticketSecret: TicketSecret
    readonly previous?: TlsContexts | undefined
  },
): Promise<Configuration> {
  const { files, record } = recording()
  const { settings, diagnostics } = await loadSettings(file, files)
  if (settings === undefined) throw new ConfigError(diagnostics)
  const shaken = settings.httpListens.some(({ scope }) => scope.options.enable && scope.options.use_ssl)
  const folder = dirname(settings.file)
  const tls = shaken ? await loadTls(settings, { ...base, clock: Date.now, folder }) : undefined
  return { settings, files: record, tls }
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
