/**
 * Messages that a script sends (momentum: lua/ref-msg-inject, lua/ref-msg-forward). Each waits until the new message is
 * on stable storage; what goes wrong is an error of the script.
 */

import { randomBytes } from 'node:crypto'
import { formatMailbox } from '../../mail/address.ts'
import type { Mailbox } from '../../mail/envelope.ts'
import { HeaderBlock } from '../../mail/headers.ts'
import type { MessageFacts, NewMail } from '../phases.ts'
import type { Callout, MethodTable, ObjectHost } from './callout.ts'
import { readMailbox } from './mailbox.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { encodeTransfer, fitting, isAscii } from './text-parts.ts'

const maxRecipients = 100

/** Makes the message of the one that the script has, whose body is given. */
type Maker = (headers: HeaderBlock, body: string) => NewMail

export function sendingMethods(host: ObjectHost): MethodTable {
  const { state } = host
  return {
    /** msg:inject(from, to): the message as it stands */
    inject: (L, callout) => {
      const sender = readMailbox(state.checkString(L, 2))
      const recipients = readRecipients(state.checkString(L, 3))
      return send(host, L, callout, {
        name: 'msg:inject',
        make: (headers, body) => ({ sender, recipients, headers, body }),
      })
    },
    /** msg:forward(sender, to, text[, subject[, charset]]): a new message that holds this one */
    forward: (L, callout) => send(host, L, callout, { name: 'msg:forward', make: readForward(state, L) }),
  }
}

function send(
  { state, waits }: ObjectHost,
  L: number,
  { message }: Callout,
  { name, make }: { readonly name: string; readonly make: Maker },
): number {
  const { content, headers, send: take } = message
  if (content === undefined || headers === undefined || take === undefined)
    throw new ScriptError(`${name} works from validate_data on`)
  return waits.begin(L, name, async () => {
    await content.fetch()
    await take(make(headers, bodyOf(message)))
    return (thread) => {
      state.lua.lua_pushboolean(thread, 1)
      return 1
    }
  })
}

function bodyOf({ content }: MessageFacts): string {
  if (content?.body === undefined) throw new Error('the body is not there')
  return content.body
}

/** Addresses between commas. */
function readRecipients(text: string): Mailbox[] {
  const recipients = text.split(',', maxRecipients + 1).map((each) => readMailbox(each.trim()))
  if (recipients.length > maxRecipients) throw new ScriptError(`at most ${maxRecipients} recipients`)
  return recipients.map((recipient) => {
    if (recipient === undefined) throw new ScriptError('a recipient cannot be empty')
    return recipient
  })
}

function readForward(state: LuaState, L: number): Maker {
  const optional = (index: number): string | undefined =>
    state.lua.lua_type(L, index) <= TYPE.nil ? undefined : state.checkString(L, index)
  const sender = readMailbox(state.checkString(L, 2))
  const recipients = readRecipients(state.checkString(L, 3))
  const text = state.checkString(L, 4)
  const subject = optional(5)
  const charset = optional(6)
  if (sender === undefined) throw new ScriptError('msg:forward: the sender cannot be empty')
  if (charset === undefined && !isAscii(text))
    throw new ScriptError('msg:forward: a text beyond ASCII needs its charset')
  if (charset !== undefined && !/^[A-Za-z0-9_.:-]{1,40}$/.test(charset))
    throw new ScriptError('msg:forward: not a charset')
  const note = { text, charset: charset ?? 'us-ascii' }
  return (original, body) => {
    const headers = new HeaderBlock('')
    headers.append('From', formatMailbox(sender))
    headers.append('To', recipients.map(formatMailbox).join(',\r\n '))
    headers.append('Subject', subject ?? `Fwd: ${original.values('subject')[0] ?? ''}`)
    headers.append('Auto-Submitted', 'auto-generated')
    headers.append('MIME-Version', '1.0')
    const boundary = `=_${randomBytes(18).toString('base64url')}`
    headers.append('Content-Type', `multipart/mixed; boundary="${boundary}"`)
    const whole = original.toBytes().toString('latin1') + body
    if (!isAscii(whole)) headers.append('Content-Transfer-Encoding', '8bit')
    return { sender, recipients, headers, body: mixed(boundary, note, whole) }
  }
}

/** RFC 2046 §5.2.1: a message/rfc822 part is never encoded. */
function mixed(
  boundary: string,
  { text, charset }: { readonly text: string; readonly charset: string },
  original: string,
): string {
  const note = text.replaceAll(/\r\n?|\n/g, '\r\n')
  const encoding = fitting(note)
  return [
    `--${boundary}`,
    `Content-Type: text/plain; charset=${charset}`,
    `Content-Transfer-Encoding: ${encoding}`,
    '',
    encodeTransfer(note, encoding),
    `--${boundary}`,
    'Content-Type: message/rfc822',
    `Content-Transfer-Encoding: ${isAscii(original) ? '7bit' : '8bit'}`,
    'Content-Disposition: attachment',
    '',
    original,
    `--${boundary}--`,
    '',
  ].join('\r\n')
}
