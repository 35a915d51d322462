/** Medians and ratios over the rounds of a run. */

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
  return { min: sorted[0] ?? Number.NaN, median, max: sorted.at(-1) ?? Number.NaN }
}

/** Each round's value by the other's in the same round. */
export function ratiosOf(values: readonly number[], others: readonly number[]): Spread {
  return spreadOf(values.map((value, round) => value / (others[round] ?? Number.NaN)))
}

/** Three significant digits, or whole numbers from a thousand on. */
export function show(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (value >= 1000) return value.toFixed(0)
  return value === 0 ? '0' : value.toPrecision(3)
}

export function showSpread({ min, median, max }: Spread): string {
  return `${show(min)} / ${show(median)} / ${show(max)}`
}
