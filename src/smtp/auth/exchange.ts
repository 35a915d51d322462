/**
 * The exchange of an AUTH command: challenges and answers in base64, one line each (RFC 4954 §4), until the mechanism
 * comes to an outcome. No line of it reaches an event, a log, the context or an error's text.
 */

import type { LoginAttempt, LoginResponse, SessionFacts } from '../../policy/phases.ts'
import { decodeBase64 } from '../../wire/base64.ts'
import { formatReply } from '../../wire/reply.ts'
import { readLine } from '../read-line.ts'
import { Refusal, refuse, tellPanic } from '../reject.ts'
import type { Session } from '../session-state.ts'
import { addressKey } from './failures.ts'
import type { Grounds, Mechanism, MechanismRow, Outcome, Step } from './mechanism.ts'
import { MalformedResponse } from './mechanism.ts'
import { AuthBusyError, AuthUnavailableError, type CredentialStore, EMPTY_STORE } from './store.ts'
import { schemeOf } from './stores.ts'
import { isTurnedAway } from './turned-away.ts'

export const AUTH = { module: 'auth' } as const

/** The end of an exchange; `error`: nobody could tell. */
export interface Result {
  readonly status: 'pass' | 'fail' | 'error'
  readonly user: string
  /** of `ac_auth://`: what its script wants a failure to be answered with */
  readonly login?: LoginAttempt
}

/** @param initial as the client wrote it. @throws Refusal for what is no attempt: 500, 501 */
export async function exchange(
  session: Session,
  row: MechanismRow,
  initial: string | undefined,
): Promise<Result> {
  if (initial !== undefined && !row.clientFirst) {
    throw refuse(501, '5.5.4 this mechanism takes no initial response', AUTH)
  }
  // RFC 4954 §4: `=` stands for an empty initial response.
  const first = initial === undefined ? undefined : decode(initial === '=' ? '' : initial)
  const response = { text: '' }
  try {
    const end = await converse(session, row.begin(groundsOf(session, row, response)), first)
    const scripted = schemeOf(session.scope.options[row.option]?.['uri'] ?? '') === 'ac_auth'
    // what the password was is nobody's business any more
    return scripted ? { ...end, login: { user: end.user, password: '', response } } : end
  } catch (error) {
    if (error instanceof MalformedResponse) throw refuse(501, '5.5.2 malformed authentication message', AUTH)
    if (error instanceof AuthBusyError) return { status: 'error', user: '' }
    if (!(error instanceof AuthUnavailableError)) throw error
    tellPanic(session, 'auth', error.message)
    return { status: 'error', user: '' }
  }
}

async function converse(
  session: Session,
  mechanism: Mechanism,
  initial: string | undefined,
): Promise<Outcome> {
  let step = await guarded(() => mechanism.start(initial))
  while (step.kind === 'challenge') {
    const response = decode(await ask(session, step.data))
    step = await guarded(() => mechanism.next(response))
    // a further challenge would tell that the answer was right (rspauth), and not wait for the outcome to be refused
    if (step.kind === 'challenge' && isTurnedAway(session)) {
      return { kind: 'outcome', status: 'fail', user: '' }
    }
  }
  if (step.alarm !== undefined) tellPanic(session, 'auth', step.alarm)
  return step
}

/** Only messages that were written for it reach the log: an unforeseen one might quote what it choked on. */
async function guarded(work: () => Step | Promise<Step>): Promise<Step> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof MalformedResponse || error instanceof AuthUnavailableError) throw error
    throw new AuthUnavailableError('the authenticator failed')
  }
}

/** Sends a challenge and takes the client's answer to it. */
async function ask(session: Session, data: string): Promise<string> {
  session.io.send(formatReply({ code: 334, text: Buffer.from(data, 'latin1').toString('base64') }))
  const line = await readLine(session)
  if (line.kind !== 'line')
    throw refuse(500, '5.5.6 authentication exchange line is too long', {
      ...AUTH,
      close: line.chunkFollows === true,
    })
  if (line.text === '*') throw refuse(501, '5.7.0 authentication cancelled', AUTH)
  return line.text
}

/** A client that fell silent in its exchange (readLine's 421 4.4.2): acctlog tells it. */
export function fellSilent(error: unknown): boolean {
  return error instanceof Refusal && error.reply.code === 421 && error.reply.text.startsWith('4.4.2')
}

function decode(text: string): string {
  const bytes = decodeBase64(text)
  if (bytes === undefined) throw refuse(501, '5.5.2 invalid base64 data', AUTH)
  return bytes.toString('latin1')
}

function groundsOf(session: Session, row: MechanismRow, response: LoginResponse): Grounds {
  const { scope, services, connection, peer } = session
  const parameters = scope.options[row.option] ?? {}
  const { uri } = parameters
  return {
    store: withSession(storeFor(session, row, uri), session.facts, response),
    identities: async () => (uri === undefined ? undefined : services.auth.stores.identities(uri)),
    parameters,
    hostname: services.hostname,
    peer,
    client: addressKey(connection.remote.address),
  }
}

/** The same store, told whose session asks. */
function withSession(
  store: CredentialStore,
  session: SessionFacts,
  response: LoginResponse,
): CredentialStore {
  return {
    verify: (attempt) => store.verify({ ...attempt, session, response }),
    password: (user, client) => store.password(user, client),
    digest: (user, realm, client) => store.digest(user, realm, client),
  }
}

/** @throws AuthUnavailableError */
function storeFor({ scope, services }: Session, row: MechanismRow, uri: string | undefined): CredentialStore {
  if (row.needsCertificate || scope.options.always_deny) return EMPTY_STORE
  if (uri === undefined) throw new AuthUnavailableError(`AUTH ${row.name} has no uri`)
  return services.auth.stores.open(uri, scope.options[row.option])
}
