/**
 * The message that tells somebody what became of another one: that it was not delivered, or is late, or has left (RFC 3461
 * §6, RFC 3462, RFC 3464, RFC 6533; Momentum: config/ref-generate-bounces, ref-mailerdaemon, ref-bounces-inline-original).
 *
 * Pure: a message and its state in, the pieces of its notice out. All of it is 7-bit ASCII with short lines, so that every
 * host takes it; only an original that is sent along whole goes as it is, and a reader whose own address is UTF-8 gets
 * UTF-8. Whether a notice is due: notices/due.ts.
 */

import type { OutboundValues } from '../config/settings.ts'
import { formatPath, isInternational } from '../mail/address.ts'
import { formatDate } from '../mail/date.ts'
import type { Envelope, Mailbox } from '../mail/envelope.ts'
import { HeaderBlock } from '../mail/headers.ts'
import { EMPTY_ID } from '../mail/message-id.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { DOUBLE_BOUNCE } from './notices/double-bounce.ts'
import { type NoticeKind, noticeKeys, OF_NULL } from './notices/due.ts'
import { originalPart } from './notices/original.ts'
import { reportParts } from './notices/report.ts'

export interface BounceOptions extends Pick<OutboundValues, 'bounces_inline_original' | 'mailerdaemon'> {
  readonly hostname: string
  /** who is told */
  readonly to: Mailbox
  /** it tells that the message is late, for so many times; otherwise it tells of its end */
  readonly delayNumber?: number
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

/** @param content undefined when nothing of the original is left */
export function makeBounce(
  message: StoredMessage,
  content: StoredContent | undefined,
  options: BounceOptions,
): Bounce {
  const { to, boundary, hostname, bounces_inline_original } = options
  const kind = options.delayNumber === undefined ? (message.state.success ?? 'failed') : 'delayed'
  const utf8 = isInternational(to)
  const original =
    content === undefined
      ? undefined
      : originalPart(message.envelope, content, { kind, bounces_inline_original, boundary, utf8 })
  const eightBit = utf8 || (original?.eightBit ?? false)
  const isDouble = message.envelope.sender === undefined && kind === 'failed'
  const header = bounceHeader(kind, content, { ...options, isDouble }, eightBit)
  return {
    header,
    async *body() {
      yield Buffer.from(reportParts(message, { kind, hostname, boundary, utf8 }), 'latin1')
      if (original !== undefined) yield* original.bytes()
      yield Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1')
    },
    envelope: (bodySize) => ({
      id: options.id,
      batchId: options.batchId,
      connectionId: EMPTY_ID,
      sender: undefined,
      recipient: to,
      bodyType: eightBit ? '8BITMIME' : '7BIT',
      ...(utf8 ? { smtpUtf8: true } : {}),
      // RFC 3461 §7: nobody is told what becomes of a notice
      dsn: { notify: 'NEVER' },
      receivedAt: options.now,
      size: header.length + bodySize,
      client: NOWHERE,
      local: NOWHERE,
      bindingGroup: 'default',
      binding: 'default',
      connectionContext: {},
      messageContext: contextOf(message, options.delayNumber),
    }),
  }
}

const NOWHERE = { address: '', port: 0 }

function contextOf({ envelope }: StoredMessage, delayNumber: number | undefined): Envelope['messageContext'] {
  if (delayNumber !== undefined) {
    return { [noticeKeys.delayOf]: envelope.id, [noticeKeys.delayNumber]: String(delayNumber) }
  }
  return {
    [noticeKeys.endOf]: envelope.id,
    ...(envelope.sender === undefined ? { [OF_NULL]: 'true' } : {}),
  }
}

const subjects: Readonly<Record<NoticeKind, string>> = {
  failed: 'Undelivered mail returned to sender',
  delayed: 'Delayed mail (still being tried)',
  delivered: 'Successful mail delivery',
  relayed: 'Mail was passed on',
}

// oxlint-disable-next-line max-params -- the notice, and what it is about
function bounceHeader(
  kind: NoticeKind,
  content: StoredContent | undefined,
  options: BounceOptions & { readonly isDouble: boolean },
  eightBit: boolean,
): Buffer {
  const { hostname, mailerdaemon, id, now, boundary, to } = options
  const block = new HeaderBlock('')
  block.append('From', mailerdaemon ?? `Mail Delivery System <mailer-daemon@${hostname}>`)
  block.append('To', formatPath(to))
  block.append('Subject', subjects[kind])
  block.append('Date', formatDate(now))
  block.append('Message-ID', `<${id.replaceAll('/', '.')}@${hostname}>`)
  const about = content === undefined ? undefined : messageIdOf(content)
  if (about !== undefined) {
    block.append('In-Reply-To', about)
    block.append('References', about)
  }
  block.append('Auto-Submitted', 'auto-replied')
  if (options.isDouble) block.append(DOUBLE_BOUNCE, hostname)
  block.append('MIME-Version', '1.0')
  block.append('Content-Type', `multipart/report; report-type=delivery-status;\r\n boundary="${boundary}"`)
  if (eightBit) block.append('Content-Transfer-Encoding', '8bit')
  return block.toBytes()
}

function messageIdOf({ header }: StoredContent): string | undefined {
  const text = Buffer.from(header.buffer, header.byteOffset, header.byteLength).toString('latin1')
  const [id, ...more] = new HeaderBlock(text).values('Message-ID')
  return id !== undefined && more.length === 0 && /^<[!-;=?-~]{1,250}>$/.test(id) ? id : undefined
}
