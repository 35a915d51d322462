/**
 * The decision records that can be asked for: those of TLS connections under way, the last ones of each outcome, and
 * what the shadow mode has found. Of one process, since its start.
 */

import type { DecisionOutcome, DecisionRecord, LiveDecision, LiveDecisions } from '../events/decision.ts'
import type { ServerEvent } from '../events/events.ts'
import { ShadowCounts, type ShadowTable } from './shadow-table.ts'

const KEPT = 200

export class Decisions implements LiveDecisions {
  readonly #kept: number
  readonly #live = new Set<LiveDecision>()
  readonly #shadow: ShadowCounts
  /** newest last */
  readonly #ended: Readonly<Record<DecisionOutcome, DecisionRecord[]>> = {
    failed: [],
    anonymous: [],
    unverified: [],
    verified: [],
    plaintext: [],
  }
  readonly #counts: Record<DecisionOutcome, number> = {
    failed: 0,
    anonymous: 0,
    unverified: 0,
    verified: 0,
    plaintext: 0,
  }

  /** @param options.kept records of each outcome; @param options.shadowRows rows of the shadow table */
  constructor(options: { readonly kept?: number; readonly shadowRows?: number } = {}) {
    this.#kept = options.kept ?? KEPT
    this.#shadow = new ShadowCounts(options.shadowRows)
  }

  add(live: LiveDecision): void {
    this.#live.add(live)
  }

  remove(live: LiveDecision): void {
    this.#live.delete(live)
  }

  /** Takes a fact. For `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    if (event.kind !== 'decision') return
    this.#counts[event.outcome] += 1
    this.#shadow.count(event)
    const records = this.#ended[event.outcome]
    records.push(event)
    // cut now and then, not each time: taking the first one out of an array moves all the others
    if (records.length >= 2 * this.#kept) records.splice(0, records.length - this.#kept)
  }

  /** Connections under way, the oldest first. */
  live(): DecisionRecord[] {
    return [...this.#live].map((live) => live.record())
  }

  /** Connections that have ended, the newest first: at most so many of each outcome as are kept. */
  ended(outcome?: DecisionOutcome): DecisionRecord[] {
    const outcomes = outcome === undefined ? ALL : [outcome]
    return outcomes
      .flatMap((each) => this.#ended[each].slice(-this.#kept))
      .toSorted((a, b) => (b.end?.at ?? b.at) - (a.end?.at ?? a.at))
  }

  /** The record of a connection, under way or ended; undefined when nothing was told of it or it is no longer kept. */
  find(connectionId: string): DecisionRecord | undefined {
    for (const live of this.#live) if (live.connectionId === connectionId) return live.record()
    for (const outcome of ALL) {
      const found = this.#ended[outcome].findLast((record) => record.connectionId === connectionId)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Connections that have ended since the start, by outcome. */
  counts(): Readonly<Record<DecisionOutcome, number>> {
    return { ...this.#counts }
  }

  /** Who would be refused, by TLS_Verify_Mode_Shadow and Require_TLS_Shadow; a connection counts once it has ended. */
  shadow(): ShadowTable {
    return this.#shadow.table()
  }
}

const ALL: readonly DecisionOutcome[] = ['failed', 'anonymous', 'unverified', 'verified', 'plaintext']
