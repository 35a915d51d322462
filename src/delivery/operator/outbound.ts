/** Attempts that are under way: for operators. As many as the queue makes at once; they outlive a reload, as attempts do. */

import { routingDomain } from '../../mail/envelope.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import type { OutboundOrder, OutboundReport, OutboundRow } from './orders.ts'
import { MAX_ROWS } from './orders.ts'

/** One attempt, and how far it is. */
export class LiveAttempt {
  readonly #connection: string
  readonly #messages: readonly StoredMessage[]
  readonly #since: number
  #state: OutboundRow['state'] = 'preparing'
  #host = ''
  #address = ''

  constructor(connection: string, messages: readonly StoredMessage[], since: number) {
    this.#connection = connection
    this.#messages = messages
    this.#since = since
  }

  note(
    state: OutboundRow['state'],
    { name, address }: { readonly name: string; readonly address: string },
  ): void {
    this.#state = state
    this.#host = name
    this.#address = address
  }

  get row(): OutboundRow | undefined {
    const [first] = this.#messages
    if (first === undefined) return undefined
    const { bindingGroup, binding } = first.envelope
    return {
      connection: this.#connection,
      bindingGroup,
      binding,
      domain: routingDomain(first.envelope),
      messages: this.#messages.length,
      since: this.#since,
      state: this.#state,
      host: this.#host,
      address: this.#address,
    }
  }
}

export class LiveAttempts {
  readonly #all = new Set<LiveAttempt>()

  begin(connection: string, messages: readonly StoredMessage[], since: number): LiveAttempt {
    const attempt = new LiveAttempt(connection, messages, since)
    this.#all.add(attempt)
    return attempt
  }

  end(attempt: LiveAttempt): void {
    this.#all.delete(attempt)
  }

  /** The oldest first. */
  report({ rows, domain, binding }: OutboundOrder): OutboundReport {
    const all = [...this.#all]
      .flatMap(({ row }) => row ?? [])
      .filter((row) => binding === undefined || row.binding === binding)
      .filter((row) => domain === undefined || row.domain === domain)
    return { rows: all.slice(0, Math.min(rows, MAX_ROWS)), attempts: all.length }
  }
}
