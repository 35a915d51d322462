/** What the processes of a node report → one report about the node. */

import { byFullness } from '../../delivery/operator/domains.ts'
import {
  type ActReport,
  type BindingRow,
  type BindingsReport,
  type DomainRow,
  type DomainsReport,
  DRY_RUN_ROWS,
  type ListReport,
} from '../../delivery/operator/orders.ts'
import { byTurn } from '../../delivery/operator/select.ts'

export function mergeActs(parts: readonly ActReport[]): ActReport {
  return {
    messages: sum(parts, ({ messages }) => messages),
    underWay: sum(parts, ({ underWay }) => underWay),
    rows: parts.flatMap(({ rows }) => rows).slice(0, DRY_RUN_ROWS),
    broken: parts.find(({ broken }) => broken !== undefined)?.broken,
    incomplete: parts.some(({ incomplete }) => incomplete),
  }
}

/** @param rows how many of them are wanted */
export function mergeLists(parts: readonly ListReport[], rows: number): ListReport {
  return {
    rows: parts
      .flatMap((part) => part.rows)
      .toSorted(byTurn)
      .slice(0, rows),
    messages: sum(parts, ({ messages }) => messages),
    incomplete: parts.some(({ incomplete }) => incomplete),
  }
}

/** A domain may have something in several processes. */
export function mergeDomains(parts: readonly DomainsReport[]): DomainsReport {
  const found = new Map<string, DomainRow>()
  for (const row of parts.flatMap(({ rows }) => rows)) {
    const key = `${row.bindingGroup}/${row.binding}/${row.domain}`
    const before = found.get(key)
    found.set(key, before === undefined ? row : { ...row, ...addCounts(before, row) })
  }
  return {
    rows: [...found.values()].toSorted(byFullness),
    leftOut: sum(parts, ({ leftOut }) => leftOut),
    totals: parts.map(({ totals }) => totals).reduce(addCounts, noCounts),
  }
}

export function mergeBindings(parts: readonly BindingsReport[]): readonly BindingRow[] {
  const found = new Map<string, BindingRow>()
  for (const row of parts.flatMap(({ rows }) => rows)) {
    const key = `${row.bindingGroup}/${row.binding}`
    const before = found.get(key)
    found.set(key, before === undefined ? row : { ...before, ...addNumbers(before, row, bindingNumbers) })
  }
  return [...found.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}

const bindingNumbers = [
  ...(['connections', 'underWay', 'ready', 'delayed', 'ending', 'resident'] as const),
  ...(['received', 'delivered', 'failed'] as const),
]

type Counts = DomainsReport['totals']

const noCounts: Counts = { underWay: 0, ready: 0, delayed: 0, ending: 0, connections: 0, delivered: 0 }

export function addCounts(a: Counts, b: Counts): Counts {
  return addNumbers(a, b, Object.keys(noCounts) as (keyof Counts)[])
}

function addNumbers<K extends string>(
  a: Readonly<Record<K, number>>,
  b: Readonly<Record<K, number>>,
  keys: readonly K[],
): Readonly<Record<K, number>> {
  return Object.fromEntries(keys.map((key) => [key, a[key] + b[key]])) as Record<K, number>
}

function sum<T>(parts: readonly T[], count: (part: T) => number): number {
  return parts.reduce((total, part) => total + count(part), 0)
}
