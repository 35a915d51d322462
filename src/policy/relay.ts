/** Who may relay (Momentum: §8.7 of the reception rules). By default nobody: every grant is configured. */

import type { Mailbox } from '../mail/envelope.ts'

/** Which recipients end here. Implemented by the maildirs; asked at RCPT. */
export interface LocalRecipients {
  /** `elsewhere`: the domain is not ours; `unknown`: the domain is ours and has no such mailbox */
  lookup(recipient: Mailbox): 'local' | 'unknown' | 'elsewhere'
}
