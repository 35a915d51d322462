/**
 * The message that tells a sender that his own was not delivered: a multipart/report (RFC 3461 §6, RFC 3462, RFC 3464;
 * Momentum: config/ref-generate-bounces, ref-mailerdaemon, ref-bounces-inline-original).
 *
 * Pure: a failed message in, the pieces of its bounce out. All of it is 7-bit ASCII with short lines, so that every host
 * takes it; only an original that is sent along whole goes as it is. Nothing that a client or a next hop said can end a
 * field or a part.
 */

import type { OutboundValues } from '../config/settings.ts'
import { formatMailbox, formatPath } from '../mail/address.ts'
import { formatDate } from '../mail/date.ts'
import type { Envelope, Mailbox } from '../mail/envelope.ts'
import { HeaderBlock } from '../mail/headers.ts'
import { EMPTY_ID } from '../mail/message-id.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { isPlain, quotedPrintable } from './quoted-printable.ts'

export interface BounceOptions extends Pick<OutboundValues, 'bounces_inline_original' | 'mailerdaemon'> {
  readonly hostname: string
  /** of the bounce */
  readonly id: string
  readonly batchId: string
  /** milliseconds since the epoch */
  readonly now: number
  /** a text that nobody can guess */
  readonly boundary: string
}

export interface Bounce {
  /** ends with the empty line */
  readonly header: Buffer
  body(): AsyncIterable<Uint8Array>
  /** @param bodySize octets that `body` has given */
  envelope(bodySize: number): Envelope
}

/** key of the message context in which a bounce says which message it is about */
const BOUNCE_OF = 'bounce_of'
/** octets of the original's header that are sent along */
const MAX_HEADER = 64 * 1024

/**
 * @param content undefined when nothing of the original is left
 * @throws TypeError for a message from the null sender: nobody may be told
 */
export function makeBounce(
  failed: StoredMessage,
  content: StoredContent | undefined,
  options: BounceOptions,
): Bounce {
  const { sender } = failed.envelope
  if (sender === undefined) throw new TypeError('a message from the null sender has nobody to be returned to')
  const original = content === undefined ? undefined : originalPart(failed.envelope, content, options)
  const eightBit = original?.eightBit ?? false
  const header = bounceHeader(sender, content, options, eightBit)
  return {
    header,
    async *body() {
      yield Buffer.from(opening(failed, options), 'latin1')
      if (original !== undefined) yield* original.bytes()
      yield Buffer.from(`\r\n--${options.boundary}--\r\n`, 'latin1')
    },
    envelope: (bodySize) => ({
      id: options.id,
      batchId: options.batchId,
      connectionId: EMPTY_ID,
      sender: undefined,
      recipient: sender,
      bodyType: eightBit ? '8BITMIME' : '7BIT',
      receivedAt: options.now,
      size: header.length + bodySize,
      client: NOWHERE,
      local: NOWHERE,
      bindingGroup: 'default',
      binding: 'default',
      connectionContext: {},
      messageContext: { [BOUNCE_OF]: failed.envelope.id },
    }),
  }
}

/** The id of the message that a bounce of ours is about; undefined for every other message. */
export function bouncedId(envelope: Envelope): string | undefined {
  const isOurs = envelope.sender === undefined && envelope.connectionId === EMPTY_ID
  return isOurs ? envelope.messageContext[BOUNCE_OF] : undefined
}

const NOWHERE = { address: '', port: 0 }

function bounceHeader(
  sender: Mailbox,
  content: StoredContent | undefined,
  options: BounceOptions,
  eightBit: boolean,
): Buffer {
  const { hostname, mailerdaemon, id, now, boundary } = options
  const block = new HeaderBlock('')
  block.append('From', mailerdaemon ?? `Mail Delivery System <mailer-daemon@${hostname}>`)
  block.append('To', formatPath(sender))
  block.append('Subject', 'Undelivered mail returned to sender')
  block.append('Date', formatDate(now))
  block.append('Message-ID', `<${id.replaceAll('/', '.')}@${hostname}>`)
  const about = content === undefined ? undefined : messageIdOf(content)
  if (about !== undefined) {
    block.append('In-Reply-To', about)
    block.append('References', about)
  }
  block.append('Auto-Submitted', 'auto-replied')
  block.append('MIME-Version', '1.0')
  block.append('Content-Type', `multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"`)
  if (eightBit) block.append('Content-Transfer-Encoding', '8bit')
  return block.toBytes()
}

function messageIdOf({ header }: StoredContent): string | undefined {
  const [id, ...more] = new HeaderBlock(latin1(header)).values('Message-ID')
  return id !== undefined && more.length === 0 && /^<[!-;=?-~]{1,250}>$/.test(id) ? id : undefined
}

