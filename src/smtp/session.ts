/**
 * Holds the conversation with one client, from the banner to the close; what the client says in between is the
 * command loop's.
 *
 * Asks policy and decides nothing by itself. Nothing that goes wrong inside leaves this file: it becomes a panic fact,
 * and the process goes on.
 */

import type { Connection } from '../listener/connection.ts'
import type { Reply } from '../mail/status.ts'
import { atShutdown } from './at-shutdown.ts'
import { ClientGoneError } from './client-io.ts'
import { runCommands } from './command-loop.ts'
import { askAboutClient, banner } from './greeting.ts'
import { describe, Refusal, tellPanic } from './reject.ts'
import type { SessionServices } from './services.ts'
import { Session } from './session-state.ts'
import { viewOf } from './session-view.ts'
import { askAfterHandshake, handshake } from './starttls.ts'
import { adjustmentsBeforeBanner } from './tls-policy.ts'

/** Serves one connection. Resolves when it is closed; never rejects. */
export function serveSession(connection: Connection, services: SessionServices): Promise<void> {
  let session: Session
  try {
    session = new Session(connection, services)
  } catch (error) {
    connection.socket.destroy()
    const text = `${connection.id}: ${describe(error)}`
    services.events.emit({ kind: 'panic', at: services.clock(), level: 'error', module: 'core', text })
    return Promise.resolve()
  }
  return holdSession(session)
}

/** The same for a session that somebody watches: `explain` looks at it between two commands. Never rejects. */
export async function holdSession(session: Session): Promise<void> {
  const { services } = session
  const unheard = atShutdown(services.shuttingDown, () => session.io.wake())
  const began = services.clock()
  const unlisted = services.liveSessions?.add(() => viewOf(session, began))
  beginTranscript(session)
  try {
    await runCommands(session, greet)
    await session.io.close()
  } catch (error) {
    if (!(error instanceof ClientGoneError)) tellPanic(session, 'core', describe(error))
    await session.io.destroy()
  } finally {
    unheard()
    unlisted?.()
    session.io.transcript?.note('closed')
    await session.transaction?.reception?.drop()
    tellDecision(session)
    sayGoodbye(session)
  }
}

/** Where an operator asks for it. */
function beginTranscript({ io, services, connection }: Session): void {
  const { remote, id, listen } = connection
  const { address } = remote
  io.transcript = services.transcripts?.begin({ direction: 'inbound', address, id, domain: '', binding: '' })
  io.transcript?.note(`connected to ${listen.instance}`)
}

/** The record of a TLS connection. A client that was gone before we could close has left. */
function tellDecision(session: Session): void {
  const how = session.quit ? 'quit' : session.ended ? 'closed' : 'left'
  session.decision.ended(how, session.kept)
}

/** Policy may drop what it keeps for this session. */
function sayGoodbye(session: Session): void {
  try {
    session.services.policy.ended?.(session.facts)
  } catch (error) {
    tellPanic(session, 'policy', describe(error))
  }
}

/**
 * Connect policy, then the implicit handshake where the scope has one, then the banner (Momentum's order: 4-policy). A
 * client that is refused hears so instead of the banner, and inside TLS where TLS was to come first.
 */
async function greet(session: Session): Promise<Reply> {
  const asked = await askAboutClient(session)
  // read after policy, which may have chosen another pathway
  const { use_ssl } = session.scope.options
  session.markConnected()
  if (use_ssl) {
    const adjustments = await adjustmentsBeforeBanner(session, 'just connected')
    session.forgetBeforeTls()
    await handshake(session, 'just connected', adjustments)
    if (!(asked instanceof Refusal)) await askAfterHandshake(session)
  }
  if (asked instanceof Refusal) throw asked
  const reply = banner(session, asked)
  session.greeted = true
  return reply
}
