/** Attempts that are under way: for operators. As many as the queue makes at once; they outlive a reload, as attempts do. */

import { routingDomain } from '../../mail/envelope.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import type { OutboundOrder, OutboundReport, OutboundRow } from './orders.ts'
import { MAX_ROWS } from './orders.ts'

/** How far an attempt is. */
export type AttemptNote = Pick<OutboundRow, 'state' | 'host' | 'address'>

export interface LiveAttempt {
  note(now: AttemptNote): void
  end(): void
}

export class LiveAttempts {
  readonly #rows = new Set<{ row: OutboundRow }>()

  begin(connection: string, messages: readonly StoredMessage[], since: number): LiveAttempt {
    const [first] = messages
    if (first === undefined) throw new Error('an attempt without a message')
    const { bindingGroup, binding } = first.envelope
    const live = {
      row: {
        connection,
        bindingGroup,
        binding,
        domain: routingDomain(first.envelope),
        messages: messages.length,
        since,
        state: 'preparing',
        host: '',
        address: '',
      } as OutboundRow,
    }
    this.#rows.add(live)
    return {
      note: (now) => {
        live.row = { ...live.row, ...now }
      },
      end: () => void this.#rows.delete(live),
    }
  }

  /** The oldest first. */
  report({ rows, binding }: OutboundOrder): OutboundReport {
    const all = [...this.#rows]
      .map(({ row }) => row)
      .filter((row) => binding === undefined || row.binding === binding)
    return { rows: all.slice(0, Math.min(rows, MAX_ROWS)), attempts: all.length }
  }
}
