/**
 * Where each change from the console is kept, and what the files say then (momentum: conf-overview, §"include";
 * local_changes_file, local_changes_only). Pure but for reading: nothing is written here.
 *
 * A value goes to where it was set last, if that file may be written; else to the first file that may be, in the order
 * of reading, in which its scope stands; else to Local_Changes_File, or to the main file where there is none. A place
 * counts only if the files say afterwards exactly what the change said: a value that a later file would hide again, or
 * one that stands in a file that may not be written and cannot be unset elsewhere, is left over, with the reason.
 */

import path from 'node:path'
import { describeOrigin, type Position } from '../diagnostic.ts'
import { displayName } from '../known-names.ts'
import type { ScopeName } from '../option-row.ts'
import { memoryFiles, readSource, type Source, type SourceFiles } from '../source.ts'
import type { Assignment, StanzaNode, Statement } from '../tree.ts'
import { applyChanges } from './apply.ts'
import type { LiveChange, SetChange, UnsetChange } from './change.ts'
import { fingerprint, scopeTree } from './scope-tree.ts'
import { type ScopePath, stepOf } from './steps.ts'
import { insertOption, removeStatement, replaceValue, upsertOption } from './text-edit.ts'

export interface WriteBackInput {
  /** the main file, as it was named */
  readonly main: string
  /** the files as they were read, without changes */
  readonly files: SourceFiles
  readonly changes: readonly LiveChange[]
  /** Local_Changes_Only */
  readonly localOnly: boolean
  /** why a file cannot be written, beyond what the configuration says of it; undefined: it can */
  readonly refusal: (file: string) => Promise<string | undefined>
}

export interface WriteBackPlan {
  /** by name */
  readonly texts: ReadonlyMap<string, string>
  /** what the files say then, and who said it */
  readonly saved: readonly { readonly change: LiveChange; readonly files: readonly string[] }[]
  readonly left: readonly { readonly change: LiveChange; readonly reason: string }[]
}

export async function planWriteBack(input: WriteBackInput): Promise<WriteBackPlan> {
  const planner = new Planner(input)
  for (const change of input.changes) await planner.place(change)
  return { texts: planner.texts, saved: planner.saved, left: planner.left }
}

/** Texts of files, by name. */
type Edit = ReadonlyMap<string, string>

class Planner {
  readonly #input: WriteBackInput
  readonly texts = new Map<string, string>()
  readonly saved: { readonly change: LiveChange; readonly files: readonly string[] }[] = []
  readonly left: { readonly change: LiveChange; readonly reason: string }[] = []

  constructor(input: WriteBackInput) {
    this.#input = input
  }

  async place(change: LiveChange): Promise<void> {
    const leave = (reason: string): void => void this.left.push({ change, reason })
    if (change.kind === 'scratch' || this.left.some((each) => each.change.kind === 'scratch')) {
      leave(
        'the live configuration was begun from scratch: write it to a file of its own, config writeback FILE',
      )
      return
    }
    const source = await this.#read(this.texts)
    const wanted = fingerprint(scopeTree(applyChanges(source.statements, [change])))
    const reasons: string[] = []
    const edits =
      change.kind === 'set' ? this.#toSet(source, change, reasons) : this.#toUnset(source, change, reasons)
    for await (const edit of edits) {
      const after = await this.#read(new Map([...this.texts, ...edit]))
      const good = after.diagnostics.every(({ severity }) => severity !== 'error')
      if (good && fingerprint(scopeTree(after.statements)) === wanted) {
        for (const [file, text] of edit) this.texts.set(file, text)
        this.saved.push({ change, files: [...edit.keys()] })
        return
      }
      reasons.push(`in ${[...edit.keys()].join(', ')} it would not have the last word`)
    }
    leave(reasons.join('; ') || 'no file is there that could keep it')
  }

