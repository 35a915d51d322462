/**
 * The configuration in force as an operator changes it from the console (momentum: console-commands/config).
 *
 * Nothing acts but whole: each change is read, checked and built as a reload is, in every process or in none, and files
 * stay as they are until `writeBack`. One change follows the other; a transaction belongs to one connection, ends with
 * it, and is refused at its end when somebody else's change came first. A reload reads the files and drops what was not
 * written back, and says so.
 */

import path from 'node:path'
import type { Diagnostic } from '../diagnostic.ts'
import { loadSettings } from '../load.ts'
import { type RecordedFiles, recording } from '../recorded-files.ts'
import { restartWarnings } from '../restart.ts'
import type { Settings } from '../settings.ts'
import type { SourceFiles } from '../source.ts'
import { type ChangeFact, dateTime, factOf, type Who } from './audit.ts'
import { type Author, consoleText, type LiveChange, lineWithoutPasswords, withChange } from './change.ts'
import { makeFile } from './keep-file.ts'
import { type Saved, saveChanges } from './save.ts'
import { fingerprint, showScope } from './scope-tree.ts'
import { mistake, wrongValue } from './target.ts'
import { Transactions } from './transactions.ts'
import { type ConfigurationView, localFileOf, RefusedChange, viewInForce, viewOf } from './view.ts'
import { weakerBy } from './weaker.ts'

export interface LiveHost {
  /** the main file, as it was named */
  readonly main: string
  /** where its files are read when it is read anew */
  readonly below: SourceFiles
  /** false: the text of the configuration came from no file */
  readonly stored: boolean
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** some of its values outlive every change */
  readonly started: Settings
  /**
   * Puts in force what these files say, in every process or in none. @returns warnings about it.
   * @throws ConfigError, ListenError; what was before stays in force
   */
  readonly apply: (files: RecordedFiles) => Promise<readonly Diagnostic[]>
  /** at the begin of each reload, also of one that fails: logrotate has moved the files */
  readonly reopenLogs: () => Promise<void>
  readonly inForce: { readonly settings: Settings; readonly warnings: readonly Diagnostic[] }
  readonly audit: (fact: ChangeFact) => void
}

export interface Outcome {
  /** it was so already, and nothing has happened */
  readonly unchanged: boolean
  /** those that were not there before */
  readonly warnings: readonly Diagnostic[]
  /** what is weaker than before, in sentences */
  readonly weakened: readonly string[]
  readonly view: ConfigurationView
}

interface InForce {
  readonly record: RecordedFiles
  readonly changes: readonly LiveChange[]
}

export class LiveConfiguration {
  readonly #host: LiveHost
  readonly #transactions = new Transactions()
  #inForce: InForce
  /** of what is in force; read when somebody asks for the first time */
  #view: Promise<ConfigurationView> | undefined
  /** files were written since the settings in force were read from them */
  #moved = false
  #version = 0
  /** the last number of a change */
  #number = 0
  #last = { by: 'a reload', at: 0, line: '' }
  /** changes follow one another */
  #turn: Promise<unknown> = Promise.resolve()

  /** @param record the files with which the process began */
  constructor(host: LiveHost, record: RecordedFiles) {
    this.#host = host
    this.#inForce = { record, changes: [] }
  }

  /** the main file, as it was named */
  get main(): string {
    return this.#host.main
  }

  /** Changes in force that no file has. */
  get unsaved(): readonly LiveChange[] {
    return this.#inForce.changes
  }

  /** What a connection sees: its transaction, where it has one open. */
  async view(connection?: AbortSignal): Promise<ConfigurationView> {
    const open = this.#transactions.of(connection)
    this.#view ??= this.#look()
    return open === undefined ? await this.#view : await this.#read(this.#with(open.changes))
  }

  /** What is in force, whatever the connection has open. */
  async viewInForce(): Promise<ConfigurationView> {
    return await this.view()
  }

