/**
 * The files of a configuration as they were read: a worker that begins later reads the same, whatever has become of the
 * disk in between. Scripts, certificates and keys are not among them.
 */

import type { LiveChange } from './live/change.ts'
import { diskFiles, type SourceFiles } from './source.ts'

type Kind = Awaited<ReturnType<SourceFiles['kind']>>

/** Plain data; by absolute path. */
export interface RecordedFiles {
  readonly kinds: ReadonlyMap<string, Kind>
  readonly lists: ReadonlyMap<string, readonly string[]>
  readonly texts: ReadonlyMap<string, string>
  readonly identities: ReadonlyMap<string, string>
  /** from the console, over what the files say; none unless given */
  readonly changes?: readonly LiveChange[] | undefined
}

/** The disk, and a record of what was read of it. */
export function recording(below: SourceFiles = diskFiles): {
  readonly files: SourceFiles
  readonly record: RecordedFiles
} {
  const record = {
    kinds: new Map<string, Kind>(),
    lists: new Map<string, readonly string[]>(),
    texts: new Map<string, string>(),
    identities: new Map<string, string>(),
    changes: below.changes,
  }
  return {
    record,
    files: {
      kind: (file) => keep(record.kinds, file, below.kind(file)),
      list: (directory) => keep(record.lists, directory, below.list(directory)),
      read: (file) => keep(record.texts, file, below.read(file)),
      identity: (file) => keep(record.identities, file, below.identity(file)),
      changes: below.changes,
    },
  }
}

/** What was read, once more. What was not read then is not there. */
export function replaying({ kinds, lists, texts, identities, changes }: RecordedFiles): SourceFiles {
  return {
    kind: async (file) => await Promise.resolve(kinds.get(file)),
    list: (directory) => found(lists, directory),
    read: (file) => found(texts, file),
    identity: (file) => found(identities, file),
    changes,
  }
}

async function keep<T>(into: Map<string, T>, file: string, value: Promise<T>): Promise<T> {
  const read = await value
  into.set(file, read)
  return read
}

async function found<T>(map: ReadonlyMap<string, T>, file: string): Promise<T> {
  const value = map.get(file)
  if (value === undefined) throw new Error('it was not there when the configuration was read')
  return await Promise.resolve(value)
}
