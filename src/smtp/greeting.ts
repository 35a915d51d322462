/** How a client is met: policy is asked about the connection, then the banner (Momentum: 4-policy; RFC 5321 §4.2). */

import { formatDate } from '../mail/date.ts'
import type { Reply } from '../mail/status.ts'
import { notDiscardable } from './command.ts'
import { consult } from './consult.ts'
import { Refusal } from './reject.ts'
import type { Session } from './session-state.ts'

/** What policy says to the connection: a reply for the banner, a refusal, or nothing. */
export async function askAboutClient(session: Session): Promise<Reply | Refusal | undefined> {
  try {
    let reply: Reply | undefined
    for (const phase of ['accept', 'connect', 'connected'] as const) {
      const asked = consult(session, phase, { session: session.facts })
      const answer = asked instanceof Promise ? await asked : asked
      notDiscardable(answer)
      if (answer.kind === 'proceed' && answer.reply !== undefined) reply = answer.reply
    }
    return reply
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { reply, fault, module, cause } = error
    // A client without a banner is no client: any refusal here ends the session.
    return new Refusal(reply, { fault, module, cause, close: true })
  }
}

/** @param asked what policy wants to be said instead of the usual */
export function banner(session: Session, asked: Reply | undefined): Reply {
  const { static_banner } = session.scope.options
  return { code: 220, text: asked?.text ?? static_banner?.replace(/^220[ -]?/gm, '') ?? usualBanner(session) }
}

/** Momentum's banner, with our name. */
function usualBanner(session: Session): string {
  const { clock, version } = session.services
  return `${session.hostname} ESMTP postern ${version} ${formatDate(clock())}`
}
