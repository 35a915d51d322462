/**
 * AUTH: RFC 4954; Momentum 4/inbound-smtp.
 *
 * Offered and taken only where the scope lists the mechanism and has its parameters, and outside TLS only where the
 * scope says Allow_Plaintext_Auth, whatever the mechanism. Policy is asked with the outcome in the context and can refuse
 * a success; it can never turn a failure into one. What the client sent goes to the mechanism and nowhere else, except
 * the user's name.
 *
 * A failure costs the client's address time, more with each one, and after so many the address is turned away: a right
 * password is then answered like a wrong one, so that no burst of connections learns more than the limit allows.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { AuthenticationFact } from '../../events/events.ts'
import type { Reply } from '../../mail/status.ts'
import type { LoginAttempt } from '../../policy/phases.ts'
import { ClientGoneError } from '../client-io.ts'
import type { Command } from '../command.ts'
import { command, notDiscardable, replyOf } from '../command.ts'
import type { Answer } from '../consult.ts'
import { consult } from '../consult.ts'
import { refuse } from '../reject.ts'
import type { Session } from '../session-state.ts'
import { AUTH, exchange, fellSilent, type Result } from './exchange.ts'
import { delayFor } from './failures.ts'
import type { MechanismRow } from './mechanism.ts'
import { findMechanism } from './mechanisms.ts'
import { configuredMechanisms, suits } from './offer.ts'
import { isTurnedAway } from './turned-away.ts'

interface AuthCommand {
  readonly row: MechanismRow
  /** undefined when the client waits for a challenge */
  readonly initial: string | undefined
}

export const auth: Command = command<AuthCommand>({
  verb: 'AUTH',
  needsHello: true,
  beforeTls: false,
  parse,
  check(session, { row }) {
    const configured = configuredMechanisms(session.scope)
    if (configured.length === 0) throw refuse(502, '5.5.1 AUTH is not offered', AUTH)
    if (session.tls === undefined && !session.scope.options.allow_plaintext_auth) {
      throw refuse(538, '5.7.11 Encryption required for requested authentication mechanism', AUTH)
    }
    if (!configured.includes(row) || !suits(session, row)) throw notOffered()
    // RFC 4954 §4: once, and not within a transaction; it belongs to EHLO.
    if (
      session.authenticated !== undefined ||
      session.transaction !== undefined ||
      session.hello?.kind !== 'EHLO'
    ) {
      throw refuse(503, '5.5.1 bad sequence of commands', AUTH)
    }
    if (isTurnedAway(session)) throw tooMany()
  },
  async proceed(session, { row, initial }) {
    const forced = await askBefore(session)
    const result = await attempt(session, row, initial)
    return judge(session, row, forced ? { ...result, status: 'pass' } : result)
  },
})

/**
 * Momentum's core_pre_esmtp_auth: policy can refuse before any credential is looked at, or let the attempt succeed
 * whatever they are; what the scope denies stays denied.
 */
async function askBefore(session: Session): Promise<boolean> {
  const answer = await consult(session, 'auth_before', { session: session.facts })
  notDiscardable(answer)
  return answer.kind === 'proceed' && answer.reply?.code === 235
}

function parse(args: string): AuthCommand {
  const [name = '', initial, ...rest] = args.trim().split(/ +/)
  if (name === '' || rest.length > 0) throw refuse(501, '5.5.4 AUTH syntax error', AUTH)
  const row = findMechanism(name.toUpperCase())
  if (row === undefined) throw notOffered()
  return { row, initial }
}

async function attempt(session: Session, row: MechanismRow, initial: string | undefined): Promise<Result> {
  try {
    return await exchange(session, row, initial)
  } catch (error) {
    if (fellSilent(error)) tell(session, row, { status: 'timeout', user: '' })
    throw error
  }
}

