/**
 * Alarms that whoever asks again and again could fill a log with: each text is told once in a while, however others come between.
 * Bounded: when there are too many different ones, a line says that the others are left out.
 */

import type { EventSink, Panic } from './events.ts'

export interface QuietAlarmsOptions {
  readonly events: EventSink
  readonly module: Panic['module']
  readonly clock: () => number
  /** milliseconds until the same is told again */
  readonly interval: number
  /** different ones in that time */
  readonly most?: number
}

const MOST = 32

export class QuietAlarms {
  readonly #options: QuietAlarmsOptions
  /** when each was told, the first one first */
  readonly #told = new Map<string, number>()
  #fullAt: number | undefined

  constructor(options: QuietAlarmsOptions) {
    this.#options = options
  }

  readonly tell = (text: string): void => {
    const now = this.#options.clock()
    for (const [each, at] of this.#told) {
      if (!this.#isOver(at, now)) break
      this.#told.delete(each)
    }
    if (this.#told.has(text)) return
    if (this.#told.size < (this.#options.most ?? MOST)) {
      this.#told.set(text, now)
      this.#emit(text, now)
    } else if (this.#fullAt === undefined || this.#isOver(this.#fullAt, now)) {
      this.#fullAt = now
      this.#emit('there are more alarms of other kinds, which are left out', now)
    }
  }

  /** A clock that was set back silences nothing. */
  #isOver(at: number, now: number): boolean {
    return now < at || now - at >= this.#options.interval
  }

  #emit(text: string, at: number): void {
    const { events, module } = this.#options
    events.emit({ kind: 'panic', at, level: 'error', module, text })
  }
}
