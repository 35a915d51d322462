/**
 * How much a regular expression may have to try: an upper bound of the ways in which backtracking can take a text of a
 * given length. A small bound means that it can run without a watch over it, which costs a millisecond each time.
 */

export interface Risk {
  /** quantifiers whose number of turns is open */
  readonly open: number
  /** ways to choose apart from those, as a product */
  readonly ways: number
  /** something repeated can itself match in more than one way: no bound worth having */
  readonly nested: boolean
  /** atoms when every repetition is written out */
  readonly size: number
}

const nothing: Risk = { open: 0, ways: 1, nested: false, size: 0 }

export const estimate = {
  nothing,
  single: { ...nothing, size: 1 } satisfies Risk,
  /** compares as many octets as the group had */
  reference: { ...nothing, open: 1, size: 1 } satisfies Risk,

  sequence: (parts: readonly Risk[]): Risk =>
    parts.reduce(
      (sum, part) => ({
        open: sum.open + part.open,
        ways: sum.ways * part.ways,
        nested: sum.nested || part.nested,
        size: sum.size + part.size,
      }),
      nothing,
    ),

  oneOf: (branches: readonly Risk[]): Risk => {
    const [only, ...others] = branches
    if (only === undefined) return nothing
    if (others.length === 0) return only
    return {
      open: Math.max(...branches.map(({ open }) => open)),
      ways: branches.reduce((sum, { ways }) => sum + ways, 0),
      nested: branches.some(({ nested }) => nested),
      size: branches.reduce((sum, { size }) => sum + size, 0),
    }
  },

  assertion: (inner: Risk): Risk => inner,

  /** @param most undefined: without end */
  repeat: (inner: Risk, least: number, most: number | undefined): Risk => {
    const turns = most ?? Math.max(least, 1) + 1
    const simple = inner.open === 0 && inner.ways === 1 && !inner.nested
    const size = Math.max(1, inner.size) * Math.max(1, most ?? least)
    if (turns <= 1 && most !== undefined)
      return { ...inner, ways: inner.ways + (least === 0 ? 1 : 0), size: Math.max(1, inner.size) }
    if (!simple) return { ...inner, nested: true, size }
    if (most === undefined) return { open: 1, ways: 1, nested: false, size }
    return { open: 0, ways: most - least + 1, nested: false, size }
  },
} as const

/** An upper bound of steps over a text of this length, from every start unless the pattern is anchored. */
export function stepBound({ open, ways, nested, size }: Risk, length: number, anchored: boolean): number {
  if (nested) return Number.POSITIVE_INFINITY
  return (length + 1) ** (anchored ? open : open + 1) * ways * (size + 1)
}
