/** The last step of every message that comes in: stable storage, the fact, and the hand-over to delivery. */

import type { Reception } from '../events/events.ts'
import { HeaderBlock } from '../mail/headers.ts'
import type { NewMessage, ReceptionWriter } from '../spool/spool.ts'
import { describe, tellPanic } from './reject.ts'
import type { Session } from './session-state.ts'

/** @throws SpoolFullError, or what the storage says; nothing is kept then */
export function keepMessages(
  session: Session,
  writer: ReceptionWriter,
  messages: readonly NewMessage[],
  protocol: NonNullable<Reception['protocol']> = 'esmtp',
): Promise<void> {
  const { loggedHeaders = [] } = session.services
  const kept = loggedHeaders.length === 0 ? messages : withHeaders(messages, loggedHeaders)
  return writer.commit(kept).then(() => handOver(session, kept, protocol))
}

function handOver(
  session: Session,
  kept: readonly NewMessage[],
  protocol: NonNullable<Reception['protocol']>,
): void {
  const { events, clock, enqueue } = session.services
  const tls = session.peer.kind
  for (const { envelope } of kept) {
    if (protocol === 'internal') events.emit({ kind: 'reception', at: clock(), envelope, protocol })
    else events.emit({ kind: 'reception', at: clock(), envelope, protocol, tls })
  }
  try {
    enqueue(kept)
  } catch (error) {
    // They are kept all the same: a refusal now would make the client send them again.
    tellPanic(session, 'core', `messages wait for a restart: ${describe(error)}`)
  }
}

/** octets of a header's value that logs may have: nobody's line should be as long as a header can be */
const MAX_LOGGED = 1000

/** What custom_logger writes of the header goes with the envelope: the message itself is not read for a log's sake. */
function withHeaders(messages: readonly NewMessage[], names: readonly string[]): readonly NewMessage[] {
  let last: { readonly header: Uint8Array; readonly found: Readonly<Record<string, string>> } | undefined
  return messages.map((message) => {
    const { header, envelope } = message
    // the recipients of one message mostly share it
    if (last?.header !== header) last = { header, found: firstValues(header, names) }
    return { ...message, envelope: { ...envelope, loggedHeaders: last.found } }
  })
}

function firstValues(header: Uint8Array, names: readonly string[]): Readonly<Record<string, string>> {
  const block = new HeaderBlock(Buffer.from(header).toString('latin1'))
  return Object.fromEntries(
    names.flatMap((name) => {
      const [value] = block.values(name)
      return value === undefined ? [] : [[name, value.slice(0, MAX_LOGGED)]]
    }),
  )
}