async function judge(session: Session, row: MechanismRow, result: Result): Promise<Reply> {
  const away = isTurnedAway(session)
  const { status, user } = away ? { ...result, status: 'fail' as const } : settle(session, result)
  session.context.set('connection', 'auth_name', row.name)
  session.context.set('connection', 'auth_user', user)
  session.context.set('connection', 'auth_status', status)
  // at once: who fails may not wait for the answer
  if (status !== 'pass') tell(session, row, { status, user })
  if (away) throw tooMany()
  if (status === 'fail') await chargeForFailure(session)
  const answer = await ask(session, row, { status, user })
  if (status === 'error')
    throw refuse(454, '4.7.0 Temporary authentication failure', { ...AUTH, fault: 'us' })
  if (status === 'fail') throw await failed(session, result.login)
  session.authenticated = { mechanism: row.name, user }
  session.grantRelay()
  return replyOf(answer, 235, '2.7.0 Authentication succeeded')
}

/** Momentum: control-auth. Who proved nothing is `anonymous`, whatever name was claimed. */
function settle({ scope }: Session, result: Result): Result {
  if (scope.options.always_deny) return { status: 'fail', user: result.user }
  if (scope.options.always_allow && result.status !== 'pass') return { status: 'pass', user: 'anonymous' }
  return result
}

/** This session waits; nobody else does. @throws ClientGoneError */
async function chargeForFailure(session: Session): Promise<void> {
  const { services, connection, io } = session
  const { auth_failure_window, auth_failure_delay } = session.scope.options
  const failures = services.auth.failures.add(connection.remote.address, auth_failure_window)
  const wait = delayFor(failures, auth_failure_delay)
  if (wait > 0) {
    // not `departed`: who shuts its own side and goes on listening waits like anybody
    const signal = AbortSignal.any([io.gone, services.shuttingDown])
    await delay(wait, undefined, { signal }).catch(() => undefined)
  }
  if (io.gone.aborted) throw new ClientGoneError()
}

function tell(
  session: Session,
  row: MechanismRow,
  { status, user }: Pick<AuthenticationFact, 'status' | 'user'>,
): void {
  const { services, connection, scope } = session
  services.events.emit({
    kind: 'authentication',
    at: services.clock(),
    connectionId: connection.id,
    remote: connection.remote,
    listener: connection.listen.instance,
    mechanism: row.name,
    user,
    status,
    account: /^(?:true|on|yes|enabled|1)$/i.test(scope.options[row.option]?.['log_authentication'] ?? ''),
  })
}

/** A success that policy refuses is none: nothing later may read `pass`, no log either. */
async function ask(
  session: Session,
  row: MechanismRow,
  { status, user }: Pick<Result, 'status' | 'user'>,
): Promise<Answer> {
  try {
    const answer = await consult(session, 'auth', { session: session.facts, status })
    notDiscardable(answer)
    if (status === 'pass') tell(session, row, { status, user })
    return answer
  } catch (error) {
    if (status === 'pass') {
      session.context.set('connection', 'auth_status', 'fail')
      tell(session, row, { status: 'fail', user })
    }
    throw error
  }
}

/** A script that judged may have words of its own, and hears of the failure. @throws Refusal when policy fails */
async function failed(session: Session, login: LoginAttempt | undefined): Promise<Error> {
  session.authFailures += 1
  const usual = '5.7.8 Authentication credentials invalid'
  const [, code = '535', text = usual] = /^([45]\d\d) (.+)$/s.exec(login?.response.text.trim() ?? '') ?? []
  if (login !== undefined) {
    const response = { text: `${code} ${text}` }
    await consult(session, 'auth_failed', { session: session.facts, login: { ...login, response } })
  }
  if (session.authFailures >= session.limits.authFailures) return tooMany()
  // RFC 5321 §3.8: 421 announces that the channel is closed
  return refuse(Number(code), text, { ...AUTH, close: code === '421' })
}

function tooMany(): Error {
  return refuse(421, '4.7.0 too many failed authentication attempts', { ...AUTH, close: true })
}

function notOffered(): Error {
  return refuse(504, '5.5.4 authentication mechanism not offered', AUTH)
}
