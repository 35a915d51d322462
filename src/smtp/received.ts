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
import type { ReceivedParts, Session, Transaction } from './session-state.ts'

/** The field's value, folded, without its name. */
export function receivedValue(
  session: Session,
  transaction: Transaction,
  sender: Mailbox | undefined,
): string {
  const parts = partsFor(session, transaction)
  const now = session.services.clock()
  const second = Math.floor(now / 1000)
  if (parts.second !== second) {
    parts.second = second
    parts.date = formatDate(now)
  }
  return `${parts.start}${inComment(formatPath(sender))}${parts.middle}${transaction.id}; ${parts.date}`
}

function partsFor(session: Session, { scope, smtpUtf8 }: Transaction): ReceivedParts {
  const { connection, hello, tls, partner, authenticated } = session
  const last = session.receivedParts
  if (
    last !== undefined &&
    last.madeFrom.connection === connection &&
    last.madeFrom.hello === hello &&
    last.madeFrom.tls === tls &&
    last.madeFrom.partner === partner &&
    last.madeFrom.authenticated === authenticated &&
    last.madeFrom.scope === scope &&
    last.madeFrom.smtpUtf8 === smtpUtf8
  )
    return last
  const madeFrom = { connection, hello, tls, partner, authenticated, scope, smtpUtf8 }
  const { start, middle } = makeParts(session, madeFrom)
  session.receivedParts = { madeFrom, start, middle, date: '', second: Number.NaN }
  return session.receivedParts
}

function makeParts(
  { services }: Session,
  madeFrom: ReceivedParts['madeFrom'],
): { readonly start: string; readonly middle: string } {
  const { connection, hello, tls, partner, scope } = madeFrom
  const { address, port } = connection.remote
  const host = (scope.options.received_hostname ?? services.hostname).replace(/[^!-~]/g, '?')
  const v6 = address.includes(':')
  const client = address === '' ? 'localhost' : `[${v6 ? 'IPv6:' : ''}${address}]`
  const socket = address === '' ? 'local socket' : `[${v6 ? `[${address}]` : address}:${port}]`
  const helo = hello === undefined ? '' : ` helo=${hello.domain}`
  const statement = tls === undefined ? '' : `${FOLD}${tlsStatement(tls, partner)}`
  return {
    start: `from ${client} (${socket}${helo})${FOLD}by ${host} (envelope-from `,
    middle: `)${FOLD}(postern ${services.version}) with ${protocol(madeFrom)}${statement}${FOLD}id `,
  }
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
  ].join(FOLD)
}

const FOLD = '\r\n\t'

/** RFC 3848, and RFC 6531 §4.3. */
function protocol({ hello, tls, authenticated, smtpUtf8 }: ReceivedParts['madeFrom']): string {
  if (hello?.kind !== 'EHLO' && !smtpUtf8) return 'SMTP'
  const name = smtpUtf8 ? 'UTF8SMTP' : 'ESMTP'
  return `${name}${tls === undefined ? '' : 'S'}${authenticated === undefined ? '' : 'A'}`
}

/** RFC 5322 §3.2.2: what would open or close a comment is quoted. */
function inComment(text: string): string {
  return text.replace(/[()\\]/g, '\\$&')
}
