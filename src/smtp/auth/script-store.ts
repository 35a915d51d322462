/**
 * `scheme://file`, a scheme that a script registered (momentum: lua/ref-msys-register-auth). The script gets what stands
 * behind `//`, the parameters of the mechanism, the name and the password, and answers EC_AUTH_OK, EC_AUTH_FAIL or
 * EC_AUTH_ERROR. It may wait: the session waits with it, nobody else. Its error, or any other answer, is
 * AuthUnavailableError, and a line of the panic log with the script's place.
 */

import type { Dictionary } from '../../config/settings.ts'
import type { PolicyOffers } from '../../policy/offers.ts'
import type { MechanismName } from './mechanism-name.ts'
import {
  AuthUnavailableError,
  type CredentialStore,
  type PasswordAttempt,
  type StoreFinding,
} from './store.ts'

export interface ScriptScheme {
  /** asked anew for each attempt: a Lua state that was replaced has other ones */
  readonly offers: () => PolicyOffers | undefined
  readonly scheme: string
  /** what stands behind `scheme://` */
  readonly path: string
  readonly parameters: Dictionary
}

export class ScriptStore implements CredentialStore {
  readonly #of: ScriptScheme

  constructor(of: ScriptScheme) {
    this.#of = of
  }

  async verify({ user, password }: PasswordAttempt): Promise<boolean> {
    const { offers, scheme, path, parameters } = this.#of
    const answer = await offers()?.authenticate(scheme, { path, parameters, user, password })
    if (answer === 'ok') return true
    if (answer === 'fail') return false
    throw new AuthUnavailableError(`the script's scheme ${scheme}:// could not tell`)
  }

  password(): Promise<string | undefined> {
    return Promise.reject(this.#noPasswords())
  }

  digest(): Promise<string | undefined> {
    return Promise.reject(this.#noPasswords())
  }

  review(mechanism: MechanismName): Promise<readonly StoreFinding[]> {
    if (mechanism === 'PLAIN' || mechanism === 'LOGIN') return Promise.resolve([])
    return Promise.resolve([{ severity: 'error', text: this.#noPasswords().message }])
  }

  #noPasswords(): AuthUnavailableError {
    return new AuthUnavailableError(
      `the script's scheme ${this.#of.scheme}:// judges passwords and gives none: it is for PLAIN and LOGIN`,
    )
  }
}
