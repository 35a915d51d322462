/**
 * `name://`, a Scheme of auth_ds (momentum: modules/auth-ds): users in a database. The query returns the password, or
 * says itself whether the one given is right: then the first column of the first row is not zero.
 *
 * Only values go to the database, never text of a query. A database that does not answer is AuthUnavailableError. Nobody
 * is turned away because of what the database said some time ago: a failure is always one of now.
 */

import { createHash, createHmac, randomBytes } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { expandMap, findPasswordType, type MacroName } from '../../config/codec-datasource.ts'
import type { AuthSchemeSettings, PasswordType } from '../../config/settings.ts'
import type { Datasource, DatasourceAnswer, Datasources } from '../../policy/datasource/datasource.ts'
import { DatasourceBusyError, DatasourceError, type DbValue } from '../../policy/datasource/driver.ts'
import { HashQueue } from './hash-queue.ts'
import type { MechanismName } from './mechanism-name.ts'
import { dummyHash, type PasswordHash, USUAL_COSTS, verifyHash } from './password-hash.ts'
import {
  AuthBusyError,
  AuthUnavailableError,
  type CredentialStore,
  type PasswordAttempt,
  type StampQuestion,
  type StoreFinding,
  UnfitPasswordError,
} from './store.ts'
import { fits, readStored, type StoredPassword, sameText } from './stored-password.ts'
import type { SchemeOpener } from './stores.ts'
import { userDigest } from './user-digest.ts'

/** Kinds of hashes that are remembered, so that a user who does not exist costs what others cost. */
const MAX_KINDS = 8
/** Queries of one store under way at once; those that wait take turns by address. */
const CONCURRENCY = 16
/** and his name, in the place of an address: nobody waits behind those who try passwords, or behind what another one asks */
const WHO_IS_IN = 'in'

/** What asks the database, besides the user's name. */
interface Asking {
  readonly user: string
  readonly password?: string
  readonly realm?: string
  readonly crypt: 'clear' | 'hmac_md5' | 'digest-md5'
  readonly client: string
  readonly fresh: boolean
}

/** The schemes of a configuration, for `CredentialStores`. */
export function datasourceSchemes(
  schemes: readonly AuthSchemeSettings[],
  datasources: Datasources,
  hashes: HashQueue,
): ReadonlyMap<string, SchemeOpener> {
  return new Map(
    schemes.map((scheme) => [
      scheme.name,
      (uri: string): CredentialStore => {
        try {
          return new DatasourceStore({ scheme, datasource: datasources.open(scheme.cache), hashes, uri })
        } catch (error) {
          if (error instanceof DatasourceError) throw new AuthUnavailableError(error.message)
          throw error
        }
      },
    ]),
  )
}

interface Options {
  readonly scheme: AuthSchemeSettings
  readonly datasource: Datasource
  readonly hashes: HashQueue
  /** as the parameters of the mechanism write it */
  readonly uri: string
}

export class DatasourceStore implements CredentialStore {
  readonly #scheme: AuthSchemeSettings
  readonly #datasource: Datasource
  readonly #hashes: HashQueue
  readonly #uri: string
  readonly #turns = new HashQueue({ concurrency: CONCURRENCY })
  readonly #costs = new Map<string, PasswordHash>()
  readonly #key = randomBytes(32)
  /** absent where only a password gets an answer out of the query */
  readonly stamp?: NonNullable<CredentialStore['stamp']>

  constructor({ scheme, datasource, hashes, uri }: Options) {
    this.#scheme = scheme
    this.#datasource = datasource
    this.#hashes = hashes
    this.#uri = uri
    if (scheme.type === 'phc') this.#remember(dummyHash(USUAL_COSTS.argon2id))
    if (scheme.returns_password && !Object.values(scheme.map).some((text) => text.includes('%{password')))
      this.stamp = async (user, asked) => await this.#stampOf(user, asked)
  }

