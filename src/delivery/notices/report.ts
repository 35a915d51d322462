/**
 * The two parts of a notice that say what became of a message: a text for people, and one for programs (RFC 3464, RFC
 * 6533). Nothing that a client or a next hop said can end a field or a part; it is ASCII in short lines, unless its reader
 * has UTF-8.
 */

import { formatMailbox, isInternational } from '../../mail/address.ts'
import { formatDate } from '../../mail/date.ts'
import type { Envelope } from '../../mail/envelope.ts'
import { encodeUtf8Address } from '../../mail/utf8.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import type { NoticeKind } from './due.ts'

export interface ReportOptions {
  readonly kind: NoticeKind
  readonly hostname: string
  readonly boundary: string
  /** whoever reads it has UTF-8 */
  readonly utf8: boolean
}

/** Everything before the original. */
export function reportParts(message: StoredMessage, options: ReportOptions): string {
  const { boundary, utf8 } = options
  return [
    `--${boundary}`,
    `Content-Type: text/plain; charset=${utf8 ? 'utf-8' : 'us-ascii'}`,
    ...(utf8 ? ['Content-Transfer-Encoding: 8bit'] : []),
    'Content-Description: Notification',
    '',
    ...told(message, options),
    '',
    `--${boundary}`,
    `Content-Type: message/${utf8 ? 'global-delivery-status' : 'delivery-status'}`,
    ...(utf8 ? ['Content-Transfer-Encoding: 8bit'] : []),
    'Content-Description: Delivery report',
    '',
    ...statusFields(message, options),
    '',
    '',
  ].join('\r\n')
}

const summaries: Readonly<Record<NoticeKind, string>> = {
  failed: 'Your message could not be delivered to this recipient:',
  delayed: 'Your message has not been delivered to this recipient yet:',
  delivered: 'Your message was delivered to this recipient:',
  relayed: 'Your message was passed on for this recipient, to a host that sends no notices:',
}

const closings: Readonly<Record<NoticeKind, string>> = {
  failed: ' It is not tried again.',
  delayed: ' You need not do anything: it is tried again.',
  delivered: '',
  relayed: '',
}

function told(
  { envelope, state }: StoredMessage,
  { kind, hostname, utf8 }: ReportOptions,
): readonly string[] {
  const { answer, last } = splitAnswer(state.lastText)
  const attempts = state.attempts === 1 ? 'one attempt' : `${state.attempts} attempts`
  const lead =
    kind === 'failed' || kind === 'delayed' ? `After ${attempts} the answer was:` : 'The answer was:'
  return [
    `This is the mail system at ${hostname}.`,
    '',
    summaries[kind],
    '',
    ...fold(addressOf(envelope, utf8)),
    ...(answer === '' ? [] : ['', lead, '', ...fold(answer)]),
    ...(last === undefined ? [] : ['', 'The last answer before that was:', '', ...fold(last)]),
    '',
    `Your message was received on ${formatDate(envelope.receivedAt)}.${closings[kind]}`,
  ]
}

function statusFields(
  { envelope, state }: StoredMessage,
  { kind, hostname, utf8 }: ReportOptions,
): readonly string[] {
  const { answer, last } = splitAnswer(state.lastText)
  const { envid, originalRecipient } = envelope.dsn ?? {}
  const diagnosed = last ?? answer
  return [
    ...(envid === undefined ? [] : [`Original-Envelope-Id: ${ascii(envid)}`]),
    `Reporting-MTA: dns; ${hostname}`,
    `Arrival-Date: ${formatDate(envelope.receivedAt)}`,
    '',
    ...(originalRecipient === undefined ? [] : [`Original-Recipient: ${original(originalRecipient, utf8)}`]),
    `Final-Recipient: ${isInternational(envelope.recipient) ? 'utf-8' : 'rfc822'}; ${addressOf(envelope, utf8)}`,
    `Action: ${kind}`,
    `Status: ${statusOf(answer, kind)}`,
    ...(diagnosed === '' ? [] : [`Diagnostic-Code: ${diagnostic(diagnosed)}`]),
  ]
}

/** What an expired message's last text is made of: our answer, and what the next hop said last. */
function splitAnswer(text: string): { readonly answer: string; readonly last: string | undefined } {
  const plain = ascii(text)
  const at = plain.indexOf(LAST_ANSWER)
  if (at < 0) return { answer: plain, last: undefined }
  return { answer: plain.slice(0, at), last: plain.slice(at + LAST_ANSWER.length) }
}

export const LAST_ANSWER = '; last answer: '

/** RFC 3464 §2.3.4: the class of a status is that of the action, whatever the last answer was. */
function statusOf(answer: string, kind: NoticeKind): string {
  const first = kind === 'failed' ? 5 : kind === 'delayed' ? 4 : 2
  const [, subject, detail] = /^\d{3}[ -][245]\.(\d{1,3})\.(\d{1,3})\b/.exec(answer) ?? []
  return subject === undefined || detail === undefined ? `${first}.0.0` : `${first}.${subject}.${detail}`
}

/** What we said ourselves is no diagnostic of SMTP. */
function diagnostic(answer: string): string {
  return `${answer.includes('[internal]') ? 'X-Postern' : 'smtp'}; ${answer}`
}

function addressOf({ recipient }: Envelope, utf8: boolean): string {
  const text = formatMailbox(recipient)
  return utf8 || !isInternational(recipient) ? text : encodeUtf8Address(text)
}

function original(
  { type, address }: NonNullable<NonNullable<Envelope['dsn']>['originalRecipient']>,
  utf8: boolean,
): string {
  if (type === 'utf-8') return `${type}; ${utf8 ? address : encodeUtf8Address(address)}`
  return `${type}; ${ascii(address)}`
}

/** A text of any length as indented lines. UTF-8 is never cut inside a character: it has no other place to break. */
function fold(text: string): readonly string[] {
  const pieces = /[\x80-\xff]/.test(text) ? [text] : (text.match(/.{1,70}(?:\s+|$)|.{1,70}/g) ?? [])
  return pieces.map((line) => `    ${line.trimEnd()}`)
}

function ascii(text: string): string {
  return text.replace(/[^ -~]/g, '?')
}
