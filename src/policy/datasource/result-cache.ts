/**
 * Results by question, for so many seconds, so many of them (momentum: modules/ds-core). The one that was used longest
 * ago goes first. Questions are kept as keyed hashes: the values in them may be passwords.
 */

import { createHmac, randomBytes } from 'node:crypto'
import type { DbParameters, DbRows } from './driver.ts'

/** octets of one result: a larger one is not kept */
const MAX_RESULT = 65_536

interface Entry {
  readonly rows: DbRows
  /** milliseconds, as the clock gives them */
  readonly until: number
}

export class ResultCache {
  readonly #life: number
  readonly #size: number
  readonly #now: () => number
  readonly #key = randomBytes(32)
  readonly #entries = new Map<string, Entry>()
  readonly #figures = { hits: 0, misses: 0, evicted: 0 }

  /** @param life seconds @param now milliseconds, of a clock that is never set */
  constructor(life: number, size: number, now: () => number) {
    this.#life = life
    this.#size = size
    this.#now = now
  }

  keyOf(sql: string, parameters: DbParameters): string {
    const question = JSON.stringify([
      sql,
      Object.entries(parameters).map(([name, value]) => [
        name,
        value instanceof Uint8Array ? ['octets', Buffer.from(value).toString('base64')] : value,
      ]),
    ])
    return createHmac('sha256', this.#key).update(question).digest('base64')
  }

  get(key: string): DbRows | undefined {
    const entry = this.#entries.get(key)
    this.#entries.delete(key)
    if (entry === undefined || entry.until <= this.#now()) {
      this.#figures.misses += 1
      return undefined
    }
    this.#figures.hits += 1
    this.#entries.set(key, entry)
    return entry.rows
  }

  /** `evicted`: for want of room */
  get figures(): Readonly<Record<'capacity' | 'entries' | 'hits' | 'misses' | 'evicted', number>> {
    return { ...this.#figures, capacity: this.#size, entries: this.#entries.size }
  }

  /** Forgets every result. @returns how many there were */
  clear(): number {
    const { size } = this.#entries
    this.#entries.clear()
    return size
  }

  set(key: string, rows: DbRows): void {
    this.#entries.delete(key)
    if (this.#life === 0 || this.#size === 0 || weight(rows) > MAX_RESULT) return
    this.#entries.set(key, { rows, until: this.#now() + this.#life * 1000 })
    if (this.#entries.size <= this.#size) return
    const [oldest] = this.#entries.keys()
    if (oldest === undefined) return
    this.#entries.delete(oldest)
    this.#figures.evicted += 1
  }
}

function weight({ columns, rows }: DbRows): number {
  let octets = columns.length * 16
  for (const row of rows) {
    for (const value of row) {
      octets += 16
      if (typeof value === 'string') octets += 2 * value.length
      else if (value instanceof Uint8Array) octets += value.length
    }
    if (octets > MAX_RESULT) break
  }
  return octets
}