  async verify({ user, password, client }: PasswordAttempt): Promise<boolean> {
    const about = { user, password, client, crypt: 'clear' } as const
    const answer = await this.#ask({ ...about, fresh: false })
    if (await this.#right(answer, about)) return true
    if (answer?.cached !== true) return false
    const now = await this.#ask({ ...about, fresh: true })
    // what has not changed is not computed again: how long it takes must not tell who has been here before
    return !isDeepStrictEqual(answer.rows[0], now?.rows[0]) && this.#right(now, about)
  }

  async password(user: string, client: string): Promise<string | undefined> {
    return this.#clearOf(await this.#lookUp({ user, crypt: 'hmac_md5', client, fresh: true }))
  }

  async digest(user: string, realm: string, client: string): Promise<string | undefined> {
    const stored = await this.#lookUp({ user, realm, crypt: 'digest-md5', client, fresh: true })
    if (stored?.kind === 'user-digest') return stored.digest
    const password = this.#clearOf(stored)
    return password === undefined ? undefined : userDigest(user, realm, password)
  }

  /** Of what the database says now. */
  async #stampOf(user: string, asked: StampQuestion | undefined): Promise<string | undefined> {
    const { password_column, type_column } = this.#scheme
    const mechanism = asked?.mechanism
    const crypt = mechanism === 'DIGEST-MD5' ? 'digest-md5' : mechanism === 'CRAM-MD5' ? 'hmac_md5' : 'clear'
    const realm = mechanism === 'DIGEST-MD5' && asked !== undefined ? { realm: asked.realm } : {}
    const answer = await this.#ask({
      user,
      crypt,
      client: asked?.client ?? `${WHO_IS_IN} ${user}`,
      fresh: true,
      ...realm,
    })
    const row = answer?.rows[0]
    if (answer === undefined || row === undefined) return undefined
    const kept = [password_column, type_column].map((name, index) => {
      if (name === undefined) return index === 0 ? row[0] : null
      return row[this.#column(answer.columns, name)]
    })
    // no password lets nobody in
    if (kept[0] === undefined || kept[0] === null) return undefined
    const text = kept.map((value) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    )
    return createHash('sha256').update(JSON.stringify(text)).digest('hex')
  }

  async review(mechanism: MechanismName): Promise<readonly StoreFinding[]> {
    const findings: StoreFinding[] = []
    const { name, type, type_map, returns_password, query } = this.#scheme
    const error = (text: string): void => {
      findings.push({ severity: 'error', text: `auth_ds Scheme "${name}": ${text}` })
    }
    const challenge = mechanism === 'CRAM-MD5' || mechanism === 'DIGEST-MD5'
    if (type === 'ucrypt' || type === 'hmac_md5') {
      error(`type "${type}" is recognised, not implemented: nobody can log in with it`)
    } else if (challenge && !returns_password) {
      error(`${mechanism} needs the password itself, and the query does not return it`)
    } else if (
      challenge &&
      type !== undefined &&
      type !== 'clear' &&
      !(mechanism === 'DIGEST-MD5' && type === 'digest-md5')
    ) {
      error(`${mechanism} needs clear text, and passwords are of type "${type}"`)
    } else if (!challenge && type === 'digest-md5') {
      error(`${mechanism} cannot use type "digest-md5": it is for DIGEST-MD5`)
    }
    for (const [key, each] of Object.entries(type_map)) {
      if (each !== 'ucrypt' && each !== 'hmac_md5') continue
      findings.push({
        severity: 'warning',
        text: `auth_ds Scheme "${name}": users of type "${key}" (${each}: recognised, not implemented) cannot log in`,
      })
    }
    const found = await this.#datasource.examine(query)
    return [
      ...findings,
      ...found.map(({ severity, text }) => ({ severity, text: `auth_ds Scheme "${name}": ${text}` })),
    ]
  }

  // ---- what the database says ---------------------------------------------------------------------------------

  /** undefined: the name or the password is none that a database could hold. @throws AuthUnavailableError */
  async #ask(asking: Asking): Promise<DatasourceAnswer | undefined> {
    const parameters = this.#parameters(asking)
    if (parameters === undefined) return undefined
    const { query } = this.#scheme
    try {
      return await this.#turns.run(asking.client, () =>
        this.#datasource.query(query, parameters, { fresh: asking.fresh }),
      )
    } catch (error) {
      if (error instanceof DatasourceBusyError) throw new AuthBusyError()
      if (error instanceof DatasourceError) throw new AuthUnavailableError(error.message)
      throw error
    }
  }

  #parameters({ user, password = '', realm = '', crypt }: Asking): Record<string, DbValue> | undefined {
    const [name, secret, where] = [user, password, realm].map(textOf)
    if (name === undefined || where === undefined) return undefined
    const at = name.lastIndexOf('@')
    const values: Record<MacroName, string> = {
      username: name,
      username_localpart: at === -1 ? name : name.slice(0, at),
      username_domain: at === -1 ? '' : name.slice(at + 1),
      password: secret ?? '',
      realm: where,
      uri: this.#uri,
      crypt,
    }
    const entries = Object.entries(this.#scheme.map)
    if (secret === undefined && entries.some(([, text]) => text.includes('%{password'))) return undefined
    return Object.fromEntries(entries.map(([key, text]) => [key, expandMap(text, values)]))
  }

  async #right(
    answer: DatasourceAnswer | undefined,
    { user, password, client }: PasswordAttempt,
  ): Promise<boolean> {
    if (!this.#scheme.returns_password) return isTrue(answer?.rows[0]?.[0])
    const stored = answer === undefined ? undefined : this.#storedIn(answer)
    // Whoever has no costly hash costs what somebody with one costs.
    const hash = stored?.kind === 'hash' ? stored.hash : this.#stranger(user)
    const hashed = hash !== undefined && (await this.#hashes.run(client, () => verifyHash(hash, password)))
    switch (stored?.kind) {
      case 'hash':
        return hashed
      case 'clear':
        return sameText(stored.password, password)
      case 'digest':
        return fits(stored, password)
      case 'user-digest':
        throw this.#unfit('a digest for DIGEST-MD5')
      case 'unusable':
        throw this.#unfit(stored.why)
      default:
        return false
    }
  }

  async #lookUp(asking: Asking): Promise<StoredPassword | undefined> {
    if (!this.#scheme.returns_password) {
      throw new AuthUnavailableError(
        `auth_ds Scheme "${this.#scheme.name}" does not return passwords, and this mechanism needs them`,
      )
    }
    const answer = await this.#ask(asking)
    return answer === undefined ? undefined : this.#storedIn(answer)
  }

  #clearOf(stored: StoredPassword | undefined): string | undefined {
    if (stored === undefined || stored.kind === 'clear') return stored?.password
    throw this.#unfit(
      stored.kind === 'unusable' ? stored.why : 'a password as a hash, and this mechanism needs clear text',
    )
  }

  /** Of several rows the first counts. @throws AuthUnavailableError when a column is missing */
  #storedIn({ columns, rows }: DatasourceAnswer): StoredPassword | undefined {
    const { password_column, type_column } = this.#scheme
    const [row] = rows
    const at = password_column === undefined ? 0 : this.#column(columns, password_column)
    const typeAt = type_column === undefined ? undefined : this.#column(columns, type_column)
    if (row === undefined) return undefined
    const value = row[at]
    if (value === undefined || value === null) return undefined
    const type = this.#typeOf(typeAt === undefined ? undefined : row[typeAt])
    if (typeof type !== 'string') return type
    const stored = readStored(type, octetsOf(value))
    if (stored.kind === 'hash') this.#remember(stored.hash)
    return stored
  }

  #typeOf(value: DbValue | undefined): PasswordType | StoredPassword {
    const { type, type_column, type_map } = this.#scheme
    if (type !== undefined || type_column === undefined) return type ?? 'clear'
    const text = value === undefined || value === null ? '' : octetsOf(value)
    const mapped = Object.hasOwn(type_map, text) ? type_map[text] : undefined
    const known = mapped ?? (Object.keys(type_map).length === 0 ? findPasswordType(text) : undefined)
    return known ?? { kind: 'unusable', why: 'a password whose type is not in type_map' }
  }

  #column(columns: readonly string[], name: string): number {
    const exact = columns.indexOf(name)
    // SQL folds names that are not quoted
    const at = exact === -1 ? columns.findIndex((each) => each.toLowerCase() === name.toLowerCase()) : exact
    if (at === -1) {
      throw new AuthUnavailableError(
        `auth_ds Scheme "${this.#scheme.name}": the query returns no column "${name}"`,
      )
    }
    return at
  }

  // ---- hashes --------------------------------------------------------------------------------------------------

  #remember(hash: PasswordHash): void {
    const { kind, memory, passes, parallelism } = hash.costs
    const key = `${kind} ${memory} ${passes} ${parallelism}`
    if (this.#costs.size < MAX_KINDS && !this.#costs.has(key)) this.#costs.set(key, hash)
  }

  /** A hash that nobody's password fits; always of the same cost for a name. */
  #stranger(user: string): PasswordHash | undefined {
    const all = [...this.#costs.values()]
    const number = createHmac('sha256', this.#key).update(user, 'latin1').digest().readUInt32BE()
    const like = all[number % Math.max(all.length, 1)]
    return like === undefined ? undefined : dummyHash(like.costs)
  }

  #unfit(why: string): UnfitPasswordError {
    return new UnfitPasswordError(`auth_ds Scheme "${this.#scheme.name}": the user has ${why}`)
  }
}

/** Octets as the text that a database holds; undefined where they are none. */
function textOf(octets: string): string | undefined {
  const bytes = Buffer.from(octets, 'latin1')
  const text = bytes.toString('utf8')
  return text.includes('\0') || !Buffer.from(text, 'utf8').equals(bytes) ? undefined : text
}

function octetsOf(value: Exclude<DbValue, null>): string {
  return value instanceof Uint8Array
    ? Buffer.from(value).toString('latin1')
    : Buffer.from(String(value), 'utf8').toString('latin1')
}

/** Momentum: "non-zero". Text counts as the number that it is. */
function isTrue(value: DbValue | undefined): boolean {
  if (typeof value === 'boolean' || typeof value === 'number') return Boolean(value)
  if (typeof value !== 'string') return false
  return value.trim() !== '' && Number.isFinite(Number(value)) && Number(value) !== 0
}
