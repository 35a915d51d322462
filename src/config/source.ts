/**
 * Reads a configuration with everything it includes (Momentum: conf-overview).
 *
 * A path is relative to the directory of the file that names it. A directory gives its regular files in alphabetical
 * order, without dot files and sub-directories. The statements of an included file stand where the `include` stood.
 * Each file is complete in itself: a stanza cannot end in another file. Refused: a missing file, a cycle, and more
 * includes than anybody writes. Local_Changes_File is read last, and may be missing.
 */

import { createReadStream } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import path from 'node:path'
import type { Diagnostic, Position } from './diagnostic.ts'
import { applyChanges } from './live/apply.ts'
import { CONSOLE, consoleText, type LiveChange } from './live/change.ts'
import { parse } from './parser.ts'
import { quote } from './render.ts'
import type { Include, Scalar, Statement } from './tree.ts'

/** Where configuration text comes from: the disk, or a test's own memory. Paths are absolute. */
export interface SourceFiles {
  /** undefined when there is nothing */
  kind(file: string): Promise<'file' | 'directory' | 'other' | undefined>
  /** names in a directory, without order */
  list(directory: string): Promise<readonly string[]>
  /** UTF-8 text */
  read(file: string): Promise<string>
  /** one name for each file, whatever links lead to it */
  identity(file: string): Promise<string>
  /** what was changed from the console since, in order; put over everything that the files say */
  readonly changes?: readonly LiveChange[] | undefined
}

export interface Source {
  readonly statements: readonly Statement[]
  /** as the user wrote it, or as an include resolved it, in the order of reading */
  readonly files: readonly string[]
  readonly diagnostics: readonly Diagnostic[]
  /** the text of a file that was read; of `<console>`, the commands that changed something */
  text(file: string): string | undefined
  /** the files as they were read, by name, for what is written back */
  readonly written: ReadonlyMap<string, WrittenFile>
  /** the files that an include stands for */
  included(include: Include): readonly string[]
  /** Local_Changes_File, there or not; undefined: it is not set */
  readonly localChanges: string | undefined
}

/** One file by itself. */
export interface WrittenFile {
  /** the same for all names of a file */
  readonly identity: string
  /** its own statements, includes as they stand */
  readonly statements: readonly Statement[]
  /** by readonly_include, or since it is included more than once */
  readonly readOnly: boolean
}

/** Reads `file` and what it includes. Never throws for what is wrong with a file. */
export async function readSource(file: string, files: SourceFiles): Promise<Source> {
  return new Reader(files).run(file)
}

export const diskFiles: SourceFiles = {
  async kind(file) {
    try {
      const found = await stat(file)
      return found.isFile() ? 'file' : found.isDirectory() ? 'directory' : 'other'
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw error
    }
  },
  list: (directory) => readdir(directory),
  read: readBounded,
  identity: (file) => realpath(file),
}

