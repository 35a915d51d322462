/**
 * Logins of an explanation, for which nobody gives a password: one is assumed to be right wherever a right one could
 * exist. A file of passwords is looked up for the name; databases, scripts and programs are not asked.
 *
 * EXTERNAL needs no assumption: the certificate is known, and so is the list of who may use it.
 */

import { createHmac } from 'node:crypto'
import type { Dictionary } from '../../config/settings.ts'
import { type CredentialStore, UnfitPasswordError } from '../../smtp/auth/store.ts'
import { CredentialStores, type StoreDirectory, schemeOf } from '../../smtp/auth/stores.ts'
import type { Steps } from './step-builder.ts'

const PASSWORD = 'assumed-to-be-right'

export class AssumingStores implements StoreDirectory {
  readonly #files = new CredentialStores()
  readonly #steps: Steps

  constructor(steps: Steps) {
    this.#steps = steps
  }

  /** @throws AuthUnavailableError for a file that cannot be read */
  open(uri: string, _parameters?: Dictionary): CredentialStore {
    const scheme = schemeOf(uri)
    const knows = async (user: string): Promise<boolean> => {
      if (scheme === 'file') return this.#known(uri, user)
      this.#steps.withhold(`AUTH ${scheme}://`, [user], 'the password is assumed to be right')
      return true
    }
    return {
      verify: ({ user }) => knows(user),
      password: async (user) => ((await knows(user)) ? PASSWORD : undefined),
      digest: () => Promise.resolve(undefined),
    }
  }

  identities(uri: string): ReturnType<StoreDirectory['identities']> {
    return this.#files.identities(uri)
  }

  async #known(uri: string, user: string): Promise<boolean> {
    const known = await this.#files
      .open(uri)
      .password(user, '')
      .then((password) => password !== undefined)
      .catch((error: unknown) => {
        // it is there, as a hash
        if (error instanceof UnfitPasswordError) return true
        throw error
      })
    this.#steps.detail('user', known ? 'known; the password is assumed to be right' : 'not in the file', uri)
    return known
  }
}

/** What a client answers to each challenge of a mechanism, byte strings; undefined: it cannot be played. */
export function playMechanism(
  name: string,
  user: string,
): { readonly initial?: string; readonly answers: readonly ((challenge: string) => string)[] } | undefined {
  switch (name) {
    case 'EXTERNAL':
      return { initial: user, answers: [] }
    case 'PLAIN':
      return { initial: `\0${user}\0${PASSWORD}`, answers: [] }
    case 'LOGIN':
      return { answers: [() => user, () => PASSWORD] }
    case 'CRAM-MD5':
      return { answers: [(challenge) => `${user} ${cramDigest(challenge)}`] }
    default:
      return undefined
  }
}

/** RFC 2195 §2 */
function cramDigest(challenge: string): string {
  return createHmac('md5', PASSWORD).update(challenge, 'latin1').digest('hex')
}
