/** How the cost of a message grows, as a table with its slope. */

import { type Spread, show, showSpread } from './figures.ts'
import { markdown } from './table.ts'

/** share of the cost; what is less may be chance */
const NOISE = 0.05

export interface Point {
  readonly size: number
  readonly cpuPerThousand: Spread
  readonly perSecond: Spread
  /** from the start of the process until it says that it is ready */
  readonly startSeconds: number
  /** at the end */
  readonly residentMebibytes: number
}

export interface KeptKind {
  readonly name: string
  readonly unit: string
  readonly load: string
  readonly points: readonly Point[]
  readonly notes: readonly string[]
}

/** A run as it is kept. */
export interface KeptGrowth {
  readonly machine: readonly string[]
  readonly began: string
  readonly quick: boolean
  readonly rounds: number
  readonly kinds: readonly KeptKind[]
}

export function growthTable({ unit, points, notes }: KeptKind): string {
  const [first] = points
  const rows = points.map((point) => [
    point.size.toLocaleString('en'),
    showSpread(point.cpuPerThousand),
    first === undefined ? '' : `${(point.cpuPerThousand.median / first.cpuPerThousand.median).toFixed(2)} ×`,
    showSpread(point.perSecond),
    show(point.startSeconds),
    show(point.residentMebibytes),
  ])
  return [
    markdown([
      [unit, 'CPU s per 1,000 messages', 'to the first', 'messages/s', 's to start', 'RSS MiB'],
      ...rows,
    ]),
    `Slope: ${slope(points)}.`,
    ...notes,
  ].join('\n\n')
}

/** From the first point to the last: what one more costs a message, and the power with which the cost grows. */
function slope(points: readonly Point[]): string {
  const first = points[0]
  const last = points.at(-1)
  if (first === undefined || last === undefined || first === last) return 'not known'
  const growth = last.cpuPerThousand.median / first.cpuPerThousand.median
  if (Math.abs(growth - 1) < NOISE) return 'none that can be told from noise'
  const rise = last.cpuPerThousand.median - first.cpuPerThousand.median
  // seconds per thousand messages are milliseconds per message
  const nanoseconds = (rise / (last.size - first.size)) * 1e6
  const each = `${nanoseconds.toPrecision(2)} ns of CPU per message for each one more`
  const begin = Math.max(1, first.size)
  const power =
    Math.log(last.cpuPerThousand.median / first.cpuPerThousand.median) / Math.log(last.size / begin)
  return `${each}; the cost grows with the power ${power.toFixed(2)} (0: not at all, 1: in proportion)`
}
