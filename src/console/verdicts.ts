/**
 * Verdicts over time: handshakes of the last day by minute, outcome, Listen and issuer. Of one process, since its start.
 *
 * Clients choose what they claim, so series are bounded, and those of certificates that verify have room of their own: a
 * series that there is no room for is counted under the issuer `other`, and one of a day ago makes room.
 */

import type { ServerEvent, TlsFact } from '../events/events.ts'
import { fromBytes } from './render.ts'

/** minutes that are remembered */
export const VERDICT_MINUTES = 1440
const MAX_VERIFIED = 64
const MAX_OTHERS = 64
const OTHER = 'other'

export type VerdictOutcome = TlsFact['outcome']

export interface VerdictSeries {
  readonly outcome: VerdictOutcome
  /** of the Listen; Unicode text */
  readonly listen: string
  /** RFC 4514; '' without a certificate; a claim, unless the outcome is verified. Unicode text */
  readonly issuer: string
  /** by minute, the oldest first; the last one is the minute that the table ends with */
  readonly counts: readonly number[]
}

export interface VerdictTable {
  /** minutes since the epoch */
  readonly until: number
  readonly series: readonly VerdictSeries[]
}

interface Ring {
  readonly outcome: VerdictOutcome
  readonly listen: string
  readonly issuer: string
  /** a minute is at its number modulo the length */
  readonly counts: Uint32Array
  /** the last minute that the ring has room for; what it had of a day before is zero */
  last: number
  /** the last minute in which something was counted */
  seen: number
}

export class Verdicts {
  readonly #clock: () => number
  readonly #rings = new Map<string, Ring>()

  /** @param clock milliseconds since the epoch */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** For `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    if (event.kind !== 'tls') return
    const minute = this.#minute()
    const ring = this.#ringOf(event, minute)
    forget(ring, minute)
    ring.seen = minute
    ring.counts[minute % VERDICT_MINUTES] = (ring.counts[minute % VERDICT_MINUTES] ?? 0) + 1
  }

  /** Those in which something was counted. @param minutes how many, up to now */
  table(minutes = VERDICT_MINUTES): VerdictTable {
    const until = this.#minute()
    const series = [...this.#rings.values()].map((ring) => {
      forget(ring, until)
      const { outcome, listen, issuer, counts: all } = ring
      const first = until + 1
      const counts = Array.from(all, (_, at) => all[(first + at) % VERDICT_MINUTES] ?? 0)
      return { outcome, listen, issuer, counts }
    })
    return lastMinutes({ until, series }, minutes)
  }

  #minute(): number {
    return Math.floor(this.#clock() / 60_000)
  }

  #ringOf({ outcome, listen, issuer }: TlsFact, minute: number): Ring {
    const names = { outcome, listen, issuer: fromBytes(issuer) }
    const known = this.#rings.get(keyOf(names))
    if (known !== undefined) return known
    const fits = this.#hasRoom(outcome === 'verified', minute)
    // these few always fit: Listens are the operator's
    const made = fits ? names : { ...names, issuer: issuer === '' ? '' : OTHER }
    const ring = this.#rings.get(keyOf(made)) ?? {
      ...made,
      counts: new Uint32Array(VERDICT_MINUTES),
      last: minute,
      seen: minute,
    }
    this.#rings.set(keyOf(made), ring)
    return ring
  }

  #hasRoom(verified: boolean, minute: number): boolean {
    for (const [key, { seen }] of this.#rings) if (minute - seen >= VERDICT_MINUTES) this.#rings.delete(key)
    const taken = [...this.#rings.values()].filter(
      ({ outcome, issuer }) => (outcome === 'verified') === verified && issuer !== OTHER,
    ).length
    return taken < (verified ? MAX_VERIFIED : MAX_OTHERS)
  }
}

/** The end of a table. */
export function lastMinutes({ until, series }: VerdictTable, minutes = VERDICT_MINUTES): VerdictTable {
  const cut = series.map((each) => ({ ...each, counts: each.counts.slice(-minutes) }))
  return { until, series: cut.filter(({ counts }) => counts.some((count) => count > 0)) }
}

/** Sums of several processes, which may end with different minutes. */
export function addVerdicts(parts: readonly VerdictTable[]): VerdictTable {
  const until = Math.max(0, ...parts.map((part) => part.until))
  const sums = new Map<string, { readonly names: Omit<VerdictSeries, 'counts'>; readonly counts: number[] }>()
  for (const part of parts) {
    for (const { counts, ...names } of part.series) {
      const sum = sums.get(keyOf(names)) ?? { names, counts: [] }
      // from the end, since all end with about the same minute
      const late = until - part.until
      for (const [index, count] of counts.toReversed().entries())
        sum.counts[index + late] = (sum.counts[index + late] ?? 0) + count
      sums.set(keyOf(names), sum)
    }
  }
  const series = [...sums.values()].map(({ names, counts }) => ({
    ...names,
    counts: Array.from(counts, (count) => count ?? 0)
      .slice(0, VERDICT_MINUTES)
      .toReversed(),
  }))
  return { until, series }
}

function keyOf({ outcome, listen, issuer }: Omit<VerdictSeries, 'counts'>): string {
  return JSON.stringify([outcome, listen, issuer])
}

/** Minutes that have come since the last count begin at zero. */
function forget(ring: Ring, minute: number): void {
  const first = Math.max(ring.last + 1, minute - VERDICT_MINUTES + 1)
  for (let at = first; at <= minute; at++) ring.counts[at % VERDICT_MINUTES] = 0
  // a clock that went back counts in its old minutes
  ring.last = Math.max(ring.last, minute)
}
