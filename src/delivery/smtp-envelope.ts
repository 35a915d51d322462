/**
 * What MAIL and RCPT say for a message, as far as the host offers it: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC
 * 6531), RET, ENVID, NOTIFY and ORCPT (RFC 3461). What a host does not offer is not said to it.
 */

import { formatPath, isInternational } from '../mail/address.ts'
import type { Envelope, Mailbox } from '../mail/envelope.ts'
import { formatMailDsn, formatRcptDsn } from '../wire/dsn.ts'
import type { Extensions } from './smtp-client.ts'
import { type AttemptResult, stages } from './transport.ts'

export type Failure = Pick<AttemptResult, 'kind' | 'stage' | 'text'>

export interface MailParameters {
  readonly extensions: Extensions
  /** octets of the message */
  readonly size: number
  /** BODY=8BITMIME is to be said */
  readonly eightBit: boolean
  /** SMTPUTF8 is to be said */
  readonly utf8: boolean
}

/** The command, or why the host cannot take the message. */
export function mailCommand(
  { sender, dsn }: Pick<Envelope, 'sender' | 'dsn'>,
  { extensions, size, eightBit, utf8 }: MailParameters,
): string | Failure {
  const address = path(sender, utf8)
  if (address === undefined) return needsSmtpUtf8
  const limit = extensions.get('SIZE')
  // RFC 1870 §4: 0 or nothing is no limit
  if (limit !== undefined && /^[1-9]\d*$/.test(limit) && size > Number(limit)) return tooLarge(size, limit)
  const parameters = [
    limit === undefined ? '' : ` SIZE=${size}`,
    eightBit ? ' BODY=8BITMIME' : '',
    utf8 ? ' SMTPUTF8' : '',
    extensions.has('DSN') && dsn !== undefined ? formatMailDsn(dsn) : '',
  ]
  return `MAIL FROM:${address}${parameters.join('')}`
}

/** The command, or why the host cannot be told of this recipient. */
export function rcptCommand(
  { recipient, dsn }: Pick<Envelope, 'recipient' | 'dsn'>,
  { extensions, utf8 }: Pick<MailParameters, 'extensions' | 'utf8'>,
): string | Failure {
  const address = path(recipient, utf8)
  if (address === undefined) return needsSmtpUtf8
  return `RCPT TO:${address}${extensions.has('DSN') && dsn !== undefined ? formatRcptDsn(dsn) : ''}`
}

/** undefined: it cannot be said in a command */
function path(mailbox: Mailbox | undefined, utf8: boolean): string | undefined {
  if (mailbox !== undefined && isInternational(mailbox) && !utf8) return undefined
  const text = formatPath(mailbox)
  return /^<[ -~\x80-\xff]*>$/.test(text) ? text : undefined
}

export function unsuitable(text: string): Failure {
  return { kind: 'permanent', stage: stages.afterEhlo, text }
}

function tooLarge(size: number, limit: string): Failure {
  return unsuitable(
    `552 5.3.4 [internal] Message of ${size} octets is larger than the remote host takes (${limit})`,
  )
}

export const needsSmtpUtf8 = unsuitable(
  '553 5.6.7 [internal] The address cannot be sent without SMTPUTF8, which the remote host does not offer',
)
