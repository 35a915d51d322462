/**
 * Runs the commands of one client: takes a line, looks its verb up, runs it, replies; then the next.
 *
 * Every command gets exactly one reply and every refusal exactly one rejection fact: both happen here, in one place.
 * What goes wrong inside a command becomes `451 4.3.0` (or 421) and a panic fact, and the process goes on.
 *
 * Most commands wait for nobody: those at hand run one after the other without a promise. Where there is something to wait
 * for the loop ends its run, and whatever was waited for starts the next one. So a client that is awaited costs no more
 * than a session that rests: what thousands of them would hold on to meanwhile, the collector of garbage would have to
 * carry along.
 */

import type { Reply } from '../mail/status.ts'
import { parseCommand } from '../wire/command.ts'
import type { Line } from '../wire/lines.ts'
import { formatReply } from '../wire/reply.ts'
import { ClientGoneError } from './client-io.ts'
import type { CommandAnswer } from './command.ts'
import { commands } from './commands.ts'
import { takeLine } from './read-line.ts'
import { certificateMissing, describe, Refusal, refuse, tellPanic, tellRejection } from './reject.ts'
import type { Session } from './session-state.ts'

/** The client has to send more first. */
const MORE = 'more'

/** What a step has to say; a promise only where there is something to wait for. */
type Step = (session: Session) => CommandAnswer | typeof MORE

/** What has to happen before the next step. */
type Wait = Promise<undefined> | typeof MORE | undefined

/**
 * Runs a first step, and then what the client says, until the session has ended.
 * @returns rejects with ClientGoneError when the client has left
 */
export function runCommands(session: Session, first: Step): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let step = first
  let inTurn = 0
  const newTurn = (): void => {
    inTurn = 0
    goOn()
  }
  const goOn = (): void => {
    try {
      while (!session.ended) {
        // one that never stops to talk leaves others their turn
        if (inTurn >= COMMANDS_IN_TURN) {
          setImmediate(newTurn)
          return
        }
        inTurn += 1
        const wait = guarded(session, step)
        step = takeCommand
        if (wait === MORE) {
          session.io.whenMore(session.lineDue, newTurn)
          return
        }
        if (wait !== undefined) {
          wait.then(goOn, reject)
          return
        }
      }
      resolve()
    } catch (error) {
      reject(error)
    }
  }
  goOn()
  return promise
}

/** Takes a step and says what it has to say. What it refuses is told and answered here, once. @throws ClientGoneError */
function guarded(session: Session, step: Step): Wait {
  try {
    const answer = step(session)
    if (answer === MORE) return MORE
    if (!(answer instanceof Promise)) return say(session, answer)
    return answer.then((reply) => say(session, reply)).catch((error: unknown) => refused(session, error))
  } catch (error) {
    return refused(session, error)
  }
}

function takeCommand(session: Session): CommandAnswer | typeof MORE {
  const line = takeLine(session)
  if (line === undefined) return MORE
  // a client that has to take its replies first
  if (line instanceof Promise) return line
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

/** @throws ClientGoneError */
function say(session: Session, reply: Reply | undefined): Promise<undefined> | undefined {
  const { io } = session
  session.takeBack = undefined
  if (reply !== undefined) io.send(formatReply(reply))
  // Pipelined commands are answered together, but not without end.
  return io.unsent > MAX_UNSENT ? io.flush() : undefined
}

/** @throws ClientGoneError */
function refused(session: Session, error: unknown): Promise<undefined> | undefined {
  if (error instanceof ClientGoneError) throw error
  const refusal = countBad(session, error instanceof Refusal ? error : internalError(session, error))
  const { reply, module, state } = refusal
  if (!refusal.told) tellRejection(session, { ...reply, module, ...(state === undefined ? {} : { state }) })
  session.takeBack?.(session)
  if (refusal.close) session.ended = true
  return say(session, reply)
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

const UNREADABLE: Readonly<Record<Exclude<Line['kind'], 'line'>, string>> = {
  'too-long': '5.5.2 line too long',
  'bare-newline': '5.5.2 lines must end with CR LF',
  nul: '5.5.2 NUL in command',
}

/** pipelined commands that run before others have their turn: a client that means well rarely sends as many at once */
const COMMANDS_IN_TURN = 100

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
