/** A configuration as the console shows it: what is in force, or what would be at the end of a transaction. */

import { ConfigError, type Diagnostic, type Origin } from '../diagnostic.ts'
import { loadSettings } from '../load.ts'
import { type RecordedFiles, replaying } from '../recorded-files.ts'
import type { Settings } from '../settings.ts'
import { readSource } from '../source.ts'
import { dateTime } from './audit.ts'
import { CONSOLE, type LiveChange } from './change.ts'
import { type ScopeTree, scopeTree } from './scope-tree.ts'

export interface ConfigurationView {
  readonly tree: ScopeTree
  /** of a transaction it may be undefined: it cannot be put in force as it is */
  readonly settings: Settings | undefined
  readonly diagnostics: readonly Diagnostic[]
  /** a file's text as it was read, or `<console>` */
  readonly readSource: (file: string) => string | undefined
  readonly changes: readonly LiveChange[]
}

/** A change cannot come into force; nothing has happened. */
export class RefusedChange extends ConfigError {
  readonly readSource: ConfigurationView['readSource']

  constructor(diagnostics: readonly Diagnostic[], readSource: ConfigurationView['readSource']) {
    super(diagnostics)
    this.name = 'RefusedChange'
    this.readSource = readSource
  }
}

/** @param record the files as they were read, with changes */
export async function viewOf(main: string, record: RecordedFiles): Promise<ConfigurationView> {
  const { settings, diagnostics, readSource, statements } = await loadSettings(main, replaying(record))
  const { changes = [] } = record
  return { tree: scopeTree(statements), settings, diagnostics, readSource, changes }
}

/** The same of a configuration whose settings are there already. */
export async function viewInForce(
  main: string,
  record: RecordedFiles,
  settings: Settings,
): Promise<ConfigurationView> {
  const source = await readSource(main, replaying(record))
  const { changes = [] } = record
  return {
    tree: scopeTree(source.statements),
    settings,
    diagnostics: settings.diagnostics,
    readSource: (file) => source.text(file),
    changes,
  }
}

/** `console, by WHO, at TIME` for what was set live, FILE:LINE for the rest. */
export function describeLive(origin: Origin, { changes }: Pick<ConfigurationView, 'changes'>): string {
  if (origin === 'default') return 'default'
  const change = origin.file === CONSOLE ? changes.find(({ number }) => number === origin.line) : undefined
  if (change === undefined) return `${origin.file}:${origin.line}`
  return `console, by ${change.by}, at ${dateTime(change.at)} (${CONSOLE}:${change.number})`
}

/** Of Local_Changes_File, as it is written; undefined: it is not set. */
export function localFileOf({ tree }: ConfigurationView): string | undefined {
  const value = tree.options.get('local_changes_file')?.value
  return value?.kind === 'scalar' && value.text !== '' ? value.text : undefined
}
