/**
 * `file:///path`: lines of `user:password`, where `#` opens a comment line and CR LF is tolerated (Momentum
 * 4/inbound-smtp). A password is clear text, or a PHC hash (`password-hash.ts`), which `postern passwd` writes.
 *
 * Of several lines of a user the first counts. A password that looks like a hash of a kind that this does not read lets
 * nobody in: the hash itself must never become the password.
 */

import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { CachedFile } from './cached-file.ts'
import type { HashQueue } from './hash-queue.ts'
import { dummyHash, type PasswordHash, parseHash, verifyHash } from './password-hash.ts'
import { type CredentialStore, type PasswordAttempt, UnfitPasswordError } from './store.ts'
import { userDigest } from './user-digest.ts'

export type UserEntry = { readonly line: number } & (
  | { readonly kind: 'clear'; readonly password: string }
  | { readonly kind: 'hash'; readonly hash: PasswordHash }
  /** names the kind of hash that it seems to be */
  | { readonly kind: 'unusable'; readonly what: string }
)

export interface UserList {
  readonly users: ReadonlyMap<string, UserEntry>
  /** what every kind of hash in the list costs, once for each line that has it: for users that are not in it */
  readonly hashes: readonly PasswordHash[]
  /** numbers of lines that are neither a user nor a comment */
  readonly strays: readonly number[]
}

export function parseUserList(text: string): UserList {
  const users = new Map<string, UserEntry>()
  const hashes: PasswordHash[] = []
  const strays: number[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue
    const colon = line.indexOf(':')
    const user = line.slice(0, Math.max(colon, 0))
    if (user === '' || colon === line.length - 1) strays.push(index + 1)
    else if (!users.has(user)) {
      const entry = readEntry(line.slice(colon + 1), index + 1)
      users.set(user, entry)
      if (entry.kind === 'hash') hashes.push(entry.hash)
    }
  }
  return { users, hashes, strays }
}

function readEntry(password: string, line: number): UserEntry {
  const what = /^\$([A-Za-z0-9-]{1,32})\$/.exec(password)?.[1]
  if (what === undefined) return { kind: 'clear', password, line }
  const hash = parseHash(password)
  return hash === undefined ? { kind: 'unusable', what, line } : { kind: 'hash', hash, line }
}

export class FileStore implements CredentialStore {
  readonly #file: CachedFile<UserList>
  readonly #queue: HashQueue
  /** makes all comparisons equally long, and the choice of a dummy unpredictable */
  readonly #key = randomBytes(32)

  constructor(path: string, queue: HashQueue) {
    this.#file = new CachedFile(path, parseUserList)
    this.#queue = queue
  }

  async verify({ user, password, client }: PasswordAttempt): Promise<boolean> {
    const list = await this.#file.read()
    const entry = list.users.get(user)
    // Whoever has no hash costs what somebody with one costs.
    const real = entry?.kind === 'hash' ? entry.hash : undefined
    const hash = real ?? this.#stranger(user, list.hashes)
    const hashed = hash !== undefined && (await this.#queue.run(client, () => verifyHash(hash, password)))
    const known = entry?.kind === 'clear' ? this.#digest(entry.password) : randomBytes(32)
    const same = timingSafeEqual(known, this.#digest(password))
    switch (entry?.kind) {
      case 'hash':
        return hashed
      case 'clear':
        return same
      default:
        return false
    }
  }

  async password(user: string): Promise<string | undefined> {
    const entry = (await this.#file.read()).users.get(user)
    switch (entry?.kind) {
      case 'clear':
        return entry.password
      case 'hash':
        throw new UnfitPasswordError(
          `${this.#file.path}:${entry.line}: the password is a hash, and this mechanism needs it in clear text`,
        )
      default:
        return undefined
    }
  }

  async digest(user: string, realm: string): Promise<string | undefined> {
    const password = await this.password(user)
    return password === undefined ? undefined : userDigest(user, realm, password)
  }

  async stamp(user: string): Promise<string | undefined> {
    const entry = (await this.#file.read()).users.get(user)
    if (entry === undefined) return undefined
    const { line: _, ...kept } = entry
    return createHash('sha256').update(JSON.stringify(kept)).digest('hex')
  }

  /** A hash that nobody's password fits, with the costs of one in the list; always the same one for a name. */
  #stranger(user: string, hashes: readonly PasswordHash[]): PasswordHash | undefined {
    const at = this.#digest(user).readUInt32BE() % Math.max(hashes.length, 1)
    const like = hashes[at]
    return like === undefined ? undefined : dummyHash(like.costs)
  }

  #digest(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text, 'latin1').digest()
  }
}
