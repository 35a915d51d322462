/**
 * Which looks are written down. The page looks again every few seconds by itself, and says so, but nobody has to believe it: of
 * one session each command is written down when it is given, and again after a while. Bounded: of those beyond, each is.
 */

import type { PageSession } from './sessions.ts'

const AGAIN_MS = 600_000
/** commands of one session that are remembered */
const MAX_COMMANDS = 64

export class Looks {
  readonly #clock: () => number
  /** of each session by command, the first one first */
  readonly #seen = new WeakMap<PageSession, Map<string, number>>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Whether this is to be written down, which it then counts as. */
  isNew(session: PageSession, command: string): boolean {
    const seen = this.#seen.get(session) ?? new Map<string, number>()
    this.#seen.set(session, seen)
    const now = this.#clock()
    const before = seen.get(command)
    if (before !== undefined && now >= before && now - before < AGAIN_MS) return false
    seen.delete(command)
    seen.set(command, now)
    const [oldest] = seen.keys()
    if (seen.size > MAX_COMMANDS && oldest !== undefined) seen.delete(oldest)
    return true
  }
}
