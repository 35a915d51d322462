/**
 * CRAM-MD5: RFC 2195. The client shows that it knows the password without sending it; the server needs it in clear
 * text. The challenge is new for every exchange and answered once.
 */

import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Grounds, Mechanism } from './mechanism.ts'
import { challenge, MalformedResponse, orFailure, outcome } from './mechanism.ts'

export function cramMd5(
  { store, hostname, client }: Grounds,
  challengeText = freshChallenge(hostname),
): Mechanism {
  return {
    name: 'CRAM-MD5',
    start: () => challenge(challengeText),
    async next(response) {
      const match = /^(?<user>.*) (?<digest>[0-9a-f]{32})$/s.exec(response)?.groups
      if (match === undefined) throw new MalformedResponse()
      const { user = '', digest = '' } = match
      if (user === '') return outcome(user, false)
      return orFailure(user, async () => {
        const known = await store.password(user, client)
        // An unknown user is computed as well, with a password that nobody has.
        const expected = cramDigest(challengeText, known ?? randomBytes(16).toString('latin1'))
        const same = timingSafeEqual(Buffer.from(expected), Buffer.from(digest))
        return outcome(user, known !== undefined && same)
      })
    },
  }
}

function cramDigest(challengeText: string, password: string): string {
  return createHmac('md5', Buffer.from(password, 'latin1')).update(challengeText, 'latin1').digest('hex')
}

/** RFC 2195 §2: in the form of a message id. */
function freshChallenge(hostname: string): string {
  return `<${randomBytes(16).toString('hex')}.${Date.now()}@${hostname}>`
}
