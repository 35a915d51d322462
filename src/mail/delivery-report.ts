/**
 * What a report of another mail system says became of a message of ours (RFC 3462, RFC 3464, RFC 6533). Whatever is in it
 * is a claim of whoever sent it. Bounded: the first hundred recipients count, as far as they stand in the first octets of
 * the body, where the message itself has not begun; and what is in there is looked at once.
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

/** octets of a body that are looked at */
const MAX_BODY = 256 * 1024
const MAX_RECIPIENTS = 100
/** octets of a field: a diagnostic may be long, an address is not */
const MAX_FIELD = 4096
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
  const start = body.slice(0, MAX_BODY)
  const part = [...walkMime(parseMime(headers, start))].find(({ type }) => STATUS_TYPES.has(type))
  if (part === undefined) return undefined
  // the first group is about the message, the others are about one recipient each
  const [, ...groups] = groupsOf(decoded(start.slice(part.start, part.end), part.encoding))
  const recipients = groups
    .map((group) => readGroup(new HeaderBlock(group)))
    .filter(({ action }) => action !== '')
  return recipients.length === 0 ? undefined : recipients
}

const STATUS_TYPES: ReadonlySet<string> = new Set([
  'message/delivery-status',
  'message/global-delivery-status',
])

/** Groups of lines with empty ones between them, as many as count. */
function groupsOf(text: string): string[] {
  const groups: string[] = []
  let isOpen = false
  for (const [line] of text.matchAll(/[^\n]*\n|[^\n]+$/g)) {
    const isEmpty = !/[^ \t\r\n]/.test(line)
    if (!isEmpty && isOpen) groups[groups.length - 1] += line
    else if (!isEmpty) {
      if (groups.length > MAX_RECIPIENTS) break
      groups.push(line)
    }
    isOpen = !isEmpty
  }
  return groups
}

function readGroup(fields: HeaderBlock): ReportedRecipient {
  const value = (name: string): string => (fields.values(name)[0] ?? '').slice(0, MAX_FIELD)
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
  // what stands behind it is no blank any more: a header's value has none at its end
  const [, type = '', written = ''] = /^([A-Za-z0-9-]+)[ \t]*;[ \t]*([^]*)$/.exec(field) ?? []
  const text = written.startsWith('<') && written.endsWith('>') ? written.slice(1, -1) : written
  if (type.toLowerCase() === 'rfc822') return parseMailbox(text)
  if (type.toLowerCase() !== 'utf-8') return undefined
  // RFC 6533 §3: as it is, where signs may stand that the other two forms write as numbers
  return parseMailbox(decodeUtf8Address(text) ?? text, { utf8: true })
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
