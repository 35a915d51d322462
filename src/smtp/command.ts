/**
 * What a command is: one row of the table in `commands.ts`, and the one way in which every row is run:
 * requirements → parse → check → ask policy → proceed (after OpenSMTPD's smtp_session.c).
 */

import type { Reply } from '../mail/status.ts'
import type { AnyFacts, Phase } from '../policy/phases.ts'
import type { Answer } from './consult.ts'
import { consult } from './consult.ts'
import { refuse } from './reject.ts'
import type { Session } from './session-state.ts'

/** A row with the type of its arguments. */
interface CommandRow<A, P extends Phase> {
  readonly verb: string
  /** whether EHLO or HELO must have come first where the scope says Require_EHLO */
  readonly needsHello: boolean
  /** whether it is served in clear text where the scope says Require_TLS (RFC 3207 §4) */
  readonly beforeTls: boolean
  /** @throws Refusal 501 */
  readonly parse: (args: string, session: Session) => A
  /** whether it may be done now, as far as no policy is concerned. @throws Refusal */
  readonly check: (session: Session, args: A) => void
  /** the phase that policy is asked in before `proceed`; commands that ask in their middle do so in `proceed` */
  readonly phase?: P
  /** sets the context keys of the phase */
  readonly note?: (session: Session, args: A, line: string) => void
  /** finds out more for the context; undefined where there is nothing to wait for */
  readonly inform?: (session: Session, args: A) => Promise<void> | undefined
  /** what policy is told, should it want to be asked */
  readonly facts?: (session: Session, args: A, line: string) => AnyFacts[P]
  /** takes back what `note` set, after the command was refused */
  readonly undo?: (session: Session) => void
  /**
   * Does it. undefined means that the command has said all that there is to say.
   * @throws Refusal
   */
  readonly proceed: (session: Session, args: A, answer: Answer) => CommandAnswer
}

/** A promise only where there is something to wait for. */
export type CommandAnswer = Reply | undefined | Promise<Reply | undefined>

/** A row whose argument type is closed over. */
export interface Command {
  readonly verb: string
  readonly phase: Phase | undefined
  /** @throws Refusal */
  run(session: Session, args: string, line: string): CommandAnswer
}

const UNASKED: Answer = { kind: 'proceed', reply: undefined }

/** Makes a command of a row. */
export function command<A, P extends Phase = never>(row: CommandRow<A, P>): Command {
  const { phase, facts } = row
  if (phase === undefined || facts === undefined) {
    return {
      verb: row.verb,
      phase,
      run: (session, text) => row.proceed(session, prepare(session, row, text), UNASKED),
    }
  }
  const ask = (session: Session, args: A, line: string): CommandAnswer => {
    if (!session.services.policy.wants(phase)) return row.proceed(session, args, UNASKED)
    const asked = consult(session, phase, facts(session, args, line))
    return asked instanceof Promise
      ? asked.then((answer) => row.proceed(session, args, answer))
      : row.proceed(session, args, asked)
  }
  return {
    verb: row.verb,
    phase,
    run(session, text, line) {
      const args = prepare(session, row, text)
      session.takeBack = row.undo
      row.note?.(session, args, line)
      const informed = row.inform?.(session, args)
      return informed === undefined ? ask(session, args, line) : informed.then(() => ask(session, args, line))
    },
  }
}

function prepare<A, P extends Phase>(session: Session, row: CommandRow<A, P>, text: string): A {
  requireReady(session, row)
  const args = row.parse(text, session)
  row.check(session, args)
  return args
}

/** What has to come before a command. @throws Refusal */
export function requireReady(
  session: Session,
  { needsHello, beforeTls }: Pick<CommandRow<unknown, never>, 'needsHello' | 'beforeTls'>,
): void {
  const { scope, tls, hello } = session
  const { options } = scope
  if (!beforeTls && tls === undefined) {
    if (options.require_tls) {
      throw refuse(530, '5.7.0 Must issue a STARTTLS command first', { module: 'tls' })
    }
    if (options.require_tls_shadow) session.decision.wouldNeedTls(session.connection, scope)
  }
  if (needsHello && options.require_ehlo && hello === undefined) {
    throw refuse(550, '5.5.1 RFC2821 HELO/EHLO needed')
  }
}

/** For commands that take no argument (RFC 5321 §4.1.1). */
export function noArguments(text: string): (args: string) => void {
  return (args) => {
    if (args.trim() !== '') throw refuse(501, text)
  }
}

/** What policy wants to be said, or else the usual words. */
export function replyOf(answer: Answer, code: number, text: string): Reply {
  return wishedBy(answer) ?? { code, text }
}

/** What policy wants to be said. */
export function wishedBy(answer: Answer): Reply | undefined {
  return answer.kind === 'proceed' ? answer.reply : undefined
}

/** A phase in which there is no message that could be discarded. */
export function notDiscardable(answer: Answer): void {
  if (answer.kind === 'discard') throw refuse(550, answer.text, { fault: 'policy', module: answer.module })
}
