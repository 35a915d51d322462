/** What a pattern is made of, as the parser leaves it to the compiler. */

import type { OctetSet } from './octet-set.ts'

/** no upper limit of a repetition */
export const UNLIMITED = 0x7fffffff

/** Places that match nothing but where they are. */
export type Place =
  | 'start'
  | 'end'
  | 'end-or-newline'
  | 'line-start'
  | 'line-end'
  | 'word-edge'
  | 'no-word-edge'

export type RepeatMode = 'greedy' | 'lazy' | 'possessive'

export type PatternNode =
  | { readonly kind: 'set'; readonly set: OctetSet }
  | { readonly kind: 'sequence'; readonly items: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly branches: readonly PatternNode[] }
  | {
      readonly kind: 'repeat'
      readonly body: PatternNode
      readonly least: number
      readonly most: number
      readonly mode: RepeatMode
    }
  | { readonly kind: 'group'; readonly number: number; readonly body: PatternNode }
  | { readonly kind: 'atomic'; readonly body: PatternNode }
  | {
      readonly kind: 'look'
      readonly behind: boolean
      readonly negative: boolean
      readonly body: PatternNode
    }
  | { readonly kind: 'reference'; readonly number: number; readonly fold: boolean }
  | { readonly kind: 'place'; readonly place: Place }
  /** `\K`: the match is taken to begin here */
  | { readonly kind: 'keep' }

/** A pattern that was read. */
export interface ParsedPattern {
  readonly root: PatternNode
  /** names of groups, by number from 1 */
  readonly names: ReadonlyMap<number, string>
  readonly groups: number
}

/** How many octets a node matches, when that is always the same; else undefined. */
export function fixedLength(node: PatternNode): number | undefined {
  switch (node.kind) {
    case 'set':
      return 1
    case 'look':
    case 'place':
    case 'keep':
      return 0
    case 'reference':
      return undefined
    case 'group':
    case 'atomic':
      return fixedLength(node.body)
    case 'sequence':
      return node.items.reduce<number | undefined>((sum, item) => {
        const length = fixedLength(item)
        return sum === undefined || length === undefined ? undefined : sum + length
      }, 0)
    case 'choice': {
      const [first, ...others] = node.branches.map(fixedLength)
      return others.every((length) => length === first) ? first : undefined
    }
    default: {
      const length = fixedLength(node.body)
      return length !== undefined && node.least === node.most ? length * node.least : undefined
    }
  }
}
