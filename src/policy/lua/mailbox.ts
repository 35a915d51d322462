/** Mail addresses that scripts write. */

import { parseMailbox } from '../../mail/address.ts'
import type { Mailbox } from '../../mail/envelope.ts'
import { ScriptError } from './state.ts'

/**
 * An address with or without angle brackets; '' and `<>` are the null sender (undefined).
 * @throws ScriptError
 */
export function readMailbox(text: string): Mailbox | undefined {
  const bare = text.startsWith('<') && text.endsWith('>') ? text.slice(1, -1) : text
  if (bare === '') return undefined
  // whether the message may have UTF-8 in its addresses is for whoever takes them to say
  const mailbox = parseMailbox(bare, { utf8: true })
  if (mailbox === undefined) throw new ScriptError('not a mail address')
  return mailbox
}
