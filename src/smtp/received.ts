/**
 * The Received field of a message: RFC 5321 §4.4, Momentum's layout (executable/ec-show), RFC 3848 and RFC 6531 for `with`.
 *
 * Nothing in it can start a new line or leave its comment: the client's words were checked when they came (EHLO) or are
 * escaped here (the envelope's sender), and what TLS has to say comes sanitised from `tls/statement.ts`.
 */

import { formatPath } from '../mail/address.ts'
import { formatDate } from '../mail/date.ts'
import type { Mailbox } from '../mail/envelope.ts'
import { tlsStatement } from '../tls/statement.ts'
import type { Session, Transaction } from './session-state.ts'

/** The field's value, folded, without its name. */
export function receivedValue(
  session: Session,
  transaction: Transaction,
  sender: Mailbox | undefined,
): string {
  const { id, scope } = transaction
  const { connection, hello, services, tls } = session
  const { address, port } = connection.remote
  const host = (scope.options.received_hostname ?? services.hostname).replace(/[^!-~]/g, '?')
  const v6 = address.includes(':')
  const client = address === '' ? 'localhost' : `[${v6 ? 'IPv6:' : ''}${address}]`
  const socket = address === '' ? 'local socket' : `[${v6 ? `[${address}]` : address}:${port}]`
  return [
    `from ${client} (${socket}${hello === undefined ? '' : ` helo=${hello.domain}`})`,
    `by ${host} (envelope-from ${inComment(formatPath(sender))})`,
    `(postern ${services.version}) with ${protocol(session, transaction)}`,
    ...(tls === undefined ? [] : [tlsStatement(tls, session.partner)]),
    `id ${id}; ${formatDate(services.clock())}`,
  ].join('\r\n\t')
}

/** The field of a message that was made here. */
export function madeHereValue(
  { services }: Session,
  { id, scope }: Pick<Transaction, 'id' | 'scope'>,
  sender: Mailbox | undefined,
): string {
  const host = (scope.options.received_hostname ?? services.hostname).replace(/[^!-~]/g, '?')
  return [
    `by ${host} (envelope-from ${inComment(formatPath(sender))})`,
    `(postern ${services.version}) id ${id}; ${formatDate(services.clock())}`,
  ].join('\r\n\t')
}

/** RFC 3848, and RFC 6531 §4.3. */
function protocol({ hello, tls, authenticated }: Session, { smtpUtf8 }: Transaction): string {
  if (hello?.kind !== 'EHLO' && !smtpUtf8) return 'SMTP'
  const name = smtpUtf8 ? 'UTF8SMTP' : 'ESMTP'
  return `${name}${tls === undefined ? '' : 'S'}${authenticated === undefined ? '' : 'A'}`
}

/** RFC 5322 §3.2.2: what would open or close a comment is quoted. */
function inComment(text: string): string {
  return text.replace(/[()\\]/g, '\\$&')
}
