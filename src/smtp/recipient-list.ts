/**
 * The recipients of a transaction as policy may change them. A recipient that a script adds is the script's to answer
 * for: the relay rules, which are about what a client asks for, are not asked.
 */

import { type AddressOptions, formatMailbox, parseMailbox } from '../mail/address.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { RecipientList } from '../policy/phases.ts'
import type { Session, Transaction } from './session-state.ts'

/** How many recipients a message may have. */
export function recipientLimit({ scope, limits }: Session): number {
  const { max_recipients_per_message: most } = scope.options
  return most > 0 ? most : limits.recipients
}

export class TransactionRecipients implements RecipientList {
  readonly #transaction: Transaction
  readonly #most: number

  constructor(transaction: Transaction, most: number) {
    this.#transaction = transaction
    this.#most = most
  }

  get mailboxes(): readonly Mailbox[] {
    return this.#transaction.recipients.map(({ mailbox }) => mailbox)
  }

  replace(mailboxes: readonly Mailbox[]): void {
    if (mailboxes.length > this.#most) throw new RangeError(`a message has at most ${this.#most} recipients`)
    const { recipients, smtpUtf8: utf8 } = this.#transaction
    const known = new Map(recipients.map((recipient) => [formatMailbox(recipient.mailbox), recipient]))
    const wanted = mailboxes.map((mailbox) => {
      const text = formatMailbox(mailbox)
      return known.get(text) ?? { mailbox: checked(mailbox, text, { utf8 }), line: `RCPT TO:<${text}>` }
    })
    recipients.splice(0, recipients.length, ...wanted)
  }
}

/** What policy makes up is an address. @param text the mailbox as it is written @throws RangeError */
function checked({ local, domain }: Mailbox, text: string, options: AddressOptions): Mailbox {
  const mailbox = parseMailbox(text, options)
  if (mailbox === undefined || mailbox.local !== local || mailbox.domain !== domain.toLowerCase())
    throw new RangeError(`${text} is no mail address`)
  return mailbox
}