/** Everything before the original: a text for people, and one for programs. */
function opening({ envelope, state }: StoredMessage, { hostname, boundary }: BounceOptions): string {
  const recipient = formatMailbox(envelope.recipient)
  const received = formatDate(envelope.receivedAt)
  const { answer, last } = splitAnswer(state.lastText)
  const attempts = state.attempts === 1 ? 'one attempt' : `${state.attempts} attempts`
  const told = [
    `This is the mail system at ${hostname}.`,
    '',
    'Your message could not be delivered to this recipient:',
    '',
    ...fold(recipient),
    '',
    `After ${attempts} the answer was:`,
    '',
    ...fold(answer),
    ...(last === undefined ? [] : ['', 'The last answer before that was:', '', ...fold(last)]),
    '',
    `Your message was received on ${received}. It is not tried again.`,
  ]
  const status = [
    `Reporting-MTA: dns; ${hostname}`,
    `Arrival-Date: ${received}`,
    '',
    `Final-Recipient: rfc822; ${recipient}`,
    'Action: failed',
    `Status: ${statusOf(answer)}`,
    `Diagnostic-Code: ${diagnostic(last ?? answer)}`,
  ]
  return [
    `--${boundary}`,
    'Content-Type: text/plain; charset=us-ascii',
    'Content-Description: Notification',
    '',
    ...told,
    '',
    `--${boundary}`,
    'Content-Type: message/delivery-status',
    'Content-Description: Delivery report',
    '',
    ...status,
    '',
    '',
  ].join('\r\n')
}

/** What an expired message's last text is made of: our answer, and what the next hop said last. */
function splitAnswer(text: string): { readonly answer: string; readonly last: string | undefined } {
  const plain = ascii(text)
  const at = plain.indexOf(LAST_ANSWER)
  if (at < 0) return { answer: plain, last: undefined }
  return { answer: plain.slice(0, at), last: plain.slice(at + LAST_ANSWER.length) }
}

export const LAST_ANSWER = '; last answer: '

/** RFC 3464 §2.3.4: a status of a failure begins with 5, whatever the last answer was. */
function statusOf(answer: string): string {
  const [, subject, detail] = /^\d{3}[ -][245]\.(\d{1,3})\.(\d{1,3})\b/.exec(answer) ?? []
  return subject === undefined || detail === undefined ? '5.0.0' : `5.${subject}.${detail}`
}

/** What we said ourselves is no diagnostic of SMTP. */
function diagnostic(answer: string): string {
  const kind = answer.includes('[internal]') ? 'X-Postern' : 'smtp'
  return `${kind}; ${answer}`
}

interface OriginalPart {
  readonly eightBit: boolean
  bytes(): AsyncIterable<Uint8Array>
}

function originalPart(
  envelope: Envelope,
  content: StoredContent,
  { bounces_inline_original: how, boundary }: BounceOptions,
): OriginalPart | undefined {
  if (how === 'none') return undefined
  return how === 'headers' ? headersPart(content, boundary) : wholePart(envelope, content, boundary)
}

function headersPart(content: StoredContent, boundary: string): OriginalPart {
  const text = cutHeader(latin1(content.header))
  const plain = isPlain(text)
  const head = partHead(boundary, 'text/rfc822-headers', plain ? '7bit' : 'quoted-printable')
  const part = Buffer.from(`${head}${plain ? text : quotedPrintable(text)}`, 'latin1')
  return {
    eightBit: false,
    async *bytes() {
      yield await Promise.resolve(part)
    },
  }
}

function wholePart(envelope: Envelope, content: StoredContent, boundary: string): OriginalPart {
  const eightBit = envelope.bodyType === '8BITMIME' || /[\x80-\xff]/.test(latin1(content.header))
  const head = partHead(boundary, 'message/rfc822', eightBit ? '8bit' : '7bit')
  return {
    eightBit,
    async *bytes() {
      yield Buffer.from(head, 'latin1')
      yield content.header
      yield* content.body()
    },
  }
}

function partHead(boundary: string, type: string, encoding: string): string {
  return [
    `--${boundary}`,
    `Content-Type: ${type}`,
    'Content-Description: Undelivered message',
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    '',
  ].join('\r\n')
}

/** The fields without the empty line; a very long header ends at a whole line. */
function cutHeader(header: string): string {
  const fields = header.replace(/\r\n\r\n$/, '\r\n')
  if (fields.length <= MAX_HEADER) return fields
  return fields.slice(0, fields.lastIndexOf('\n', MAX_HEADER - 1) + 1)
}

/** A text of any length as indented lines. */
function fold(text: string): readonly string[] {
  return (text.match(/.{1,70}(?:\s+|$)|.{1,70}/g) ?? []).map((line) => `    ${line.trimEnd()}`)
}

function ascii(text: string): string {
  return text.replace(/[^ -~]/g, '?')
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
