/** What a notice brings along of the message that it is about: nothing, its header, or all of it. */

import type { OutboundValues } from '../../config/settings.ts'
import type { Envelope } from '../../mail/envelope.ts'
import { encodeQuotedPrintable, isPlainText } from '../../mail/quoted-printable.ts'
import type { StoredContent } from '../../spool/spool.ts'
import type { NoticeKind } from './due.ts'

export interface OriginalPart {
  readonly eightBit: boolean
  bytes(): AsyncIterable<Uint8Array>
}

export interface OriginalOptions {
  readonly kind: NoticeKind
  readonly bounces_inline_original: OutboundValues['bounces_inline_original']
  readonly boundary: string
  /** whoever reads it has UTF-8 */
  readonly utf8: boolean
}

/**
 * Octets of the original's header that are sent along. Each recipient may have a notice of its own, and the sender may be
 * forged: what somebody sends once must not come back to somebody else a thousand times as large.
 */
const MAX_HEADER = 16 * 1024
/** octets of an original that is sent along whole; of a larger one it is the header */
const MAX_WHOLE = 1024 * 1024

export function originalPart(
  envelope: Envelope,
  content: StoredContent,
  options: OriginalOptions,
): OriginalPart | undefined {
  const how = howMuch(envelope, content, options)
  if (how === 'none') return undefined
  return how === 'headers' ? headersPart(content, options) : wholePart(envelope, content, options)
}

/** What the operator allows, and no more than the sender asked for (RFC 3461 §4.3): RET is about failures alone. */
function howMuch(
  { dsn }: Envelope,
  content: StoredContent,
  { kind, bounces_inline_original: most }: OriginalOptions,
): OutboundValues['bounces_inline_original'] {
  if (most !== 'all') return most
  const whole = kind === 'failed' && dsn?.ret !== 'HDRS'
  return whole && content.header.length + content.bodySize <= MAX_WHOLE ? 'all' : 'headers'
}

function headersPart(content: StoredContent, { boundary, utf8 }: OriginalOptions): OriginalPart {
  const text = cutHeader(latin1(content.header))
  const plain = isPlainText(text)
  const encoding = plain ? '7bit' : 'quoted-printable'
  const head = partHead(boundary, utf8 ? 'message/global-headers' : 'text/rfc822-headers', encoding)
  const shown = plain ? text : encodeQuotedPrintable(text, { lineEnds: 'crlf' })
  const part = Buffer.from(head + shown, 'latin1')
  return {
    eightBit: false,
    async *bytes() {
      yield await Promise.resolve(part)
    },
  }
}

function wholePart(
  envelope: Envelope,
  content: StoredContent,
  { boundary }: Pick<OriginalOptions, 'boundary'>,
): OriginalPart {
  const eightBit = envelope.bodyType === '8BITMIME' || /[\x80-\xff]/.test(latin1(content.header))
  const type = envelope.smtpUtf8 === true ? 'message/global' : 'message/rfc822'
  const head = partHead(boundary, type, eightBit ? '8bit' : '7bit')
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

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}
