/**
 * Writes lines of user files: what `postern passwd` does to a file. The file is replaced as a whole, so that a server
 * that reads at the same moment sees the old one or the new one; other lines stay octet by octet as they are.
 *
 * The new file is 0600, or 0640 where its group could read it before, and belongs to whom the old one belonged to. Two
 * writers at once: the second one is told to wait.
 */

import { constants } from 'node:fs'
import { open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises'
import path from 'node:path'

/** What is wrong with a name, a password or a file, in words for the user. Never holds the password. */
export class UserFileError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'UserFileError'
  }
}

/** The names and passwords that lines can hold. @throws UserFileError */
export function requireWritable(user: string, password: string): void {
  if (user === '' || user.startsWith('#') || /:|[^ -~\x80-\xff]/.test(user)) {
    throw new UserFileError(
      'a user’s name is not empty, does not begin with # and has no colon or control character',
    )
  }
  if (password === '' || /[\0\r\n]/.test(password)) {
    throw new UserFileError('a password is not empty and is one line')
  }
}

/**
 * Replaces the line that begins with `key`, removes further ones, or appends it to the file, which is made when it is
 * missing.
 * @param key what the line begins with: `user:`, or `user:realm:`
 * @param line a byte string without its line ending
 * @returns whether such a line was there
 * @throws UserFileError
 */
export async function putLine(file: string, key: string, line: string): Promise<boolean> {
  const target = await realpath(file).catch(() => path.resolve(file))
  const before = await readIfThere(target)
  const { text, replaced } = withLine(before?.text ?? '', key, line)
  await replaceFile(target, text, before)
  return replaced
}

function withLine(text: string, key: string, line: string): { text: string; replaced: boolean } {
  const ending = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
  const at = lines.findIndex((each) => each.startsWith(key))
  const kept = lines.filter((each, index) => index === at || !each.startsWith(key))
  if (at === -1) kept.push(line)
  else kept[at] = line
  return { text: kept.map((each) => `${each}${ending}`).join(''), replaced: at !== -1 }
}

interface Before {
  readonly text: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

async function readIfThere(file: string): Promise<Before | undefined> {
  try {
    const status = await stat(file)
    if (!status.isFile()) throw new UserFileError(`${file} is not a regular file`)
    const { mode, uid, gid } = status
    return { text: await readFile(file, 'latin1'), mode, uid, gid }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw asUserError(error)
  }
}

async function replaceFile(file: string, text: string, before: Before | undefined): Promise<void> {
  const beside = `${file}.new`
  try {
    const handle = await open(beside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
    try {
      await handle.writeFile(text, 'latin1')
      if (before !== undefined) await handle.chown(before.uid, before.gid)
      await handle.chmod(0o600 | ((before?.mode ?? 0) & 0o040))
      await handle.sync()
    } catch (error) {
      await unlink(beside)
      throw error
    } finally {
      await handle.close()
    }
    await rename(beside, file)
    await syncFolder(path.dirname(file))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new UserFileError(
        `${beside} is there: somebody else is changing the file, or was stopped while doing so`,
      )
    }
    throw asUserError(error)
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function asUserError(error: unknown): UserFileError {
  if (error instanceof UserFileError) return error
  return new UserFileError(error instanceof Error ? error.message : String(error))
}
