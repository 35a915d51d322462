/** The last step of every message that comes in: stable storage, the fact, and the hand-over to delivery. */

import type { Reception } from '../events/events.ts'
import type { NewMessage, ReceptionWriter } from '../spool/spool.ts'
import { describe, tellPanic } from './reject.ts'
import type { Session } from './session-state.ts'

/** @throws SpoolFullError, or what the storage says; nothing is kept then */
export async function keepMessages(
  session: Session,
  writer: ReceptionWriter,
  messages: readonly NewMessage[],
  protocol: NonNullable<Reception['protocol']> = 'esmtp',
): Promise<void> {
  await writer.commit(messages)
  const { events, clock, enqueue } = session.services
  for (const { envelope } of messages) events.emit({ kind: 'reception', at: clock(), envelope, protocol })
  try {
    enqueue(messages)
  } catch (error) {
    // They are kept all the same: a refusal now would make the client send them again.
    tellPanic(session, 'core', `messages wait for a restart: ${describe(error)}`)
  }
}