  async *#toSet(source: Source, change: SetChange, reasons: string[]): AsyncGenerator<Edit> {
    const { main, localOnly } = this.#input
    const { option, value, path: scope } = change
    const added = { option, value }
    const usable = async (file: string): Promise<boolean> => {
      const reason = await this.#refusal(source, file)
      if (reason !== undefined && !reasons.includes(reason)) reasons.push(reason)
      return reason === undefined
    }
    if (!localOnly) {
      const last = assignmentsOf(source.statements, change).at(-1)?.name.at
      if (last !== undefined && (await usable(last.file)))
        yield new Map([[last.file, replaceValue(textOf(source, last.file), last, value)]])
      for (const { file, at } of definitionsOf(source, main, scope)) {
        if (await usable(file)) yield new Map([[file, insertOption(textOf(source, file), at, added)]])
      }
    }
    const file = source.localChanges ?? main
    if (localOnly && source.localChanges === undefined)
      reasons.push('Local_Changes_Only needs a Local_Changes_File')
    else if (await usable(file)) yield new Map([[file, upsertOption(textOf(source, file), scope, added)]])
  }

  async *#toUnset(source: Source, change: UnsetChange, reasons: string[]): AsyncGenerator<Edit> {
    const { localOnly } = this.#input
    const places = (
      change.option === undefined
        ? stanzasOf(source.statements, change.path)
        : assignmentsOf(source.statements, { path: change.path, option: change.option })
    ).map(({ name }) => name.at)
    const edit = new Map<string, string>()
    // from the end, so that the places before stay where they are
    for (const at of places.toSorted((a, b) => b.line - a.line || b.column - a.column)) {
      const outside = localOnly && at.file !== source.localChanges ? 'Local_Changes_Only is set' : undefined
      const reason = (await this.#refusal(source, at.file)) ?? outside
      if (reason !== undefined) {
        const what = change.option === undefined ? 'it' : displayName(change.option)
        reasons.push(
          `${what} stands in ${describeOrigin(at)}, and what a file says can only be unset there: ${reason}`,
        )
        return
      }
      edit.set(at.file, removeStatement(edit.get(at.file) ?? textOf(source, at.file), at))
    }
    yield edit
  }

  /** undefined: the file may be written */
  async #refusal(source: Source, file: string): Promise<string | undefined> {
    if (source.written.get(file)?.readOnly === true)
      return `${file} is read-only: it is included by readonly_include, or more than once`
    return await this.#input.refusal(file)
  }

  /** What the files say with these texts. */
  async #read(texts: ReadonlyMap<string, string>): Promise<Source> {
    const { main, files } = this.#input
    const absolute = new Map([...texts].map(([name, text]) => [path.resolve(name), text]))
    // a file is the same one whether its text is the old or a new one
    const identity: SourceFiles['identity'] = async (file) => {
      try {
        return await files.identity(file)
      } catch (error) {
        if (absolute.has(file)) return file
        throw error
      }
    }
    const list: SourceFiles['list'] = (directory) => files.list(directory)
    const base: SourceFiles = {
      kind: (file) => files.kind(file),
      read: (file) => files.read(file),
      identity,
      list,
    }
    return await readSource(main, { ...memoryFiles(absolute, base), identity, list })
  }
}

function textOf(source: Source, file: string): string {
  return source.text(file) ?? ''
}

function assignmentsOf(
  statements: readonly Statement[],
  { path: scope, option }: { readonly path: ScopePath; readonly option: string },
): readonly Assignment[] {
  const bodies = scope.length === 0 ? [statements] : stanzasOf(statements, scope).map(({ body }) => body)
  return bodies.flatMap((body) =>
    body.flatMap((each) =>
      each.kind === 'assignment' && each.name.text.toLowerCase() === option ? [each] : [],
    ),
  )
}

/** Every piece of an instance of a scope. */
function stanzasOf(statements: readonly Statement[], scope: ScopePath): readonly StanzaNode[] {
  const pieces = (
    body: readonly Statement[],
    rest: ScopePath,
    parent: ScopeName | undefined,
  ): readonly StanzaNode[] => {
    const [step, ...more] = rest
    if (step === undefined) return []
    const found = body.flatMap((each) => (each.kind === 'stanza' && isStep(each, step, parent) ? [each] : []))
    return more.length === 0 ? found : found.flatMap((each) => pieces(each.body, more, step.scope))
  }
  return pieces(statements, scope, 'global')
}

function isStep(node: StanzaNode, { name, key }: ScopePath[number], parent: ScopeName | undefined): boolean {
  return node.name.text.toLowerCase() === name && stepOf(parent, node).key === key
}

interface Definition {
  readonly file: string
  /** of the stanza's name; undefined: the whole file stands in the scope */
  readonly at: Position | undefined
}

/** Where an instance of a scope stands, in the order of reading. */
function* definitionsOf(source: Source, main: string, scope: ScopePath): Generator<Definition> {
  function* walk(
    statements: readonly Statement[],
    rest: ScopePath,
    parent: ScopeName | undefined,
  ): Generator<Definition> {
    const [step, ...more] = rest
    for (const each of statements) {
      if (each.kind === 'include') {
        for (const file of source.included(each)) {
          if (step === undefined) yield { file, at: undefined }
          yield* walk(source.written.get(file)?.statements ?? [], rest, parent)
        }
      } else if (each.kind === 'stanza' && step !== undefined && isStep(each, step, parent)) {
        if (more.length === 0) yield { file: each.name.at.file, at: each.name.at }
        yield* walk(each.body, more, step.scope)
      }
    }
  }
  if (scope.length === 0) yield { file: main, at: undefined }
  yield* walk(source.written.get(main)?.statements ?? [], scope, 'global')
}
