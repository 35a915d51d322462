/**
 * Holds the conversation with one client, from the banner to the close: read a line, look its verb up, run it, reply.
 *
 * Asks policy and decides nothing by itself. Every command gets exactly one reply and every refusal exactly one
 * rejection fact: both happen here, in one place. Nothing that goes wrong inside leaves this file: it becomes
 * `451 4.3.0` (or 421) and a panic fact, and the process goes on.
 */

import type { Connection } from '../listener/connection.ts'
import type { Reply } from '../mail/status.ts'
import { parseCommand } from '../wire/command.ts'
import type { Line } from '../wire/lines.ts'
import { formatReply } from '../wire/reply.ts'
import { atShutdown } from './at-shutdown.ts'
import { ClientGoneError } from './client-io.ts'
import type { CommandAnswer } from './command.ts'
import { commands } from './commands.ts'
import { askAboutClient, banner } from './greeting.ts'
import { readLine } from './read-line.ts'
import { certificateMissing, describe, Refusal, refuse, tellPanic, tellRejection } from './reject.ts'
import type { SessionServices } from './services.ts'
import { Session } from './session-state.ts'
import { viewOf } from './session-view.ts'
import { askAfterHandshake, handshake } from './starttls.ts'
import { adjustmentsBeforeBanner } from './tls-policy.ts'

/** Serves one connection. Resolves when it is closed; never rejects. */
export async function serveSession(connection: Connection, services: SessionServices): Promise<void> {
  let session: Session
  try {
    session = new Session(connection, services)
  } catch (error) {
    connection.socket.destroy()
    const text = `${connection.id}: ${describe(error)}`
    services.events.emit({ kind: 'panic', at: services.clock(), level: 'error', module: 'core', text })
    return
  }
  await holdSession(session)
}

/** The same for a session that somebody watches: `explain` looks at it between two commands. Never rejects. */
export async function holdSession(session: Session): Promise<void> {
  const { services } = session
  const unheard = atShutdown(services.shuttingDown, () => session.io.interrupt())
  const began = services.clock()
  const unlisted = services.liveSessions?.add(() => viewOf(session, began))
  beginTranscript(session)
  try {
    await guarded(session, greet)
    while (!session.ended) await guarded(session, takeCommand)
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
async function greet(session: Session): Promise<void> {
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
  send(session, banner(session, asked))
  session.greeted = true
}

async function takeCommand(session: Session): Promise<void> {
  const line = await readLine(session)
  const answer = runLine(session, line)
  // most commands wait for nobody
  const reply = answer instanceof Promise ? await answer : answer
  session.takeBack = undefined
  if (reply !== undefined) send(session, reply)
  // Pipelined commands are answered together, but not without end.
  if (session.io.unsent > MAX_UNSENT) await session.io.flush()
}

function runLine(session: Session, line: Line): CommandAnswer {
  if (line.kind !== 'line') throw refuse(500, UNREADABLE[line.kind], { close: line.chunkFollows === true })
  return runCommand(session, line.text)
}

function runCommand(session: Session, line: string): CommandAnswer {
  if (session.lacksCertificate) throw certificateMissing()
  const { verb, args } = parseCommand(line)
  if (verb !== 'AUTH' && line.length + 2 > session.limits.commandLine)
    throw refuse(500, '5.5.2 line too long', { close: verb === 'BDAT' })
  if (FOREIGN.has(verb)) throw refuse(421, '4.7.0 this is not a web server', { close: true })
  const command = commands.get(verb)
  if (command === undefined) throw refuse(500, '5.5.2 unrecognized command')
  return command.run(session, args, line)
}

/** Runs a step. What it refuses is told and answered here, once. @throws ClientGoneError */
async function guarded(session: Session, step: (session: Session) => Promise<void>): Promise<void> {
  try {
    await step(session)
  } catch (error) {
    if (error instanceof ClientGoneError) throw error
    const refusal = countBad(session, error instanceof Refusal ? error : internalError(session, error))
    const { reply, module, state } = refusal
    if (!refusal.told) tellRejection(session, { ...reply, module, ...(state === undefined ? {} : { state }) })
    session.takeBack?.()
    session.takeBack = undefined
    send(session, reply)
    if (refusal.close) session.ended = true
  }
}

/** A client that makes mistakes without end is sent away. */
function countBad(session: Session, refusal: Refusal): Refusal {
  const { fault, reply, close, module } = refusal
  if (fault !== 'peer' || close || reply.code < 500 || reply.code > 504) return refusal
  session.badCommands += 1
  if (session.badCommands <= session.limits.badCommands) return refusal
  return refuse(421, '4.7.0 too many bad commands', { close: true, module })
}

/** Not foreseen: the client hears that it is our fault, an operator hears what happened. */
function internalError(session: Session, error: unknown): Refusal {
  tellPanic(session, 'core', describe(error))
  session.internalErrors += 1
  if (!session.greeted || session.internalErrors >= MAX_INTERNAL_ERRORS) {
    return refuse(421, '4.3.0 transaction failed', { fault: 'us', close: true })
  }
  return refuse(451, '4.3.0 transaction failed', { fault: 'us' })
}

function send(session: Session, reply: Reply): void {
  session.io.send(formatReply(reply))
}

const UNREADABLE: Readonly<Record<Exclude<Line['kind'], 'line'>, string>> = {
  'too-long': '5.5.2 line too long',
  'bare-newline': '5.5.2 lines must end with CR LF',
  nul: '5.5.2 NUL in command',
}

/** octets of replies that may gather before they are written */
const MAX_UNSENT = 65_536

/** sessions in which this much went wrong are better started anew */
const MAX_INTERNAL_ERRORS = 3

/** Verbs of HTTP: a browser that was made to talk to us (cross-protocol request forgery). */
const FOREIGN: ReadonlySet<string> = new Set([
  'GET',
  'POST',
  'PUT',
  'HEAD',
  'CONNECT',
  'OPTIONS',
  'DELETE',
  'PATCH',
])
