/**
 * Answers that may be given again, each for as long as its TTL says, none at all for longer than a day.
 *
 * Bounded in octets; what was not asked for longest goes first.
 */

import type { DnsAnswer, QueryType } from './message.ts'

interface Kept {
  readonly answer: DnsAnswer<QueryType>
  readonly keptAt: number
  readonly until: number
  readonly weight: number
}

/** what an entry takes beside its records, about */
const OVERHEAD = 300

export class AnswerCache {
  readonly #kept = new Map<string, Kept>()
  readonly #capacity: number
  readonly #clock: () => number
  #weight = 0

  /** @param options.capacity octets @param options.clock milliseconds */
  constructor(options: { readonly capacity: number; readonly clock: () => number }) {
    this.#capacity = options.capacity
    this.#clock = options.clock
  }

  get size(): number {
    return this.#kept.size
  }

  /** @param maxAge seconds since the answer came */
  get(key: string, maxAge: number): DnsAnswer<QueryType> | undefined {
    const found = this.#kept.get(key)
    if (found === undefined) return undefined
    const now = this.#clock()
    // a clock that was set back must not keep an answer for ever
    if (now >= found.until || now < found.keptAt) {
      this.#delete(key, found)
      return undefined
    }
    if (now - found.keptAt > maxAge * 1000) return undefined
    this.#kept.delete(key)
    this.#kept.set(key, found)
    return found.answer
  }

  keep(key: string, answer: DnsAnswer<QueryType>): void {
    const before = this.#kept.get(key)
    if (before !== undefined) this.#delete(key, before)
    if (answer.ttl <= 0) return
    const now = this.#clock()
    const weight = OVERHEAD + key.length + answer.records.reduce((sum, record) => sum + weightOf(record), 0)
    this.#kept.set(key, { answer, keptAt: now, until: now + answer.ttl * 1000, weight })
    this.#weight += weight
    for (const [oldest, entry] of this.#kept) {
      if (this.#weight <= this.#capacity) return
      this.#delete(oldest, entry)
    }
  }

  /** What may still be given, what was used last first; `left`: seconds. Changes nothing. */
  *entries(): Iterable<{
    readonly key: string
    readonly answer: DnsAnswer<QueryType>
    readonly left: number
  }> {
    const now = this.#clock()
    for (const [key, { answer, keptAt, until }] of [...this.#kept].toReversed())
      if (now >= keptAt && now < until) yield { key, answer, left: Math.ceil((until - now) / 1000) }
  }

  /** @returns how many went */
  drop(goes: (key: string) => boolean): number {
    const going = [...this.#kept].filter(([key]) => goes(key))
    for (const [key, entry] of going) this.#delete(key, entry)
    return going.length
  }

  #delete(key: string, entry: Kept): void {
    this.#kept.delete(key)
    this.#weight -= entry.weight
  }
}

function weightOf(record: DnsAnswer<QueryType>['records'][number]): number {
  if (typeof record === 'string') return 50 + record.length
  return 'exchange' in record ? 100 + record.exchange.length : 150 + record.data.length
}
