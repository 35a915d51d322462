/**
 * AUTH as a client (RFC 4954, RFC 4616; Momentum: modules/outbound-smtp-auth): PLAIN, LOGIN and XOAUTH2.
 *
 * A password goes out only inside TLS, unless the configuration says otherwise in so many words. Whatever goes wrong is
 * transient: a wrong password is the operator's mistake, and no sender's. Nothing that was sent here is ever repeated in
 * an error, not even when the host repeats it.
 */

import type { OutboundValues } from '../../config/settings.ts'
import type { OutboundAuthType } from '../../config/settings-session.ts'
import type { Reply } from '../../mail/status.ts'
import { AttemptEnd, type Extensions, replyText, type SmtpClient } from '../smtp-client.ts'
import { stages } from '../transport.ts'
import type { HostVerdict } from './host-verdict.ts'

export interface Login {
  readonly type: OutboundAuthType
  readonly user: string
  readonly password: string
  readonly inClear: boolean
}

const TYPES: readonly string[] = ['PLAIN', 'LOGIN', 'XOAUTH2'] satisfies readonly OutboundAuthType[]

/**
 * What the options say, or the message's own context in their place, key by key.
 * @returns undefined where nothing is to be done, a text where it cannot be done
 */
export function loginOf(
  options: Pick<
    OutboundValues,
    | 'outbound_smtp_auth_type'
    | 'outbound_smtp_auth_user'
    | 'outbound_smtp_auth_pass'
    | 'outbound_smtp_auth_plaintext'
  >,
  context: Readonly<Record<string, string>>,
): Login | string | undefined {
  const own = (key: string): string | undefined => (Object.hasOwn(context, key) ? context[key] : undefined)
  const type = own('outbound_smtp_auth_type')?.toUpperCase() ?? options.outbound_smtp_auth_type
  const user = own('outbound_smtp_auth_user') ?? bytes(options.outbound_smtp_auth_user)
  const password = own('outbound_smtp_auth_pass') ?? bytes(options.outbound_smtp_auth_pass)
  if (type === undefined || type === '') return undefined
  if (!isType(type) || user === undefined || password === undefined)
    return `${FAILED}: it lacks a type, user or password`
  // they would end a field of PLAIN or of XOAUTH2
  if (CONTROL.some((octet) => `${user}${password}`.includes(octet)))
    return `${FAILED}: user or password hold control characters`
  return { type, user, password, inClear: options.outbound_smtp_auth_plaintext }
}

/** @throws AttemptEnd, or an abort signal's reason */
export async function logIn(
  client: Pick<SmtpClient, 'ask'>,
  login: Login,
  { extensions, peer }: { readonly extensions: Extensions; readonly peer: HostVerdict },
): Promise<void> {
  const { type } = login
  if (peer.kind === 'plaintext' && !login.inClear) throw end(`${FAILED}: the connection is not encrypted`)
  const offered = (extensions.get('AUTH') ?? '').toUpperCase().split(/[ \t]+/)
  if (!offered.includes(type)) throw end(`${FAILED}: the host does not offer AUTH ${type}`)
  const reply = await converse(client, login)
  if (reply.code === 235) return
  throw end(`${FAILED}: ${withoutSecrets(replyText(reply), login)}`)
}

async function converse(client: Pick<SmtpClient, 'ask'>, { type, user, password }: Login): Promise<Reply> {
  if (type === 'PLAIN') return await client.ask(`AUTH PLAIN ${plainText(user, password)}`)
  if (type === 'XOAUTH2') {
    const reply = await client.ask(`AUTH XOAUTH2 ${bearerText(user, password)}`)
    // the error is told in a challenge, and wants an empty answer
    return reply.code === 334 ? await client.ask('') : reply
  }
  const forUser = await client.ask('AUTH LOGIN')
  if (forUser.code !== 334) return forUser
  const forPassword = await client.ask(base64(user))
  return forPassword.code === 334 ? await client.ask(base64(password)) : forPassword
}

function isType(text: string): text is OutboundAuthType {
  return TYPES.includes(text)
}

const CONTROL = ['\0', '\x01', '\r', '\n']

/** Unicode in the configuration goes out as UTF-8; the context holds byte strings already. */
function bytes(text: string | undefined): string | undefined {
  return text === undefined ? undefined : Buffer.from(text, 'utf8').toString('latin1')
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64')
}

function plainText(user: string, password: string): string {
  return base64(`\0${user}\0${password}`)
}

function bearerText(user: string, token: string): string {
  return base64(`user=${user}\x01auth=Bearer ${token}\x01\x01`)
}

function withoutSecrets(text: string, { type, user, password }: Login): string {
  const secrets = [password, base64(password), plainText(user, password), bearerText(user, password)]
  return secrets.some((secret) => text.includes(secret))
    ? `${text.slice(0, 3)} (its text repeats the password)`
    : `${text} (${type})`
}

function end(text: string): AttemptEnd {
  return new AttemptEnd('transient', stages.afterEhlo, text)
}

const FAILED = '454 4.7.0 [internal] Authentication with the remote host failed'
