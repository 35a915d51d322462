/**
 * paniclog: what an operator must know, one line each (Momentum, log-formats-paniclog): `<time>:<module>: text`.
 * The level is not part of the format; which levels are told is decided where they are told.
 */

import type { Panic } from '../events/events.ts'
import { escapeText } from './escape.ts'
import { epochSeconds } from './mainlog.ts'

/** The line of an event, without its line ending. */
export function formatPaniclog({ at, module, text }: Panic): string {
  return `${epochSeconds(at)}:${escapeText(module, ':')}: ${escapeText(text)}`
}
