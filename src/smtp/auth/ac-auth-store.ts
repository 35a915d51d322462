/**
 * `ac_auth://` (momentum: modules/ac-auth): a script with `ac_auth_perform_auth` says whether this is the user's password,
 * with the session before its eyes. The first script that answers decides; where none does, or one fails, nobody can tell.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { Policy } from '../../policy/phases.ts'
import type { MechanismName } from './mechanism-name.ts'
import {
  AuthUnavailableError,
  type CredentialStore,
  type PasswordAttempt,
  type StoreFinding,
} from './store.ts'

/** seconds that scripts may make a login wait, all together */
const MAX_TARPIT = 60

export class AcAuthStore implements CredentialStore {
  readonly #policy: Pick<Policy, 'ask'>

  constructor(policy: Pick<Policy, 'ask'>) {
    this.#policy = policy
  }

  async verify({ user, password, session, response }: PasswordAttempt): Promise<boolean> {
    if (session === undefined || response === undefined) throw cannotTell()
    let verdict = await this.#policy.ask('auth_perform', { session, login: { user, password, response } })
    while (verdict.kind === 'tarpit') {
      const signal = session.gone === undefined ? {} : { signal: session.gone }
      await delay(Math.min(verdict.seconds, MAX_TARPIT) * 1000, undefined, signal).catch(() => undefined)
      verdict = verdict.then
    }
    if (verdict.kind === 'reply' && verdict.code === 235) return true
    if (verdict.kind === 'reply' && verdict.code >= 500) {
      if (response.text === '') response.text = `${verdict.code} ${verdict.text}`
      return false
    }
    throw cannotTell()
  }

  password(): Promise<string | undefined> {
    return Promise.reject(noPasswords())
  }

  digest(): Promise<string | undefined> {
    return Promise.reject(noPasswords())
  }

  review(mechanism: MechanismName): Promise<readonly StoreFinding[]> {
    if (mechanism === 'PLAIN' || mechanism === 'LOGIN') return Promise.resolve([])
    return Promise.resolve([{ severity: 'error', text: noPasswords().message }])
  }
}

function cannotTell(): AuthUnavailableError {
  return new AuthUnavailableError('ac_auth_perform_auth could not tell')
}

function noPasswords(): AuthUnavailableError {
  return new AuthUnavailableError('ac_auth:// judges passwords and gives none: it is for PLAIN and LOGIN')
}
