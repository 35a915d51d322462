/**
 * `postern passwd [-f FILE] USER`: makes the line of a user for `file://`, hashed, or with `--realm` for `digest://`, and
 * puts it into the file, or prints it where no file is named. The password is asked for, or read from a pipe.
 */

import { makeHash } from '../smtp/auth/password-hash.ts'
import { userDigest } from '../smtp/auth/user-digest.ts'
import { putLine, requireWritable, UserFileError } from '../smtp/auth/user-file.ts'
import { askPassword, type PasswordSource } from './ask-password.ts'
import type { Io } from './io.ts'

export interface PasswdOptions {
  readonly file?: string
  readonly hash?: 'argon2id' | 'scrypt' | 'none'
  /** for htdigest lines */
  readonly realm?: string
}

/** @returns 0, or 1 when nothing was written */
export async function runPasswd(
  name: string,
  options: PasswdOptions,
  io: Io,
  input: PasswordSource['input'] = process.stdin,
): Promise<number> {
  const fail = (message: string): number => {
    io.stderr.write(`postern passwd: ${message}\n`)
    return 1
  }
  const user = byteString(name)
  try {
    requireWritable(user, 'any')
    const password = await askPassword({ input, prompt: io.stderr })
    if (password === undefined) return fail('no password was given, or it was not typed the same twice')
    requireWritable(user, password)
    const { key, line } = await makeLine(user, password, options)
    if (options.file === undefined) {
      io.stdout.write(Buffer.from(`${line}\n`, 'latin1'))
      return 0
    }
    const replaced = await putLine(options.file, key, line)
    io.stderr.write(`${options.file}: ${replaced ? 'changed' : 'added'} ${name}\n`)
    return 0
  } catch (error) {
    if (error instanceof UserFileError) return fail(error.message)
    throw error
  }
}

async function makeLine(
  user: string,
  password: string,
  { hash = 'argon2id', realm }: PasswdOptions,
): Promise<{ readonly key: string; readonly line: string }> {
  if (realm !== undefined) {
    if (/:|[^ -~\x80-\uffff]/.test(realm))
      throw new UserFileError('a realm has no colon or control character')
    const key = `${user}:${byteString(realm)}:`
    return { key, line: `${key}${userDigest(user, byteString(realm), password)}` }
  }
  const key = `${user}:`
  if (hash !== 'none') return { key, line: `${key}${await makeHash(hash, password)}` }
  if (/^\$[A-Za-z0-9-]{1,32}\$/.test(password)) {
    throw new UserFileError('a password in clear text cannot look like a hash')
  }
  return { key, line: `${key}${password}` }
}

function byteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
