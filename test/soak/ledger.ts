/**
 * The accounts of a soak: what was accepted, what the next hop took and refused, what was bounced.
 *
 * Each unit (one message for one recipient) must be delivered or bounced, and never both. A copy too many is allowed only
 * where SMTP leaves open whether there was one already, and each such place is written down here when it happens:
 * the client never heard an answer to its final dot and sent again; we never heard one from the next hop, or stopped
 * hearing right after it; `kill -9` came between the next hop's 250 and the durable outcome.
 */

import { type Plan, refusedAtRcpt } from './plan.ts'

export interface Take {
  readonly at: number
  /** `dropped`: there was never to be an answer; `confirmed`: something came on the connection after the 250 */
  state: 'dropped' | 'unanswered' | 'unconfirmed' | 'confirmed'
}

export type Cause = 'client sent again' | 'no answer heard' | 'killed around 250'

export interface Verdict {
  readonly faults: readonly string[]
  readonly delivered: number
  readonly bounced: number
  readonly silent: number
  readonly doubles: Readonly<Record<Cause, number>>
  /** milliseconds between a 250 and the kill that made it count for nothing, at most */
  readonly longestOpen: number
}

/** An outcome is durable so many milliseconds after the 250 at the latest, on a machine with other work. */
const KILL_WINDOW_MS = 2000
const READ_LATE_MS = 500
const MAX_FAULTS = 20

export class Ledger {
  readonly #plan: Plan
  readonly #takes = new Map<number, Take[]>()
  /** by the next hop, for good */
  readonly #refused = new Set<number>()
  readonly #attempts = new Map<number, number>()
  /** by transaction: final dots without an answer */
  readonly #sentAgain = new Map<number, number>()
  readonly #kills: number[] = []
  /** of the next hop */
  readonly #restarts: number[] = []
  readonly faults: string[] = []

  constructor(plan: Plan) {
    this.#plan = plan
  }

  /** how often the next hop has been asked to take a unit before */
  attempt(unit: number): number {
    const before = this.#attempts.get(unit) ?? 0
    this.#attempts.set(unit, before + 1)
    return before
  }

  /** the number of the attempt that is under way, from 0 */
  attemptsOf(unit: number): number {
    return Math.max(0, (this.#attempts.get(unit) ?? 0) - 1)
  }

  take(unit: number): Take {
    const take: Take = { at: Date.now(), state: 'unanswered' }
    this.#takes.set(unit, [...(this.#takes.get(unit) ?? []), take])
    return take
  }

  refuse(unit: number): void {
    this.#refused.add(unit)
  }

  sentAgain(transaction: number): void {
    this.#sentAgain.set(transaction, (this.#sentAgain.get(transaction) ?? 0) + 1)
  }

  killed(): void {
    this.#kills.push(Date.now())
  }

  restarted(): void {
    this.#restarts.push(Date.now())
  }

  fault(text: string): void {
    if (this.faults.length < MAX_FAULTS) this.faults.push(text)
  }

  /** units that the next hop has taken */
  get taken(): number {
    return this.#takes.size
  }

  /** @param bounces unit → notices that its sender has */
  settle(bounces: ReadonlyMap<number, number>): Verdict {
    const sums = { delivered: 0, bounced: 0, silent: 0, longestOpen: 0 }
    const doubles: Record<Cause, number> = {
      'client sent again': 0,
      'no answer heard': 0,
      'killed around 250': 0,
    }
    for (const { number, first, recipients, fate } of this.#plan.transactions) {
      const again = this.#sentAgain.get(number) ?? 0
      for (let unit = first; unit < first + recipients; unit += 1) {
        const takes = this.#takes.get(unit) ?? []
        const notices = bounces.get(unit) ?? 0
        const refused = fate !== 'taken' || refusedAtRcpt(this.#plan.seed, unit)
        const silent = fate === 'null-sender'
        if (refused && takes.length > 0) this.fault(`unit ${unit} was refused and is taken all the same`)
        if (!refused && takes.length === 0) this.fault(`unit ${unit} is lost`)
        if ((!refused || silent) && notices > 0) this.fault(`unit ${unit} has a bounce that it must not have`)
        if (refused && !silent && notices === 0) this.fault(`the bounce of unit ${unit} is lost`)
        if (notices > 1 + again) this.fault(`unit ${unit} has ${notices} bounces`)
        if (silent && !this.#refused.has(unit)) this.fault(`unit ${unit} is lost without having been refused`)
        if (takes.length > 0) sums.delivered += 1
        else if (silent) sums.silent += 1
        else if (notices > 0) sums.bounced += 1
        for (const [cause, open] of this.#explain(unit, takes, again)) {
          doubles[cause] += 1
          sums.longestOpen = Math.max(sums.longestOpen, open)
        }
      }
    }
    return { ...sums, faults: this.faults, doubles }
  }

  /** Why there is more than one copy; what cannot be explained is a fault. */
  #explain(unit: number, takes: readonly Take[], again: number): [Cause, number][] {
    const causes: [Cause, number][] = []
    let left = again
    for (const { at, state } of takes.slice(0, -1)) {
      // what had arrived before a kill may be read a moment after it; whoever confirms is alive
      const earliest = state === 'confirmed' ? at : at - READ_LATE_MS
      const open = (when: number): boolean => when >= earliest && when - at < KILL_WINDOW_MS
      const kill = this.#kills.find(open)
      const cut = state !== 'confirmed' && this.#restarts.some(open)
      if (state === 'dropped' || cut) causes.push(['no answer heard', 0])
      else if (left > 0) {
        left -= 1
        causes.push(['client sent again', 0])
      } else if (kill === undefined) {
        this.fault(
          `unit ${unit} was taken ${takes.length} times, and nothing explains it: ${this.#story(takes)}`,
        )
      } else causes.push(['killed around 250', state === 'confirmed' ? kill - at : 0])
    }
    return causes
  }

  #story(takes: readonly Take[]): string {
    const began = takes[0]?.at ?? 0
    const told = takes.map(({ at, state }) => `${state} at ${at - began}`)
    const kills = this.#kills.map((when) => when - began).filter((when) => Math.abs(when) < 60_000)
    return `${told.join(', ')}; kills at ${kills.join(', ')} ms`
  }
}
