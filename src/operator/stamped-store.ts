/**
 * A store that keeps the stamp of a password from before that password was looked at. A stamp taken after a login would be
 * that of a password which has come in between, and whoever knows the old one would stay in with it.
 */

import type { CredentialStore, PasswordAttempt, StampQuestion } from '../smtp/auth/store.ts'

export class StampedStore implements CredentialStore {
  readonly #store: CredentialStore
  readonly #asked: StampQuestion
  #taken: string | undefined

  /** @param asked how the user logs in */
  constructor(store: CredentialStore, asked: StampQuestion) {
    this.#store = store
    this.#asked = asked
  }

  /** Of the user who was asked about last; undefined: there is none, or the store does not say. */
  get taken(): string | undefined {
    return this.#taken
  }

  async verify(attempt: PasswordAttempt): Promise<boolean> {
    await this.#take(attempt.user, attempt.client)
    return await this.#store.verify(attempt)
  }

  async password(user: string, client: string): Promise<string | undefined> {
    await this.#take(user, client)
    return await this.#store.password(user, client)
  }

  async digest(user: string, realm: string, client: string): Promise<string | undefined> {
    await this.#take(user, client)
    return await this.#store.digest(user, realm, client)
  }

  async #take(user: string, client: string): Promise<void> {
    this.#taken = undefined
    this.#taken = await this.#store.stamp?.(user, { ...this.#asked, client })
  }
}
