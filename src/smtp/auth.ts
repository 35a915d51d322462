/**
 * AUTH PLAIN and LOGIN: RFC 4954, RFC 4616, draft-murchison-sasl-login; Momentum 4/inbound-smtp.
 *
 * Offered and taken only where the scope lists the mechanism and has its parameters, and outside TLS only where the
 * scope says Allow_Plaintext_Auth. Policy is asked with the outcome in the context and can refuse a success; it can
 * never turn a failure into one. What the client sent goes to the authenticator and nowhere else: no line of an
 * exchange reaches an event, a log, the context or an error's text, except the user's name.
 */

import type { Reply } from '../mail/status.ts'
import { decodeBase64 } from '../wire/base64.ts'
import { formatReply } from '../wire/reply.ts'
import { configuredMechanism, MECHANISMS } from './capabilities.ts'
import type { Command } from './command.ts'
import { command, notDiscardable, replyOf } from './command.ts'
import type { Answer } from './consult.ts'
import { consult } from './consult.ts'
import { readLine } from './read-line.ts'
import { refuse, tellPanic } from './reject.ts'
import type { AuthMechanism, Credentials } from './services.ts'
import { AuthUnavailableError } from './services.ts'
import type { Session } from './session-state.ts'

interface AuthCommand {
  readonly mechanism: AuthMechanism
  /** undefined when the client waits for a challenge */
  readonly initial: string | undefined
}

export const auth: Command = command<AuthCommand>({
  verb: 'AUTH',
  needsHello: true,
  beforeTls: false,
  parse,
  check(session, { mechanism }) {
    const { options } = session.scope
    if (!MECHANISMS.some((one) => configuredMechanism(session, one)))
      throw refuse(502, '5.5.1 AUTH is not offered', AUTH)
    if (session.tls === undefined && !options.allow_plaintext_auth) {
      throw refuse(538, '5.7.11 Encryption required for requested authentication mechanism', AUTH)
    }
    if (!configuredMechanism(session, mechanism))
      throw refuse(504, '5.5.4 authentication mechanism not offered', AUTH)
    // RFC 4954 §4: once, and not within a transaction; it belongs to EHLO.
    if (
      session.authenticated !== undefined ||
      session.transaction !== undefined ||
      session.hello?.kind !== 'EHLO'
    ) {
      throw refuse(503, '5.5.1 bad sequence of commands', AUTH)
    }
  },
  async proceed(session, { mechanism, initial }) {
    const credentials =
      mechanism === 'PLAIN' ? await exchangePlain(session, initial) : await exchangeLogin(session, initial)
    return judge(session, credentials)
  },
})

const AUTH = { module: 'auth' } as const

function parse(args: string): AuthCommand {
  const [name = '', initial, ...rest] = args.trim().split(/ +/)
  if (name === '' || rest.length > 0) throw refuse(501, '5.5.4 AUTH syntax error', AUTH)
  const mechanism = MECHANISMS.find((one) => one === name.toUpperCase())
  if (mechanism === undefined) throw refuse(504, '5.5.4 authentication mechanism not offered', AUTH)
  return { mechanism, initial }
}

/** RFC 4616 §2: authorization identity NUL authentication identity NUL password. */
async function exchangePlain(session: Session, initial: string | undefined): Promise<Credentials> {
  const message = decode(initial ?? (await challenge(session, '')))
  const [authorize, user, password, ...rest] = message.split('\0')
  if (authorize === undefined || user === undefined || password === undefined || rest.length > 0) {
    throw refuse(501, '5.5.2 malformed authentication message', AUTH)
  }
  // Nobody may act as somebody else here; without a password the attempt fails.
  const other = authorize !== '' && authorize !== user
  return { mechanism: 'PLAIN', user, password: other ? '' : password }
}

async function exchangeLogin(session: Session, initial: string | undefined): Promise<Credentials> {
  const user = decode(initial ?? (await challenge(session, 'Username:')))
  const password = decode(await challenge(session, 'Password:'))
  return { mechanism: 'LOGIN', user, password }
}

/** Sends a challenge and takes the client's answer to it. */
async function challenge(session: Session, prompt: string): Promise<string> {
  session.io.send(formatReply({ code: 334, text: Buffer.from(prompt, 'latin1').toString('base64') }))
  const line = await readLine(session)
  if (line.kind !== 'line') throw refuse(500, '5.5.6 authentication exchange line is too long', AUTH)
  if (line.text === '*') throw refuse(501, '5.7.0 authentication cancelled', AUTH)
  return line.text
}

/** RFC 4954 §4: `=` stands for an empty initial response. */
function decode(text: string): string {
  if (text === '=' || text === '') return ''
  const bytes = decodeBase64(text)
  if (bytes === undefined) throw refuse(501, '5.5.2 invalid base64 data', AUTH)
  return bytes.toString('latin1')
}

async function judge(session: Session, credentials: Credentials): Promise<Reply> {
  const { mechanism, user } = credentials
  const status = await check(session, credentials)
  session.context.set('connection', 'auth_name', mechanism)
  session.context.set('connection', 'auth_user', user)
  session.context.set('connection', 'auth_status', status)
  session.services.events.emit({
    kind: 'authentication',
    at: session.services.clock(),
    connectionId: session.connection.id,
    remote: session.connection.remote,
    listener: session.connection.listen.instance,
    mechanism,
    user,
    status,
  })
  const answer = await ask(session, status)
  if (status === 'error')
    throw refuse(454, '4.7.0 Temporary authentication failure', { ...AUTH, fault: 'us' })
  if (status === 'fail') throw failed(session)
  session.authenticated = { mechanism, user }
  session.grantRelay()
  return replyOf(answer, 235, '2.7.0 Authentication succeeded')
}

async function check(session: Session, credentials: Credentials): Promise<'pass' | 'fail' | 'error'> {
  if (credentials.user === '' || credentials.password === '') return 'fail'
  try {
    return await session.services.authenticate.check(credentials, session.scope)
  } catch (error) {
    // Only messages that were written for it reach the log: an unforeseen one might quote what it choked on.
    const reason = error instanceof AuthUnavailableError ? error.message : 'the authenticator failed'
    tellPanic(session, 'auth', reason)
    return 'error'
  }
}

/** A success that policy refuses is none: nothing later may read `pass`. */
async function ask(session: Session, status: 'pass' | 'fail' | 'error'): Promise<Answer> {
  try {
    const answer = await consult(session, 'auth', { session: session.facts, status })
    notDiscardable(answer)
    return answer
  } catch (error) {
    if (status === 'pass') session.context.set('connection', 'auth_status', 'fail')
    throw error
  }
}

function failed(session: Session): Error {
  session.authFailures += 1
  if (session.authFailures >= session.limits.authFailures) {
    return refuse(421, '4.7.0 too many failed authentication attempts', { ...AUTH, close: true })
  }
  return refuse(535, '5.7.8 Authentication credentials invalid', AUTH)
}
