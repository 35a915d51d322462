/** Takes the next line of the client, for the command loop and for AUTH's exchanges. */

import type { Line } from '../wire/lines.ts'
import { ClientGoneError } from './client-io.ts'
import { refuse } from './reject.ts'
import type { Session } from './session-state.ts'

/**
 * The next line, where it is there. Replies that wait go out before the session waits for more. Idle_Time is the time for
 * a whole line: a client that sends it octet by octet gains nothing.
 * @returns undefined while the client has to send more, until `session.lineDue`; a promise while it has to take its
 *   replies first
 * @throws ClientGoneError when the client has left
 * @throws Refusal 421 after Idle_Time, or when the server drains and no transaction is open. Neither is a rejection
 *   of anything the client asked for, so neither is told as one (as in Momentum).
 */
export function takeLine(session: Session): Line | Promise<undefined> | undefined {
  const { io, lines, services } = session
  for (;;) {
    if (services.shuttingDown.aborted && session.transaction === undefined) {
      throw refuse(421, '4.4.5 Service unavailable', { fault: 'us', close: true, told: true })
    }
    const line = lines.next()
    if (line !== undefined) {
      session.lineDue = 0
      if (line.kind === 'line') io.transcript?.client(line.text)
      return line
    }
    const stalled = io.flush()
    if (stalled !== undefined) return stalled
    const received = io.take()
    if (received === undefined) {
      keepTime(session)
      return undefined
    }
    if (received.kind === 'end') throw new ClientGoneError()
    lines.push(received.chunk)
  }
}

/** The same for who has nothing else to do than to wait. */
export async function readLine(session: Session): Promise<Line> {
  for (;;) {
    const line = takeLine(session)
    if (line === undefined) await session.io.more(session.lineDue)
    else if (line instanceof Promise) await line
    else return line
  }
}

/** The time runs from when there is nothing to do but to wait. @throws Refusal 421 when it is over */
function keepTime(session: Session): void {
  const now = performance.now()
  if (session.lineDue === 0) {
    const idle = session.scope.options.idle_time
    session.lineDue = idle > 0 ? now + idle * 1000 : Number.POSITIVE_INFINITY
  } else if (now >= session.lineDue) {
    throw refuse(421, '4.4.2 idle for too long, closing connection', { close: true, told: true })
  }
}