/** Devices and pipes have no size beforehand. */
async function readBounded(file: string): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of createReadStream(file)) {
    chunks.push(chunk as Buffer)
    size += (chunk as Buffer).length
    if (size > maxFile) throw new Error('it is larger than 64 MiB')
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Files in memory over a disk: tests, and a text that comes without a file. */
export function memoryFiles(texts: ReadonlyMap<string, string>, below: SourceFiles = diskFiles): SourceFiles {
  const inDirectory = (directory: string) =>
    [...texts.keys()]
      .filter((file) => file.startsWith(`${directory}/`))
      .map((file) => file.slice(directory.length + 1))
  return {
    async kind(file) {
      if (texts.has(file)) return 'file'
      return inDirectory(file).length > 0 ? 'directory' : below.kind(file)
    },
    async list(directory) {
      const names = inDirectory(directory).map((name) => name.split('/')[0] ?? name)
      return names.length > 0 ? [...new Set(names)] : below.list(directory)
    },
    read: async (file) => texts.get(file) ?? below.read(file),
    identity: async (file) => (texts.has(file) ? file : below.identity(file)),
  }
}

interface OpenFile {
  readonly identity: string
  /** as shown to the user */
  readonly name: string
}

class Reader {
  readonly #files: SourceFiles
  readonly #texts = new Map<string, string>()
  /** by name as shown: a file that is included often is read and parsed once */
  readonly #parsed = new Map<string, readonly Statement[]>()
  readonly #diagnostics: Diagnostic[] = []
  readonly #identities = new Map<string, string>()
  /** by identity */
  readonly #loads = new Map<string, { times: number; readOnly: boolean }>()
  readonly #included = new Map<Include, readonly string[]>()
  #includes = 0

  constructor(files: SourceFiles) {
    this.#files = files
  }

  async run(file: string): Promise<Source> {
    const statements = await this.#load(file, undefined, [])
    const { changes = [] } = this.#files
    const local = lastAssignment(applyChanges(statements, changes), 'local_changes_file')
    const localChanges =
      local === undefined || local.text === ''
        ? undefined
        : path.join(path.isAbsolute(local.text) ? '' : path.dirname(file), local.text)
    // it is made by the first change that is kept
    if (local && localChanges !== undefined && (await this.#kind(localChanges, local.at)) === 'file') {
      const identity = await this.#identity(localChanges)
      if (identity !== undefined && this.#loads.has(identity))
        this.#error('Local_Changes_File must not be included as well', local.at)
      else append(statements, await this.#load(localChanges, local.at, []))
    }
    return {
      statements: applyChanges(statements, changes),
      files: [...this.#texts.keys()],
      diagnostics: this.#diagnostics,
      text: (name) => (name === CONSOLE ? consoleText(changes) : this.#texts.get(name)),
      written: this.#written(),
      included: (include) => this.#included.get(include) ?? [],
      localChanges,
    }
  }

  #written(): ReadonlyMap<string, WrittenFile> {
    return new Map(
      [...this.#parsed].map(([name, statements]) => {
        const identity = this.#identities.get(name) ?? name
        const load = this.#loads.get(identity)
        return [
          name,
          { identity, statements, readOnly: load === undefined || load.readOnly || load.times > 1 },
        ]
      }),
    )
  }

  /** undefined: the reading of it says what is wrong */
  async #identity(name: string): Promise<string | undefined> {
    try {
      return await this.#files.identity(path.resolve(name))
    } catch {
      return undefined
    }
  }

  // oxlint-disable-next-line max-params -- what, why, inside of what, and how
  async #load(
    name: string,
    from: Position | undefined,
    open: readonly OpenFile[],
    readOnly = false,
  ): Promise<Statement[]> {
    const file = path.resolve(name)
    let statements = this.#parsed.get(name)
    let identity: string
    try {
      identity = await this.#files.identity(file)
      this.#identities.set(name, identity)
      const first = open.findIndex((each) => each.identity === identity)
      if (first !== -1) {
        const chain = [...open.slice(first).map((each) => each.name), name].join(' → ')
        this.#error(`this include comes back to itself: ${chain}`, from)
        return []
      }
      if (statements === undefined) statements = this.#parse(await this.#files.read(file), name)
    } catch (error) {
      this.#error(`cannot read ${quote(name)}: ${reasonOf(error)}`, from)
      return []
    }
    const load = this.#loads.get(identity)
    this.#loads.set(identity, {
      times: (load?.times ?? 0) + 1,
      readOnly: readOnly || load?.readOnly === true,
    })
    return this.#expand(statements, [...open, { identity, name }])
  }

  #parse(text: string, name: string): readonly Statement[] {
    const { statements, diagnostics } = parse(text, name)
    this.#texts.set(name, text)
    this.#parsed.set(name, statements)
    append(this.#diagnostics, diagnostics)
    return statements
  }

  async #expand(statements: readonly Statement[], open: readonly OpenFile[]): Promise<Statement[]> {
    const result: Statement[] = []
    for (const statement of statements) {
      if (statement.kind === 'include') append(result, await this.#include(statement, open))
      else if (statement.kind === 'stanza') {
        result.push({ ...statement, body: await this.#expand(statement.body, open) })
      } else result.push(statement)
    }
    return result
  }

  async #include(include: Include, open: readonly OpenFile[]): Promise<Statement[]> {
    const { path: target } = include
    this.#includes += 1
    if (this.#includes > maxIncludes) {
      if (this.#includes === maxIncludes + 1) this.#error(`more than ${maxIncludes} includes`, target.at)
      return []
    }
    const directory = path.isAbsolute(target.text) ? '' : path.dirname(target.at.file)
    const name = path.join(directory, target.text)
    const kind = await this.#kind(name, target.at)
    if (kind === 'directory' || kind === 'file') {
      const names = kind === 'file' ? [name] : await this.#filesIn(name, target)
      this.#included.set(include, names)
      const statements: Statement[] = []
      for (const each of names) append(statements, await this.#load(each, target.at, open, include.readOnly))
      return statements
    }
    if (kind === 'other')
      this.#error(`cannot include ${quote(name)}: it is neither a file nor a directory`, target.at)
    if (kind === 'none')
      this.#error(`cannot include ${quote(name)}: there is no such file or directory`, target.at)
    return []
  }

  async #filesIn(name: string, target: Scalar): Promise<readonly string[]> {
    const files: string[] = []
    try {
      const names = [...(await this.#files.list(path.resolve(name)))].filter((each) => !each.startsWith('.'))
      for (const each of names.toSorted()) {
        const file = path.join(name, each)
        if ((await this.#kind(file, target.at)) === 'file') files.push(file)
      }
    } catch (error) {
      this.#error(`cannot include ${quote(name)}: ${reasonOf(error)}`, target.at)
    }
    return files
  }

  /** `failed` has been reported. */
  async #kind(name: string, at: Position): Promise<'file' | 'directory' | 'other' | 'none' | 'failed'> {
    try {
      return (await this.#files.kind(path.resolve(name))) ?? 'none'
    } catch (error) {
      this.#error(`cannot read ${quote(name)}: ${reasonOf(error)}`, at)
      return 'failed'
    }
  }

  #error(message: string, at: Position | undefined): void {
    this.#diagnostics.push({ severity: 'error', message, ...(at && { at }) })
  }
}

/** `push(...items)` passes each item as an argument, and there is a limit to those. */
function append<T>(target: T[], items: readonly T[]): void {
  for (const item of items) target.push(item)
}

function lastAssignment(statements: readonly Statement[], name: string): Scalar | undefined {
  const found = statements.findLast(
    (each) => each.kind === 'assignment' && each.name.text.toLowerCase() === name,
  )
  return found?.kind === 'assignment' && found.value.kind === 'scalar' ? found.value : undefined
}

/** The system's word for it, without the path, which the message names already. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  switch (code) {
    case 'ENOENT':
      return 'no such file'
    case 'EACCES':
      return 'permission denied'
    case 'EISDIR':
      return 'it is a directory'
    default:
      return code ?? (error instanceof Error ? error.message : String(error))
  }
}

const maxIncludes = 10_000
/** octets; a million Peer stanzas are about half as much */
const maxFile = 64 * 1024 ** 2