  author(who: Who): Author {
    this.#number += 1
    return { number: this.#number, by: who.name, at: this.#host.clock() }
  }

  /** @returns the others that are open, in words. @throws ConfigError */
  begin(connection: AbortSignal | undefined, who: Who, first?: LiveChange): readonly string[] {
    return this.#transactions.begin(connection, {
      by: who,
      began: this.#host.clock(),
      version: this.#version,
      changes: first === undefined ? [] : [first],
    })
  }

  /** @returns how many changes are dropped. @throws ConfigError */
  rollback(connection: AbortSignal | undefined): number {
    const { changes } = this.#transactions.needed(connection)
    this.#transactions.end(connection)
    return changes.length
  }

  /** The changes of a transaction, in order. @throws ConfigError */
  replay(connection: AbortSignal | undefined): readonly LiveChange[] {
    return this.#transactions.needed(connection).changes
  }

  /**
   * Makes one change: at once, or at the end of the transaction that the connection has open. There only a wrong value is
   * told at once, since what else there is to say may depend on changes that are still to come.
   * @throws ConfigError, ListenError; nothing has changed then
   */
  async change(change: LiveChange, who: Who, connection?: AbortSignal): Promise<Outcome | 'noted'> {
    const open = this.#transactions.of(connection)
    if (open === undefined) return await this.#inTurn(() => this.#commit([change], who))
    const changes = withChange(open.changes, change)
    checkCount(changes)
    const wrong = change.kind === 'set' ? wrongValue(change, path.dirname(path.resolve(this.#host.main))) : []
    if (wrong.length > 0) throw new RefusedChange(wrong, () => consoleText([change]))
    open.changes = changes
    return 'noted'
  }

  /** Puts a transaction in force as a whole. It stays open when that fails. @throws ConfigError, ListenError */
  async commit(
    connection: AbortSignal | undefined,
    who: Who,
  ): Promise<Outcome & { readonly committed: readonly LiveChange[] }> {
    const open = this.#transactions.needed(connection)
    return await this.#inTurn(async () => {
      if (open.version !== this.#version) {
        const { by, at, line } = this.#last
        throw mistake(
          `the configuration was changed by ${by} at ${dateTime(at)}${line === '' ? '' : ` (${line})`}, after this transaction began at ${dateTime(open.began)}: config replay lists what it holds, config rollback drops it`,
        )
      }
      const { changes } = open
      const outcome = await this.#commit(changes, who)
      this.#transactions.end(connection)
      return { ...outcome, committed: changes }
    })
  }

  /**
   * Reads the files and puts them in force. What was set live and not written back is dropped, and comes back as what was
   * dropped. @throws ConfigError, ListenError; everything stays in force then
   */
  async reload(
    who: Who,
    connection?: AbortSignal,
  ): Promise<{ readonly warnings: readonly Diagnostic[]; readonly dropped: readonly LiveChange[] }> {
    if (this.#transactions.of(connection) !== undefined)
      throw mistake('a transaction is open: config commit or config rollback comes before a reload')
    return await this.#inTurn(async () => {
      await this.#host.reopenLogs()
      const { files, record } = recording(this.#host.below)
      const { settings, diagnostics, readSource } = await loadSettings(this.#host.main, files)
      if (settings === undefined) throw new RefusedChange(diagnostics, readSource)
      const warnings = await this.#host.apply(record)
      const dropped = this.#inForce.changes
      this.#switch({ record, changes: [] }, who, 'config reload')
      this.#auditAll(dropped, 'dropped', who)
      return { warnings, dropped }
    })
  }

  /** Writes what was changed into the files. @throws ConfigError, NotKeptError; nothing is written then */
  async writeBack(who: Who): Promise<Saved> {
    if (!this.#host.stored) throw mistake('this configuration stands in no file that could be written')
    return await this.#inTurn(async () => {
      const { record, changes } = this.#inForce
      const { settings } = await this.viewInForce()
      const localOnly = settings?.global.local_changes_only === true
      const saved = await saveChanges({ main: this.#host.main, record, changes, localOnly })
      this.#inForce = { record: saved.record, changes: saved.left.map(({ change }) => change) }
      this.#view = undefined
      this.#moved ||= saved.files.length > 0
      for (const { change, files } of saved.saved) this.#auditAll([change], 'saved', who, files)
      return saved
    })
  }

  /** The whole of it as one file, which must not be there yet. @throws NotKeptError */
  async writeWhole(file: string): Promise<string> {
    const { tree } = await this.viewInForce()
    const target = path.resolve(path.dirname(path.resolve(this.#host.main)), file)
    const lines = showScope(tree, { passwords: 'shown', children: 'whole' })
    await makeFile(target, lines.map((line) => `${line}\n`).join(''), WHOLE_MODE)
    return target
  }

  /** The process ends: what no file has is told of. */
  end(): void {
    this.#auditAll(this.#inForce.changes, 'dropped', { name: 'the stop', from: '' })
  }

  async #commit(added: readonly LiveChange[], who: Who): Promise<Outcome> {
    const before = await this.viewInForce()
    const changes = this.#with(added)
    checkCount(changes)
    const view = await this.#read(changes)
    const { settings, readSource } = view
    if (settings === undefined)
      throw new RefusedChange(
        view.diagnostics.filter(({ severity }) => severity === 'error'),
        readSource,
      )
    if (fingerprint(before.tree) === fingerprint(view.tree))
      return { unchanged: true, warnings: [], weakened: [], view: before }
    this.#refuseRestart(before, view)
    await this.#refuseUnreadFile(before, view)
    const weakened = added.map((each) => weakerBy(each, before, view))
    const known = new Set(this.#host.inForce.warnings.map(keyOf))
    let warnings: readonly Diagnostic[]
    try {
      warnings = await this.#host.apply({ ...this.#inForce.record, changes })
    } catch (error) {
      const found = error instanceof Error && 'diagnostics' in error ? error.diagnostics : undefined
      if (!Array.isArray(found)) throw error
      // of a ConfigError or a ListenError; what was changed is quoted from the console
      throw new RefusedChange(found as readonly Diagnostic[], readSource)
    }
    const [last] = added.slice(-1)
    this.#switch({ record: this.#inForce.record, changes }, who, last && lineWithoutPasswords(last))
    this.#view = Promise.resolve(view)
    for (const [index, change] of added.entries()) {
      const sentences = (weakened[index] ?? []).map(({ message }) => message)
      this.#host.audit(
        factOf(change, { at: this.#host.clock(), who, before: before.tree, warning: sentences.join('; ') }),
      )
    }
    return {
      unchanged: false,
      warnings: warnings.filter((each) => !known.has(keyOf(each))),
      weakened: weakened.flat().map(({ message }) => message),
      view,
    }
  }

  /** @throws ConfigError for what only a start could put in force */
  #refuseRestart(
    { settings: before }: ConfigurationView,
    { settings: after, readSource }: ConfigurationView,
  ): void {
    if (before === undefined || after === undefined) return
    const known = restartWarnings(this.#host.started, before).map(({ message }) => message)
    const changed = restartWarnings(before, after).map(({ message }) => message)
    const found = restartWarnings(this.#host.started, after).filter(
      ({ message }) => changed.includes(message) || !known.includes(message),
    )
    if (found.length === 0) return
    throw new RefusedChange(
      found.map((each) => ({
        ...each,
        severity: 'error',
        message: `${each.message}: write it into the file`,
      })),
      readSource,
    )
  }

  /** A file that is named as Local_Changes_File now would be read at the next start, and was not looked at. */
  async #refuseUnreadFile(before: ConfigurationView, after: ConfigurationView): Promise<void> {
    const file = localFileOf(after)
    if (file === undefined || file === localFileOf(before)) return
    const target = path.resolve(path.dirname(path.resolve(this.#host.main)), file)
    if ((await this.#host.below.kind(target)) === undefined) return
    throw mistake(
      `Local_Changes_File: ${file} is there already, and what it says has not been read: write the option into the main file and reload`,
    )
  }

  #switch(inForce: InForce, { name: by }: Who, line = ''): void {
    this.#inForce = inForce
    this.#view = undefined
    this.#moved = false
    this.#version += 1
    this.#last = { by, at: this.#host.clock(), line }
  }

  #with(added: readonly LiveChange[]): readonly LiveChange[] {
    return added.reduce(withChange, this.#inForce.changes)
  }

  /** Nothing is checked again, unless the places of values have moved. */
  async #look(): Promise<ConfigurationView> {
    const { record, changes } = this.#inForce
    if (this.#moved) return await this.#read(changes)
    return await viewInForce(this.#host.main, { ...record, changes }, this.#host.inForce.settings)
  }

  async #read(changes: readonly LiveChange[]): Promise<ConfigurationView> {
    return await viewOf(this.#host.main, { ...this.#inForce.record, changes })
  }

  #auditAll(
    changes: readonly LiveChange[],
    act: ChangeFact['act'],
    who: Who,
    files?: readonly string[],
  ): void {
    for (const change of changes) {
      const fact = factOf(change, { at: this.#host.clock(), who })
      this.#host.audit({ ...fact, act, ...(files && { place: files.join(', ') }) })
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => undefined)
    return done
  }
}

/** of a file that may hold passwords */
const WHOLE_MODE = 0o600
/** more are nobody's hand */
const MAX_CHANGES = 1000

function checkCount(changes: readonly LiveChange[]): void {
  if (changes.length > MAX_CHANGES)
    throw mistake(`more than ${MAX_CHANGES} changes that are not written back: config writeback first`)
}

function keyOf({ message, at }: Diagnostic): string {
  return `${at?.file}:${at?.line}:${message}`
}
