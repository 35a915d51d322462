/**
 * Puts a new text in a file's place, whole or not at all, whatever happens in between: a file beside it is written and
 * synced, given the same owner and mode, and renamed over it; then the folder is synced. Refused where the file is not
 * what was read, is not a plain file with one name, or cannot be given its owner again.
 */

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import {
  access,
  type FileHandle,
  link,
  lstat,
  open,
  readdir,
  readFile,
  realpath,
  rename,
  stat,
  unlink,
} from 'node:fs/promises'
import path from 'node:path'
import { reasonOf } from '../source.ts'

/** The file stays as it is; the message says why, and names it. */
export class NotKeptError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NotKeptError'
  }
}

/** Why a file cannot be written by this process; undefined: it can, as far as can be seen beforehand. */
export async function refusalOf(file: string): Promise<string | undefined> {
  try {
    const target = await targetOf(path.resolve(file))
    if (target.there) await access(target.file, constants.W_OK)
    await access(path.dirname(target.file), constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return `${file} cannot be written by this process: ${reasonOf(error)}`
  }
}

export interface KeepOptions {
  /** what was read of it; undefined: there was no such file */
  readonly before: string | undefined
  readonly after: string
  /** of a file that is new */
  readonly mode: number
}

/** @throws NotKeptError */
export async function keepFile(name: string, { before, after, mode }: KeepOptions): Promise<void> {
  try {
    const { file, there } = await targetOf(path.resolve(name))
    if (there !== (before !== undefined)) throw new NotKeptError(`${name} has changed since it was read`)
    await clearLeftovers(file)
    if (before === undefined) await makeNew(file, after, mode)
    else await replace(file, { name, before, after })
  } catch (error) {
    if (error instanceof NotKeptError) throw error
    throw new NotKeptError(`${name} cannot be written: ${reasonOf(error)}`, { cause: error })
  }
}

/** @param before undefined: there was no such file. @throws NotKeptError where that is no longer so */
export async function checkUnchanged(name: string, before: string | undefined): Promise<void> {
  try {
    const { file, there } = await targetOf(path.resolve(name))
    if (there !== (before !== undefined)) throw new NotKeptError(`${name} has changed since it was read`)
    if (before !== undefined) await compare(file, name, before)
  } catch (error) {
    if (error instanceof NotKeptError) throw error
    throw new NotKeptError(`${name} cannot be read: ${reasonOf(error)}`, { cause: error })
  }
}

/** Who may read and write a file: a new one beside it is no more open than that. */
export async function modeOf(file: string): Promise<number> {
  const { mode } = await stat(file)
  return mode & 0o666
}

/** Makes a file that must not be there yet. @throws NotKeptError */
export async function makeFile(name: string, text: string, mode: number): Promise<void> {
  try {
    await makeNew(path.resolve(name), text, mode)
  } catch (error) {
    const reason =
      (error as NodeJS.ErrnoException).code === 'EEXIST' ? 'it is there already' : reasonOf(error)
    throw new NotKeptError(`${name} cannot be written: ${reason}`, { cause: error })
  }
}

/** Where links lead to. */
async function targetOf(file: string): Promise<{ readonly file: string; readonly there: boolean }> {
  try {
    return { file: await realpath(file), there: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return { file: path.join(await realpath(path.dirname(file)), path.basename(file)), there: false }
  }
}

async function replace(
  file: string,
  { name, before, after }: { readonly name: string; readonly before: string; readonly after: string },
): Promise<void> {
  const found = await lstat(file)
  if (!found.isFile()) throw new NotKeptError(`${name} is not a plain file`)
  if (found.nlink > 1)
    throw new NotKeptError(`${name} has several names (hard links), and only one would change`)
  await compare(file, name, before)
  await beside(file, async (temporary, handle) => {
    await handle.writeFile(after)
    const made = await handle.stat()
    if (made.uid !== found.uid || made.gid !== found.gid) {
      await handle.chown(found.uid, found.gid).catch((error: unknown) => {
        throw new NotKeptError(`${name} could not be given its owner again: ${reasonOf(error)}`, {
          cause: error,
        })
      })
    }
    await handle.chmod(found.mode & 0o7777)
    await handle.sync()
    // the last look before it is too late
    await compare(file, name, before)
    await rename(temporary, file)
  })
}

async function makeNew(file: string, text: string, mode: number): Promise<void> {
  await beside(file, async (temporary, handle) => {
    await handle.writeFile(text)
    await handle.chmod(mode)
    await handle.sync()
    // unlike a rename it never replaces anything
    await link(temporary, file)
    await unlink(temporary)
  })
}

/** @throws NotKeptError where the octets are not those of the text */
async function compare(file: string, name: string, before: string): Promise<void> {
  const octets = await readFile(file)
  if (octets.equals(Buffer.from(before, 'utf8'))) return
  throw new NotKeptError(
    octets.toString('utf8') === before
      ? `${name} holds octets that are not UTF-8, which would be lost`
      : `${name} has changed since it was read: reload the configuration first (changes that were not written back are dropped then), or undo what was changed there`,
  )
}

async function beside(
  file: string,
  work: (temporary: string, handle: FileHandle) => Promise<void>,
): Promise<void> {
  const temporary = path.join(path.dirname(file), `${prefixOf(file)}${randomBytes(6).toString('hex')}`)
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await work(temporary, handle)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  } finally {
    await handle.close()
  }
  const folder = await open(path.dirname(file), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Begins with a dot: a folder that is included does not have it. */
function prefixOf(file: string): string {
  return `.${path.basename(file)}.postern-`
}

/** What a process left that was killed while it wrote. */
async function clearLeftovers(file: string): Promise<void> {
  const folder = path.dirname(file)
  const names = await readdir(folder)
  const left = names.filter(
    (name) => name.startsWith(prefixOf(file)) && /^[0-9a-f]{12}$/.test(name.slice(prefixOf(file).length)),
  )
  await Promise.all(left.map((name) => unlink(path.join(folder, name)).catch(() => undefined)))
}
