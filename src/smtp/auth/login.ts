/** LOGIN: draft-murchison-sasl-login. Two prompts; the user's name may come as the initial response. */

import type { Grounds, Mechanism } from './mechanism.ts'
import { challenge, orFailure, outcome } from './mechanism.ts'

/** These words: clients look for them. */
const USER_PROMPT = 'Username:'
const PASSWORD_PROMPT = 'Password:'

export function login({ store, client }: Grounds): Mechanism {
  let user: string | undefined
  return {
    name: 'LOGIN',
    start(initial) {
      if (initial === undefined) return challenge(USER_PROMPT)
      user = initial
      return challenge(PASSWORD_PROMPT)
    },
    async next(response) {
      if (user === undefined) {
        user = response
        return challenge(PASSWORD_PROMPT)
      }
      if (user === '' || response === '') return outcome(user, false)
      const name = user
      return orFailure(name, async () =>
        outcome(name, await store.verify({ user: name, password: response, client })),
      )
    },
  }
}
