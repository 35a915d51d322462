/** PLAIN: RFC 4616. One message: authorization identity NUL authentication identity NUL password. */

import type { Grounds, Mechanism, Step } from './mechanism.ts'
import { challenge, MalformedResponse, orFailure, outcome } from './mechanism.ts'

export function plain({ store, client }: Grounds): Mechanism {
  const judge = async (message: string): Promise<Step> => {
    const [authorize, user, password, ...rest] = message.split('\0')
    if (authorize === undefined || user === undefined || password === undefined || rest.length > 0) {
      throw new MalformedResponse()
    }
    // Nobody acts as somebody else here; an empty password is no password (RFC 4616 §2: both are 1*SAFE).
    if (user === '' || password === '' || (authorize !== '' && authorize !== user)) {
      return outcome(user, false)
    }
    return orFailure(user, async () => outcome(user, await store.verify({ user, password, client })))
  }
  return {
    name: 'PLAIN',
    start: (initial) => (initial === undefined ? challenge('') : judge(initial)),
    next: judge,
  }
}
