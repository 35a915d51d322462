/** The console's commands about the configuration, over files in a folder and without a server: everything that can be loaded comes into force. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { ChangeFact } from '../../src/config/live/audit.ts'
import { LiveConfiguration } from '../../src/config/live/live-configuration.ts'
import { loadSettings } from '../../src/config/load.ts'
import { type RecordedFiles, recording, replaying } from '../../src/config/recorded-files.ts'
import { diskFiles } from '../../src/config/source.ts'
import { ConsoleError } from '../../src/console/answer.ts'
import { runCommand } from '../../src/console/commands.ts'
import { renderText } from '../../src/console/render.ts'
import type { ConsoleServices } from '../../src/console/services.ts'

/** 2026-11-22T13:30:00Z */
export const NOW = Date.UTC(2026, 10, 22, 13, 30)

export interface LiveConsole {
  readonly live: LiveConfiguration
  readonly facts: readonly ChangeFact[]
  /** what was put in force, in order */
  readonly applied: readonly RecordedFiles[]
  /** The answer as the client shows it; an error begins with `! `. */
  type(line: string, who?: string, connection?: AbortSignal): Promise<string>
  /** what the next application throws */
  fail(error: Error): void
}

/** @param file the main file, which has to be good */
export async function liveConsole(file: string): Promise<LiveConsole> {
  const { files, record } = recording(diskFiles)
  const { settings } = await loadSettings(file, files)
  if (settings === undefined) throw new Error(`${file} cannot be loaded: ${readFileSync(file, 'utf8')}`)
  let now = settings
  const facts: ChangeFact[] = []
  const applied: RecordedFiles[] = []
  let failure: Error | undefined
  const host = {
    main: file,
    below: diskFiles,
    stored: true,
    started: settings,
    clock: () => NOW,
    inForce: {
      get settings() {
        return now
      },
      warnings: [],
    },
    reopenLogs: () => Promise.resolve(),
    audit: (fact: ChangeFact) => void facts.push(fact),
    apply: async (next: RecordedFiles) => {
      const error = failure
      failure = undefined
      if (error !== undefined) throw error
      applied.push(next)
      now = (await loadSettings(file, replaying(next))).settings ?? now
      return []
    },
  }
  const live = new LiveConfiguration(host, record)
  const services = {
    configuration: live,
    settings: () => settings,
    scripts: () => undefined,
  } as Partial<ConsoleServices> as ConsoleServices
  const only = new AbortController().signal
  return {
    live,
    facts,
    applied,
    fail: (error) => {
      failure = error
    },
    type: async (line, who = 'alice', connection = only) => {
      const context = { operator: { name: who, known: 'password', from: 'local' }, line, connection } as const
      try {
        return renderText(await runCommand(line.trim().split(/\s+/), services, context))
      } catch (error) {
        if (!(error instanceof ConsoleError)) throw error
        return `! ${error.message}\n`
      }
    },
  }
}

/** Texts without the folder that they were made in. */
export function withoutFolder(text: string, folder: string): string {
  return text.replaceAll(`${folder}${path.sep}`, '')
}
