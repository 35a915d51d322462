/**
 * What a report of another mail system says became of a message of ours (RFC 3462, RFC 3464, RFC 6533). Whatever is in it
 * is a claim of whoever sent it. Bounded: the first hundred recipients count.
 */

import { parseMailbox } from './address.ts'
import type { Mailbox } from './envelope.ts'
import { HeaderBlock } from './headers.ts'
import { parseMime, parseParameters, walkMime } from './mime.ts'
import { decodeQuotedPrintable } from './quoted-printable.ts'
import { decodeUtf8Address } from './utf8.ts'

export interface ReportedRecipient {
  /** the addresses that are named, that of our own envelope first where it is known */
  readonly addresses: readonly Mailbox[]
  /** lower case: `failed`, `delayed`, `delivered`, `relayed`, `expanded`, or what else stands there */
  readonly action: string
  /** `5.1.1`; '' when there is none */
  readonly status: string
  /** the answer that is reported, on one line, without its type; '' when there is none */
  readonly diagnostic: string
}

const MAX_RECIPIENTS = 100
const MAX_TEXT = 1000

/** Whether a header announces a report: worth looking into the body for. */
export function announcesReport(headers: HeaderBlock): boolean {
  const { value, parameters } = parseParameters(headers.values('content-type')[0] ?? '')
  return value === 'multipart/report' && parameters.get('report-type')?.toLowerCase() === 'delivery-status'
}

/** The recipients of a report; undefined when the message is none. */
export function readDeliveryReport(
  headers: HeaderBlock,
  body: string,
): readonly ReportedRecipient[] | undefined {
  if (!announcesReport(headers)) return undefined
  const part = [...walkMime(parseMime(headers, body))].find(({ type }) => STATUS_TYPES.has(type))
  if (part === undefined) return undefined
  const text = decoded(body.slice(part.start, part.end), part.encoding)
  // the first group is about the message, the others are about one recipient each
  const [, ...groups] = text.replace(/^(?:[ \t]*\r?\n)+/, '').split(/\r?\n(?:[ \t]*\r?\n)+/)
  const recipients = groups
    .slice(0, MAX_RECIPIENTS)
    .map((group) => readGroup(new HeaderBlock(`${group}\r\n`)))
    .filter(({ action }) => action !== '')
  return recipients.length === 0 ? undefined : recipients
}

const STATUS_TYPES: ReadonlySet<string> = new Set([
  'message/delivery-status',
  'message/global-delivery-status',
])

function readGroup(fields: HeaderBlock): ReportedRecipient {
  const value = (name: string): string => fields.values(name)[0] ?? ''
  const named = ['Original-Recipient', 'Final-Recipient'].map((name) => readAddress(value(name)))
  return {
    addresses: named.filter((mailbox) => mailbox !== undefined),
    action: /^[a-z-]{1,40}/.exec(value('Action').trim().toLowerCase())?.[0] ?? '',
    status: /^[245]\.\d{1,3}\.\d{1,3}/.exec(value('Status').trim())?.[0] ?? '',
    diagnostic: onOneLine(value('Diagnostic-Code').replace(/^[^;]{0,64};/, '')),
  }
}

/** `rfc822; user@example.com`; a type that is no mail address has none. */
function readAddress(field: string): Mailbox | undefined {
  const [, type = '', written = ''] = /^[ \t]*([A-Za-z0-9-]+)[ \t]*;[ \t]*([^]*?)[ \t]*$/.exec(field) ?? []
  const text = written.startsWith('<') && written.endsWith('>') ? written.slice(1, -1) : written
  if (type.toLowerCase() === 'rfc822') return parseMailbox(text)
  if (type.toLowerCase() !== 'utf-8') return undefined
  const address = decodeUtf8Address(text)
  return address === undefined ? undefined : parseMailbox(address, { utf8: true })
}

function decoded(text: string, encoding: string): string {
  if (encoding === 'quoted-printable') return decodeQuotedPrintable(text) ?? text
  return encoding === 'base64' ? Buffer.from(text, 'base64').toString('latin1') : text
}

function onOneLine(text: string): string {
  return text
    .replace(/[^ -~\x80-\xff]+/g, ' ')
    .trim()
    .slice(0, MAX_TEXT)
}
