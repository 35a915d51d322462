/**
 * DKIM signatures of bounces and other notices, by the keys and settings in force when one is made: for the domain of
 * Mailerdaemon, and where opendkim_sign does not keep mail to their reader unsigned. A notice is mail of our own, so it
 * counts as that of a client who may relay. One that cannot be signed goes without, and the paniclog tells of it.
 */

import { LongLineError } from './authenticity/lines.ts'
import { authorDomain, BodyHashes } from './authenticity/sign.ts'
import { defaultEgress } from './config/settings-queue.ts'
import type { NoticeSigner } from './delivery/bouncing.ts'
import type { EventSink } from './events/events.ts'
import type { Generation } from './generation.ts'

export class NoticeSigning {
  readonly #events: EventSink
  /** the one in force; a reload puts another one here */
  generation: Pick<Generation, 'settings' | 'authenticity'>

  constructor(generation: Pick<Generation, 'settings' | 'authenticity'>, events: EventSink) {
    this.generation = generation
    this.#events = events
  }

  readonly sign: NoticeSigner = async (notice) => {
    const { settings, authenticity } = this.generation
    const header = Buffer.from(notice.header).toString('latin1')
    const author = authorDomain(header)
    if (authenticity === undefined || author === undefined) return ''
    const keys = authenticity.keysFor(author, (key) => key === 'can_relay')
    const { options } = settings.resolveOutbound(notice.to.domain, defaultEgress)
    if (keys.length === 0 || !options.opendkim_sign) return ''
    try {
      return await authenticity.signatures(header, new BodyHashes(() => notice.body()), keys, Date.now())
    } catch (error) {
      if (!(error instanceof LongLineError)) throw error
      const text = 'a bounce is not signed: the message that it returns has a line without end'
      this.#events.emit({ kind: 'panic', at: Date.now(), level: 'error', module: 'opendkim', text })
      return ''
    }
  }
}
