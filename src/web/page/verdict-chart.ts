/** Verdicts by minute → the few columns of a chart, and sums by Listen and issuer beside it. */

import type { VerdictOutcome, VerdictSeries } from '../../console/verdicts.ts'

type Counts = Readonly<Record<VerdictOutcome, number>>

export interface VerdictChart {
  /** the end of the last column, ISO 8601 */
  readonly until: string
  /** minutes of a column */
  readonly step: number
  /** the oldest first */
  readonly columns: readonly Counts[]
  readonly totals: Counts
  /** by Listen and issuer, the most first */
  readonly groups: readonly (Counts & { readonly listen: string; readonly issuer: string })[]
  /** what can be chosen from */
  readonly listens: readonly string[]
  readonly issuers: readonly string[]
}

/** columns of a chart: one for each half hour of a day */
const COLUMNS = 48
const MAX_GROUPS = 100
const none: Counts = { verified: 0, unverified: 0, anonymous: 0, failed: 0 }

/** @param answer of `tls verdicts`; @param query `listen` and `issuer` choose among the series */
export function verdictChart(answer: unknown, query: URLSearchParams): VerdictChart {
  const { until, minutes, series } = answer as {
    readonly until: string
    readonly minutes: number
    readonly series: readonly (VerdictSeries & { readonly total: number })[]
  }
  const [listen, issuer] = [query.get('listen') ?? '', query.get('issuer') ?? '']
  const chosen = series.filter(
    (each) => (listen === '' || each.listen === listen) && (issuer === '' || each.issuer === issuer),
  )
  const step = Math.max(1, Math.ceil(minutes / COLUMNS))
  const length = Math.ceil(minutes / step)
  const columns = Array.from({ length }, (): Record<VerdictOutcome, number> => ({ ...none }))
  for (const { outcome, counts } of chosen) {
    for (const [index, count] of counts.toReversed().entries()) {
      const column = columns[length - 1 - Math.floor(index / step)]
      if (column !== undefined) column[outcome] += count
    }
  }
  return {
    until,
    step,
    columns,
    totals: chosen.reduce<Counts>(withSeries, none),
    groups: groupsOf(chosen),
    listens: distinct(series.map((each) => each.listen)),
    issuers: distinct(series.map((each) => each.issuer).filter((each) => each !== '')),
  }
}

function groupsOf(series: readonly (VerdictSeries & { readonly total: number })[]): VerdictChart['groups'] {
  const groups = new Map<string, Counts & { readonly listen: string; readonly issuer: string }>()
  for (const each of series) {
    const { listen, issuer } = each
    const key = JSON.stringify([listen, issuer])
    groups.set(key, { listen, issuer, ...withSeries(groups.get(key) ?? none, each) })
  }
  const size = (counts: Counts): number =>
    counts.verified + counts.unverified + counts.anonymous + counts.failed
  return [...groups.values()].toSorted((a, b) => size(b) - size(a)).slice(0, MAX_GROUPS)
}

function withSeries(
  { verified, unverified, anonymous, failed }: Counts,
  { outcome, total }: { readonly outcome: VerdictOutcome; readonly total: number },
): Counts {
  const counts = { verified, unverified, anonymous, failed }
  return { ...counts, [outcome]: counts[outcome] + total }
}

function distinct(all: readonly string[]): readonly string[] {
  return [...new Set(all)].toSorted()
}
