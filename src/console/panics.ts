/** The last entries of the panic log, by level: for `paniclog`. */

import type { Panic, ServerEvent } from '../events/events.ts'

/** Momentum, console-commands/paniclog */
const KEPT = 10
/** characters of one entry */
const MAX_TEXT = 2000

export class PanicMemory {
  readonly #byLevel = new Map<Panic['level'], Panic[]>()

  /** For `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    if (event.kind !== 'panic') return
    const kept = this.#byLevel.get(event.level) ?? []
    this.#byLevel.set(event.level, kept)
    kept.push({ ...event, text: event.text.slice(0, MAX_TEXT) })
    if (kept.length > KEPT) kept.shift()
  }

  /** the worst level first, in each the oldest entry first */
  get entries(): readonly Panic[] {
    return levels.flatMap((level) => this.#byLevel.get(level) ?? [])
  }
}

const levels: readonly Panic['level'][] = ['critical', 'error', 'warning', 'notice', 'info', 'debug']
