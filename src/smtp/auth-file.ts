/**
 * The users of `AuthPlainParameters = [ uri = "file:///path" ]`: a text file of `user:password` lines, where `#` opens
 * a comment line and CR LF is tolerated (Momentum 4/inbound-smtp). The path is absolute and taken literally.
 *
 * A file is read again when its date, size or inode changes. One that cannot be read, is too large or is named by
 * anything but an absolute file URI answers nobody: AuthUnavailableError, which names the file and no line of it.
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { constants, open } from 'node:fs/promises'
import type { InboundScope } from '../config/settings.ts'
import type { Authenticator, Credentials } from './services.ts'
import { AuthUnavailableError } from './services.ts'

interface UserFile {
  readonly stamp: string
  /** user → keyed digest of the password */
  readonly users: ReadonlyMap<string, Buffer>
}

export class FileAuthenticator implements Authenticator {
  /** keeps what is in memory useless elsewhere, and makes all comparisons equally long */
  readonly #key = randomBytes(32)
  /** what the password of an unknown user is compared with */
  readonly #nobody = randomBytes(32)
  /** by path; only paths that the configuration names get here */
  readonly #files = new Map<string, UserFile>()
  readonly #maximumSize: number

  constructor(maximumSize = 16 * 1024 * 1024) {
    this.#maximumSize = maximumSize
  }

  async check({ mechanism, user, password }: Credentials, scope: InboundScope): Promise<'pass' | 'fail'> {
    const { authplainparameters, authloginparameters } = scope.options
    const parameters = mechanism === 'PLAIN' ? authplainparameters : authloginparameters
    const users = await this.#users(filePath(parameters?.['uri'], mechanism))
    const given = this.#digest(password)
    const known = users.get(user)
    const same = timingSafeEqual(known ?? this.#nobody, given)
    return known !== undefined && same ? 'pass' : 'fail'
  }

  async #users(path: string): Promise<ReadonlyMap<string, Buffer>> {
    try {
      const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const status = await file.stat()
        if (!status.isFile()) throw new AuthUnavailableError(`${path} is not a regular file`)
        const { mtimeMs, size, ino, dev } = status
        const stamp = `${dev} ${ino} ${size} ${mtimeMs}`
        const cached = this.#files.get(path)
        if (cached?.stamp === stamp) return cached.users
        if (size > this.#maximumSize)
          throw new AuthUnavailableError(`${path} is larger than ${this.#maximumSize} octets`)
        const users = this.#parse(await file.readFile('latin1'))
        this.#files.set(path, { stamp, users })
        return users
      } finally {
        await file.close()
      }
    } catch (error) {
      if (error instanceof AuthUnavailableError) throw error
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new AuthUnavailableError(`cannot read the user list ${path}: ${code}`)
    }
  }

  #parse(text: string): ReadonlyMap<string, Buffer> {
    const users = new Map<string, Buffer>()
    for (const line of text.split(/\r?\n/)) {
      const colon = line.indexOf(':')
      if (line.startsWith('#') || colon < 1 || colon === line.length - 1) continue
      const user = line.slice(0, colon)
      // The first line of a user counts, as in Momentum's and Apache's files.
      if (!users.has(user)) users.set(user, this.#digest(line.slice(colon + 1)))
    }
    return users
  }

  #digest(password: string): Buffer {
    return createHmac('sha256', this.#key).update(password, 'latin1').digest()
  }
}

function filePath(uri: string | undefined, mechanism: string): string {
  const path = /^file:\/\/(\/.+)$/i.exec(uri ?? '')?.[1]
  if (path !== undefined) return path
  throw new AuthUnavailableError(`Auth${mechanism}Parameters: uri must be file:///absolute/path`)
}
