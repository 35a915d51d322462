/** The configuration that an operator changes from the console, joined to the process that puts it in force. */

import path from 'node:path'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { Who } from '../config/live/audit.ts'
import { LiveConfiguration } from '../config/live/live-configuration.ts'
import { type RecordedFiles, recording } from '../config/recorded-files.ts'
import type { Settings } from '../config/settings.ts'
import { diskFiles, memoryFiles, type SourceFiles } from '../config/source.ts'
import type { EventBus } from '../events/events.ts'
import type { ConfigurationSource } from '../generation.ts'

/** who reloads with a signal, or from the program around the server */
export const SIGNAL: Who = { name: 'SIGHUP', from: 'local' }

/** Where the files of a configuration are read, and what was read at the start. */
export interface ReadSource {
  readonly below: SourceFiles
  readonly record: RecordedFiles
  /** false: the text of the configuration came from no file */
  readonly stored: boolean
}

export interface LiveParts {
  readonly main: string
  readonly read: ReadSource
  readonly events: EventBus
  readonly started: Settings
  readonly inForce: { readonly settings: Settings; readonly warnings: readonly Diagnostic[] }
  /** in every process */
  readonly reopenLogs: () => Promise<void>
  /** puts it in force, in every process or in none */
  readonly apply: (files: RecordedFiles) => Promise<void>
}

export function liveConfiguration(parts: LiveParts): LiveConfiguration {
  const { main, read, events, started, inForce, reopenLogs, apply } = parts
  return new LiveConfiguration(
    {
      main,
      below: read.below,
      stored: read.stored,
      started,
      inForce,
      reopenLogs,
      clock: Date.now,
      apply: async (files) => {
        await apply(files)
        return inForce.warnings
      },
      audit: (fact) => {
        events.emit({ kind: 'configuration-change', ...fact })
        if (fact.act !== 'dropped') return
        const what = [fact.scope, fact.option, fact.after === '' ? '(unset)' : `= ${fact.after}`]
        const text = `set live, not written back, and dropped by ${fact.operator}: ${what.filter((each) => each !== '').join(' ')} (${fact.place})`
        events.emit({ kind: 'panic', at: fact.at, level: 'warning', module: 'config', text })
      },
    },
    read.record,
  )
}

/** Files that are recorded while they are read. */
export function recordedSource(source: ConfigurationSource): ReadSource & { readonly files: SourceFiles } {
  const { file, text, files = diskFiles } = source
  const below = text === undefined ? files : memoryFiles(new Map([[path.resolve(file), text]]))
  return { below, stored: text === undefined, ...recording(below) }
}
