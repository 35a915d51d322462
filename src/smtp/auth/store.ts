/**
 * Where passwords are kept, as the mechanisms see it. One interface; `stores.ts` finds the store that a URI names.
 *
 * Every store passes the same tests (`test/support/store-contract.ts`). All strings are byte strings. A store says nothing of
 * who exists: an unknown user costs the time of a known one and gets the same answer as a wrong password. What a store
 * cannot do, for all its users or for one, is AuthUnavailableError: the client hears 454 and an operator hears why.
 */

import type { LoginResponse, SessionFacts } from '../../policy/phases.ts'
import type { MechanismName } from './mechanism-name.ts'

export interface CredentialStore {
  /**
   * Whether this is the user's password. For PLAIN and LOGIN.
   * @throws AuthUnavailableError when nobody can tell at the moment; UnfitPasswordError where this password is kept in a
   *   form that nobody can use
   */
  verify(attempt: PasswordAttempt): Promise<boolean>
  /**
   * The user's password in clear text, or undefined when there is no such user. For CRAM-MD5.
   * @param client as in `PasswordAttempt`
   * @throws AuthUnavailableError; UnfitPasswordError where this password is kept as a hash
   */
  password(user: string, client: string): Promise<string | undefined>
  /**
   * MD5 of `user:realm:password` in hex, or undefined when there is no such user in this realm. For DIGEST-MD5.
   * @throws AuthUnavailableError; UnfitPasswordError where this password is kept as a hash of another kind
   */
  digest(user: string, realm: string, client: string): Promise<string | undefined>
  /**
   * What changes when the user's password does, and is undefined when there is no such user: for those who stay logged in.
   * Absent: such a store does not say. @throws AuthUnavailableError
   */
  stamp?(user: string, asked?: StampQuestion): Promise<string | undefined>
  /** What is wrong with it for a mechanism, as far as looking tells: for `check` and for start-up. Asks no network. */
  review?(mechanism: MechanismName): Promise<readonly StoreFinding[]>
}

/** How the user logged in: where a database is asked, it may say something else for another mechanism. */
export interface StampQuestion {
  readonly mechanism: MechanismName
  /** of DIGEST-MD5 */
  readonly realm: string
  /** as in `PasswordAttempt`, where he is about to log in; those who are in wait behind nobody who is not */
  readonly client?: string
}

export interface StoreFinding {
  readonly severity: 'error' | 'warning'
  readonly text: string
}

export interface PasswordAttempt {
  readonly user: string
  readonly password: string
  /** the client's address: who waits for costly computations waits among the attempts of its own address first */
  readonly client: string
  /** for stores that look at the session, and that may have words of their own for a failure */
  readonly session?: SessionFacts
  readonly response?: LoginResponse
}

/** The store cannot be used. The message is for the panic log: it names the file and the line, never a credential. */
export class AuthUnavailableError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AuthUnavailableError'
  }
}

/**
 * This one user's password is kept in a form that the mechanism cannot compute with. The client hears what a wrong
 * password is answered with, so that it does not learn who exists; an operator hears this.
 */
export class UnfitPasswordError extends AuthUnavailableError {
  constructor(message: string) {
    super(message)
    this.name = 'UnfitPasswordError'
  }
}

/** Nothing is wrong but the number of those who ask: 454, and no alarm that a flood could fill a log with. */
export class AuthBusyError extends AuthUnavailableError {
  constructor() {
    super('too many passwords wait to be checked')
    this.name = 'AuthBusyError'
  }
}

/** Knows nobody: what Always_Deny asks. */
export const EMPTY_STORE: CredentialStore = {
  verify: () => Promise.resolve(false),
  password: () => Promise.resolve(undefined),
  digest: () => Promise.resolve(undefined),
}
