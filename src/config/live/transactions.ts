/** Changes that wait for their commit: at most one transaction for each connection, which ends with it. */

import { dateTime, type Who } from './audit.ts'
import type { LiveChange } from './change.ts'
import { mistake } from './target.ts'

export interface Transaction {
  readonly by: Who
  /** milliseconds since the epoch */
  readonly began: number
  /** of the configuration, when it began */
  readonly version: number
  changes: readonly LiveChange[]
}

export class Transactions {
  readonly #open = new Map<AbortSignal, Transaction>()

  of(connection: AbortSignal | undefined): Transaction | undefined {
    return connection && this.#open.get(connection)
  }

  /** @throws ConfigError */
  needed(connection: AbortSignal | undefined): Transaction {
    const open = this.of(connection)
    if (open === undefined) throw mistake('no transaction is open: config begin opens one')
    return open
  }

  /** @returns the others that are open, in words. @throws ConfigError */
  begin(connection: AbortSignal | undefined, transaction: Transaction): readonly string[] {
    if (connection === undefined || connection.aborted)
      throw mistake('a transaction belongs to a connection of the console, and there is none')
    if (this.#open.has(connection))
      throw mistake('a transaction is open already: config commit or config rollback ends it')
    const others = [...this.#open.values()].map(
      ({ by, began }) => `${by.name} (${by.from}) has a transaction open too, since ${dateTime(began)}`,
    )
    this.#open.set(connection, transaction)
    connection.addEventListener('abort', () => this.#open.delete(connection), { once: true })
    return others
  }

  end(connection: AbortSignal | undefined): void {
    if (connection !== undefined) this.#open.delete(connection)
  }
}
