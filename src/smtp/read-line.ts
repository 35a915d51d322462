/** Takes the next line of the client, for the command loop and for AUTH's exchanges. */

import type { Line } from '../wire/lines.ts'
import { ClientGoneError } from './client-io.ts'
import { refuse } from './reject.ts'
import type { Session } from './session-state.ts'

/**
 * Replies that wait go out before the session waits for more. Idle_Time is the time for a whole line: a client that
 * sends it octet by octet gains nothing.
 * @throws ClientGoneError when the client has left
 * @throws Refusal 421 after Idle_Time, or when the server drains and no transaction is open. Neither is a rejection
 *   of anything the client asked for, so neither is told as one (as in Momentum).
 */
export async function readLine(session: Session): Promise<Line> {
  const { io, lines, services } = session
  let deadline: number | undefined
  for (;;) {
    if (services.shuttingDown.aborted && session.transaction === undefined) {
      throw refuse(421, '4.4.5 Service unavailable', { fault: 'us', close: true, told: true })
    }
    const line = lines.next()
    if (line !== undefined) {
      if (line.kind === 'line') io.transcript?.client(line.text)
      return line
    }
    await io.flush()
    const idle = session.scope.options.idle_time
    deadline ??= idle > 0 ? performance.now() + idle * 1000 : Number.POSITIVE_INFINITY
    const left = deadline - performance.now()
    const received = await io.read(Number.isFinite(left) ? Math.max(0, left) : undefined)
    switch (received.kind) {
      case 'chunk':
        lines.push(received.chunk)
        break
      case 'end':
        throw new ClientGoneError()
      case 'timeout':
        throw refuse(421, '4.4.2 idle for too long, closing connection', { close: true, told: true })
      case 'interrupted':
        break
    }
  }
}
