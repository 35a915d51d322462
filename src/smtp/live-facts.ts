/** What policy sees of a session: one object for its life, which always tells what is so now. */

import type { Endpoint } from '../mail/envelope.ts'
import type { ValidationContext } from '../policy/context.ts'
import type { CapabilityEdits, SessionFacts } from '../policy/phases.ts'
import type { KnownPartner } from '../tls/partners/partners.ts'
import type { Peer } from '../tls/peer.ts'
import type { SessionServices } from './services.ts'
import { blockOf } from './session-count.ts'

/** Where they come from: a session. */
interface Source {
  readonly connection: { readonly id: string; readonly remote: Endpoint; readonly local: Endpoint }
  readonly services: Pick<SessionServices, 'countSessions'>
  readonly io: { readonly gone: AbortSignal }
  readonly peer: Peer
  readonly partner: KnownPartner | undefined
  readonly context: ValidationContext
  readonly capabilities: CapabilityEdits
}

export class LiveFacts implements SessionFacts {
  readonly #session: Source
  readonly connectionId: string

  constructor(session: Source) {
    this.#session = session
    this.connectionId = session.connection.id
  }

  get remote(): Endpoint {
    return this.#session.connection.remote
  }

  get local(): Endpoint {
    return this.#session.connection.local
  }

  get peer(): Peer {
    return this.#session.peer
  }

  get partner(): KnownPartner | undefined {
    return this.#session.partner
  }

  get context(): ValidationContext {
    return this.#session.context
  }

  get gone(): AbortSignal {
    return this.#session.io.gone
  }

  get capabilities(): CapabilityEdits {
    return this.#session.capabilities
  }

  get count(): SessionFacts['count'] {
    const { countSessions } = this.#session.services
    if (countSessions === undefined) return undefined
    return (query) => {
      const block = blockOf(query, this.remote.address)
      return block && countSessions(block)
    }
  }
}
