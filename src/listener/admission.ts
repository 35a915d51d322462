/**
 * Who may come in: counts sessions against Listener_Sessions, Service_Sessions and Max_Sessions.
 *
 * Momentum, ref-listener-sessions and ref-service-sessions: a value written outside a Peer is one budget for all
 * sources; inside a Peer, each CIDR block has a budget of its own. A narrower value takes the place of a wider one; it
 * does not add to it. Listener_Sessions counts per Listen, Service_Sessions over all of them. A slot is held until the
 * connection is fully closed.
 *
 * A slot is given back exactly once, however often it is released, so that no counter leaks or goes negative. Counters
 * exist only while somebody is counted, so there are never more than three per session.
 */

import { describeOrigin, type Origin } from '../config/diagnostic.ts'
import { type Budget, type LimitCounts, LocalCounts } from '../config/limit-counts.ts'
import type { InboundScope, ListenSettings } from '../config/settings.ts'

/** What a session is counted by. */
export interface Placement {
  readonly listen: ListenSettings
  readonly scope: InboundScope
}

export interface Slot {
  /** Gives the slot back; the second call does nothing. */
  release(): void
}

export interface AdmissionOptions {
  /** what is counted by; of this process alone unless given */
  readonly counts?: LimitCounts
}

/** What holds over all Listens. */
export interface SessionLimits {
  /** of this process, at least 1 */
  readonly most: number
  /** Max_Sessions of the whole node, where it is several processes; 0 = none */
  readonly node?: number
  /** false: no Listen limits Service_Sessions by itself, and nobody has to be counted for it */
  readonly service?: boolean
}

export class Admission<Key> {
  #limits: SessionLimits
  readonly #counts: LimitCounts
  readonly #held = new Map<Slot, { readonly key: Key; counters: readonly string[] }>()

  /** @param limits a number is `most` */
  constructor(limits: number | SessionLimits, { counts = new LocalCounts() }: AdmissionOptions = {}) {
    this.#limits = limitsOf(limits)
    this.#counts = counts
  }

  /** Sessions that hold a slot. */
  get sessions(): number {
    return this.#held.size
  }

  /** Sessions whose key fits. */
  count(fits: (key: Key) => boolean): number {
    let found = 0
    for (const { key } of this.#held.values()) if (fits(key)) found++
    return found
  }

  /** Counters that exist. */
  get counters(): number {
    return this.#counts.size
  }

  /**
   * Takes a slot, or nothing at all when any limit is reached.
   * @param key what `recount` is asked with after a reload
   */
  admit(placement: Placement, key: Key): Slot | undefined {
    if (this.#held.size >= this.#limits.most) return undefined
    const budgets = this.#budgetsOf(placement)
    if (budgets.length > 0 && !this.#counts.take(budgets)) return undefined
    const slot: Slot = { release: () => this.#release(slot) }
    this.#held.set(slot, { key, counters: budgets.map(({ counter }) => counter) })
    return slot
  }

  /**
   * Counts a session elsewhere from now on: its client turned out to be another one.
   * @param placement undefined when its Listen is gone: then only Max_Sessions counts it
   * @returns false when there is no room for it there; it then stays counted as it was
   */
  move(slot: Slot, placement: Placement | undefined, key: Key): boolean {
    const held = this.#held.get(slot)
    if (held === undefined) return false
    const budgets = this.#budgetsOf(placement)
    if (!this.#counts.swap(held.counters, budgets)) return false
    this.#held.set(slot, { key, counters: budgets.map(({ counter }) => counter) })
    return true
  }

  /**
   * Counts the sessions that are there by a new configuration. Nobody is thrown out; a budget that is now exceeded
   * admits nobody until enough have left.
   * @param place where a session stands now; undefined when its Listen is gone: then only Max_Sessions counts it
   */
  recount(limits: number | SessionLimits, place: (key: Key) => Placement | undefined): void {
    this.#limits = limitsOf(limits)
    for (const held of this.#held.values()) {
      const budgets = this.#budgetsOf(place(held.key)).map(({ counter }) => ({ counter, limit: 0 }))
      if (held.counters.length + budgets.length > 0) this.#counts.swap(held.counters, budgets)
      held.counters = budgets.map(({ counter }) => counter)
    }
  }

  #release(slot: Slot): void {
    const held = this.#held.get(slot)
    if (held === undefined) return
    this.#held.delete(slot)
    if (held.counters.length > 0) this.#counts.give(held.counters)
  }

  #budgetsOf(placement: Placement | undefined): Budget[] {
    const { node = 0, service = true } = this.#limits
    const budgets = placement === undefined ? [] : budgetsOf(placement)
    const counted = budgets.filter(({ limit }) => limit > 0 || service)
    return node === 0 ? counted : [...counted, { counter: 'sessions', limit: node }]
  }
}

function limitsOf(limits: number | SessionLimits): SessionLimits {
  return typeof limits === 'number' ? { most: limits } : limits
}

function budgetsOf({ listen, scope }: Placement): Budget[] {
  const { listener_sessions, service_sessions } = scope.options
  const budgets: Budget[] = []
  if (listener_sessions > 0) {
    const counter = `listener ${listen.instance} ${place(scope.origin('listener_sessions'))}`
    budgets.push({ counter, limit: listener_sessions })
  }
  // A value that the Listen has without any Peer is not a Peer's own: it counts the whole service, also those sessions
  // whose own Listen sets no limit.
  const origin = place(scope.origin('service_sessions'))
  const shared = origin === place(listen.scope.origin('service_sessions'))
  budgets.push({ counter: shared ? 'service' : `service ${origin}`, limit: service_sessions })
  return budgets
}

/** The place where a value is written stands for the stanza that it is written in. */
function place(origin: Origin): string {
  return origin === 'default' ? 'default' : `${describeOrigin(origin)}:${origin.column}`
}
