/**
 * The files of a configuration as they were read: a worker that begins later reads the same, whatever has become of the
 * disk in between. Scripts, certificates and keys are not among them.
 */

import { diskFiles, type SourceFiles } from '../config/source.ts'

type Kind = Awaited<ReturnType<SourceFiles['kind']>>

/** Plain data; by absolute path. */
export interface RecordedFiles {
  readonly kinds: ReadonlyMap<string, Kind>
  readonly lists: ReadonlyMap<string, readonly string[]>
  readonly texts: ReadonlyMap<string, string>
  readonly identities: ReadonlyMap<string, string>
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
  }
  return {
    record,
    files: {
      kind: (file) => keep(record.kinds, file, below.kind(file)),
      list: (directory) => keep(record.lists, directory, below.list(directory)),
      read: (file) => keep(record.texts, file, below.read(file)),
      identity: (file) => keep(record.identities, file, below.identity(file)),
    },
  }
}

/** What was read, once more. What was not read then is not there. */
export function replaying({ kinds, lists, texts, identities }: RecordedFiles): SourceFiles {
  return {
    kind: async (file) => await Promise.resolve(kinds.get(file)),
    list: (directory) => found(lists, directory),
    read: (file) => found(texts, file),
    identity: (file) => found(identities, file),
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
