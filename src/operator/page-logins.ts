/**
 * Logins of the operators' page, against the same files and databases of users as the console's. A failure costs the client's address time, more with each
 * one; after so many a right password is answered like a wrong one until the window is over. Few of one address wait at once,
 * and addresses take turns, so that nobody who guesses takes the place of those who know.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { EventBus } from '../events/events.ts'
import { QuietAlarms } from '../events/quiet-alarms.ts'
import { AuthFailures, addressKey, delayFor } from '../smtp/auth/failures.ts'
import { AuthBusyError, AuthUnavailableError, UnfitPasswordError } from '../smtp/auth/store.ts'
import type { StoreDirectory } from '../smtp/auth/stores.ts'
import type { LoginAttempt, LoginOutcome } from '../web/page/page.ts'
import { StampedStore } from './stamped-store.ts'

interface LoginLimits {
  /** failures of one address in a window */
  readonly failures: number
  /** seconds */
  readonly window: number
  /** seconds that a failure costs at most */
  readonly longest: number
  /** attempts under way of one address; the hashes of all take turns by address (`hash-queue.ts`) */
  readonly perAddress: number
}

const WRONG: LoginOutcome = { kind: 'wrong' }
const BUSY: LoginOutcome = { kind: 'busy' }

/** milliseconds between two lines of the panic log that say the same */
const QUIET_MS = 60_000

const usualLimits: LoginLimits = { failures: 20, window: 900, longest: 4, perAddress: 4 }

interface LoginParts {
  readonly events: Pick<EventBus, 'emit'>
  /** of the configuration in force */
  readonly stores: () => StoreDirectory
}

export class PageLogins {
  readonly #limits: LoginLimits
  readonly #failures: AuthFailures
  readonly #stores: () => StoreDirectory
  readonly #alarm: (text: string) => void
  /** attempts under way, by address */
  readonly #waiting = new Map<string, number>()

  constructor({ events, stores }: LoginParts, limits: Partial<LoginLimits> = {}, clock = Date.now) {
    this.#stores = stores
    this.#limits = { ...usualLimits, ...limits }
    // nobody can fill a log by trying
    this.#alarm = new QuietAlarms({ events, module: 'page', clock, interval: QUIET_MS }).tell
    this.#failures = new AuthFailures(clock)
  }

  async attempt(login: LoginAttempt): Promise<LoginOutcome> {
    const key = addressKey(login.client)
    const before = this.#waiting.get(key) ?? 0
    if (before >= this.#limits.perAddress) return BUSY
    this.#waiting.set(key, before + 1)
    try {
      return await this.#judge(login)
    } finally {
      const after = (this.#waiting.get(key) ?? 1) - 1
      if (after === 0) this.#waiting.delete(key)
      else this.#waiting.set(key, after)
    }
  }

  /** What changes when the password of a user does. @returns undefined: there is no such user, or nobody can tell */
  async stamp({ uri, user }: Pick<LoginAttempt, 'uri' | 'user'>): Promise<string | undefined> {
    try {
      return await this.#stores().open(uri).stamp?.(user)
    } catch (error) {
      if (!(error instanceof AuthUnavailableError)) throw error
      this.#alarm(`users: ${error.message}`)
      return undefined
    }
  }

  async #judge(login: LoginAttempt): Promise<LoginOutcome> {
    const { failures, window, longest } = this.#limits
    // asked in any case, so that being turned away takes the time of being wrong
    const outcome = await this.#ask(login)
    if (outcome.kind === 'busy') return outcome
    if (outcome.kind === 'right' && this.#failures.count(login.client) < failures) return outcome
    await delay(delayFor(this.#failures.add(login.client, window), longest))
    return WRONG
  }

  async #ask({ uri, user, password, client }: LoginAttempt): Promise<LoginOutcome> {
    // an empty password is no password, as with AUTH
    if (user === '' || password === '') return WRONG
    try {
      const store = new StampedStore(this.#stores().open(uri), { mechanism: 'LOGIN', realm: '' })
      if (!(await store.verify({ user, password, client: addressKey(client) }))) return WRONG
      const { taken: stamp } = store
      return stamp === undefined ? BUSY : { kind: 'right', stamp }
    } catch (error) {
      if (!(error instanceof AuthUnavailableError)) throw error
      if (error instanceof AuthBusyError) return BUSY
      this.#alarm(`login: ${error.message}`)
      return error instanceof UnfitPasswordError ? WRONG : BUSY
    }
  }
}
