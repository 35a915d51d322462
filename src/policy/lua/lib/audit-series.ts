/** Series of counts by address or by text (momentum: lua/ref-msys-audit-series-*). */

import { cidrContains, parseCidr } from '../../../config/address.ts'
import { BoundedMap } from './bounded-map.ts'
import { type WindowShape, Windows } from './windows.ts'

export const seriesTypes = ['cidr', 'cidr_ipv6', 'string'] as const
export type SeriesType = (typeof seriesTypes)[number]

interface Series extends WindowShape {
  readonly type: SeriesType
  readonly counts: BoundedMap<Windows>
}

/** Which windows are asked for, and when. */
export interface Span {
  readonly from: number
  readonly to: number
  /** milliseconds since the epoch */
  readonly now: number
}

export class AuditSeries {
  readonly #series = new Map<string, Series>()

  /** The same definition again keeps what was counted. Returns false when there are too many series. */
  define(name: string, type: SeriesType, shape: WindowShape): boolean {
    const known = this.#series.get(name)
    if (known?.type === type && known.interval === shape.interval && known.windows === shape.windows)
      return true
    if (known === undefined && this.#series.size >= maxSeries) return false
    this.#series.set(name, { type, ...shape, counts: new BoundedMap(keysOf(shape)) })
    return true
  }

  typeOf(name: string): SeriesType | undefined {
    return this.#series.get(name)?.type
  }

  add(name: string, key: string, { count, now }: { readonly count: number; readonly now: number }): void {
    const series = this.#series.get(name)
    if (series === undefined) return
    const windows = series.counts.get(key) ?? new Windows(series, now)
    windows.add(count, now)
    series.counts.set(key, windows)
  }

  count(name: string, key: string, { from, to, now }: Span): number {
    return this.#series.get(name)?.counts.get(key)?.sum(from, to, now) ?? 0
  }

  /** The sum over all addresses in a block. @param pace is called now and then, and may throw */
  countBlock(name: string, block: string, { from, to, now }: Span, pace: () => void): number {
    const cidr = parseCidr(block)
    const series = this.#series.get(name)
    if (cidr === undefined || series === undefined) return 0
    let sum = 0
    let seen = 0
    for (const [address, windows] of series.counts.entries()) {
      if (++seen % 1000 === 0) pace()
      if (cidrContains(cidr, address)) sum += windows.sum(from, to, now)
    }
    return sum
  }

  remove(name: string, key: string): void {
    this.#series.get(name)?.counts.delete(key)
  }
}

const maxSeries = 100
/** numbers that one series holds */
const maxNumbers = 1_000_000
const maxKeys = 100_000

const keysOf = ({ windows }: WindowShape): number =>
  Math.max(1, Math.min(maxKeys, Math.floor(maxNumbers / windows)))
