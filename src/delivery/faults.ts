/** Tells what goes wrong in delivery; a fault of the configuration once until the next reload, and only so many of them. */

import type { EventSink } from '../events/events.ts'

/** different faults of the configuration that are told between two reloads */
const MAX_TOLD = 100

export class Faults {
  readonly #events: EventSink
  readonly #now: () => number
  readonly #told = new Set<string>()

  constructor(events: EventSink, now: () => number) {
    this.#events = events
    this.#now = now
  }

  /** @param once a fault of the configuration */
  readonly panic = (text: string, once?: 'once'): void => {
    if (once === 'once') {
      if (this.#told.has(text) || this.#told.size >= MAX_TOLD) return
      this.#told.add(text)
    }
    this.#events.emit({ kind: 'panic', at: this.#now(), level: 'error', module: 'delivery', text })
  }

  /** Another configuration is in force. */
  forget(): void {
    this.#told.clear()
  }
}
