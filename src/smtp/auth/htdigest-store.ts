/**
 * `digest:///path`: lines of `user:realm:hash` as `htdigest` and Momentum's ec_md5passwd write them, where the hash is
 * MD5(user:realm:password) in hex; `#` opens a comment line. Good for DIGEST-MD5, and for PLAIN and LOGIN, which compute
 * the hash from the password and take the user in any realm. CRAM-MD5 cannot be computed from it.
 */

import { createHash, timingSafeEqual } from 'node:crypto'
import { CachedFile } from './cached-file.ts'
import { AuthUnavailableError, type CredentialStore, type PasswordAttempt } from './store.ts'
import { userDigest } from './user-digest.ts'

export interface DigestList {
  /** user → realm → hash */
  readonly users: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly strays: readonly number[]
}

/** realms of one user that are read */
const MAX_REALMS = 32

export function parseDigestList(text: string): DigestList {
  const users = new Map<string, Map<string, string>>()
  const strays: number[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue
    const match = /^([^:]+):([^:]*):([0-9a-f]{32})$/i.exec(line)
    if (match === null) {
      strays.push(index + 1)
      continue
    }
    const [, user = '', realm = '', hash = ''] = match
    const realms = users.get(user) ?? new Map<string, string>()
    users.set(user, realms)
    if (!realms.has(realm) && realms.size < MAX_REALMS) realms.set(realm, hash.toLowerCase())
  }
  return { users, strays }
}

export class HtdigestStore implements CredentialStore {
  readonly #file: CachedFile<DigestList>

  constructor(path: string) {
    this.#file = new CachedFile(path, parseDigestList)
  }

  async verify({ user, password }: PasswordAttempt): Promise<boolean> {
    const realms = (await this.#file.read()).users.get(user) ?? NOBODY
    let right = false
    for (const [realm, hash] of realms) {
      const same = timingSafeEqual(Buffer.from(hash), Buffer.from(userDigest(user, realm, password)))
      right = right || same
    }
    return right && realms !== NOBODY
  }

  async password(): Promise<string | undefined> {
    await this.#file.read()
    throw new AuthUnavailableError(
      `${this.#file.path} holds hashes, and this mechanism needs passwords in clear text`,
    )
  }

  async stamp(user: string): Promise<string | undefined> {
    const realms = (await this.#file.read()).users.get(user)
    return (
      realms &&
      createHash('sha256')
        .update(JSON.stringify([...realms]))
        .digest('hex')
    )
  }

  async digest(user: string, realm: string): Promise<string | undefined> {
    return (await this.#file.read()).users.get(user)?.get(realm)
  }
}

/** what an unknown user is computed with */
const NOBODY: ReadonlyMap<string, string> = new Map([['', '0'.repeat(32)]])
