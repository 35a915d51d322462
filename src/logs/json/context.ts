/** A validation context in a line of JSON: as much of it as there is room for, whatever a script calls its keys. */

import type { ContextSnapshot } from '../../mail/envelope.ts'
import { type JsonValue, octetsOf, text } from './text.ts'

/** octets of a line that a context takes at most */
export const MAX_CONTEXT = 8192

/** The first values that there is room for. */
export function shownContext(context: ContextSnapshot): JsonValue {
  return Object.fromEntries(shownEntries(context))
}

/** How many values there is no room for; undefined: none. */
export function leftOut(context: ContextSnapshot): number | undefined {
  return Object.keys(context).length - shownEntries(context).length || undefined
}

function shownEntries(context: ContextSnapshot): readonly (readonly [string, string])[] {
  const shown: (readonly [string, string])[] = []
  let room = MAX_CONTEXT
  for (const [name, value] of Object.entries(context)) {
    const entry = [text(name), text(value)] as const
    room -= octetsOf(entry[0]) + octetsOf(entry[1]) + PUNCTUATION
    if (room < 0) break
    shown.push(entry)
  }
  return shown
}

/** `"":"",` */
const PUNCTUATION = 6
