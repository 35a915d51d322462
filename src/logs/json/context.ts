/**
 * A validation context in a line of JSON: as much of it as there is room for, whatever a script calls its keys. Where that is
 * not all, the longest values are left out: a client who brings long ones, in its certificate say, hides these and no others.
 */

import type { ContextSnapshot } from '../../mail/envelope.ts'
import { type JsonValue, octetsOf, text } from './text.ts'

/** octets of a line that a context takes at most */
export const MAX_CONTEXT = 8192

/** The values that there is room for, in their order. */
export function shownContext(context: ContextSnapshot): JsonValue {
  return Object.fromEntries(shownEntries(context))
}

/** How many values there is no room for; undefined: none. */
export function leftOut(context: ContextSnapshot): number | undefined {
  return Object.keys(context).length - shownEntries(context).length || undefined
}

function shownEntries(context: ContextSnapshot): readonly (readonly [string, string])[] {
  const all = Object.entries(context).map(([name, value], at) => {
    const entry = [text(name), text(value)] as const
    return { at, entry, octets: octetsOf(entry[0]) + octetsOf(entry[1]) + PUNCTUATION }
  })
  let room = MAX_CONTEXT
  const shown = all
    .toSorted((a, b) => a.octets - b.octets || a.at - b.at)
    .filter(({ octets }) => {
      room -= octets
      return room >= 0
    })
  return shown.toSorted((a, b) => a.at - b.at).map(({ entry }) => entry)
}

/** `"":"",` */
const PUNCTUATION = 6
