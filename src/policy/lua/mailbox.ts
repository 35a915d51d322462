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
  const mailbox = parseMailbox(bare)
  if (mailbox === undefined) throw new ScriptError('not a mail address')
  return mailbox
}
