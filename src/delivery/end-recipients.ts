/**
 * The recipients whose mail ends here, for RCPT. Of those of a program or a webhook all exist, besides those that could
 * not be named to the program: who sends to them learns it at once, and nobody else gets a bounce for it.
 */

import type { Mailbox } from '../mail/envelope.ts'
import type { LocalRecipients } from '../policy/relay.ts'
import { DomainTargets, type EndSettings } from './domain-targets.ts'
import { Maildirs } from './maildir.ts'
import { takesRecipient } from './pipe/command-line.ts'

export class EndRecipients implements LocalRecipients {
  readonly #maildirs: Maildirs
  readonly #targets: DomainTargets

  constructor(settings: EndSettings) {
    this.#maildirs = new Maildirs(settings.maildirs)
    this.#targets = new DomainTargets(settings)
  }

  lookup(recipient: Mailbox): 'local' | 'unknown' | 'elsewhere' {
    const target = this.#targets.of(recipient.domain)
    if (target === undefined) return this.#maildirs.lookup(recipient)
    return target.kind === 'webhook' || takesRecipient(target.pipe, recipient) ? 'local' : 'unknown'
  }
}
