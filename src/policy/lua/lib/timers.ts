/**
 * `msys.timer.after`, `at` and `every`: functions of scripts that run by the clock, each time in a callout of their own.
 *
 * A timer that nothing refers to any more is stopped, as in Momentum. A repeating one whose last run is still under way
 * skips a turn. All stop when the scripts are replaced.
 */

import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Boxes } from './boxes.ts'
import type { Family, LibraryHost } from './family.ts'

interface Timer {
  readonly kind: 'after' | 'at' | 'every'
  /** seconds from now, or since the epoch for `at` */
  readonly time: number
  /** registry reference of the function */
  readonly function: number
  readonly name: string
  /** undefined while it is stopped */
  cancel: (() => void) | undefined
  running: boolean
}

const maxTimers = 1000
const shortestInterval = 0.01
/** seconds: setTimeout's own limit */
const longestDelay = 2_147_483

export function timerFamily(host: LibraryHost, boxes: Boxes): Family {
  const timers = new Timers(host, boxes)
  const timerAt = (L: number): Timer => timers.get(boxes.idAt(L, 1, 'timer'))
  return {
    functions: {
      'msys.timer.after': (L) => timers.create(L, 'after'),
      'msys.timer.at': (L) => timers.create(L, 'at'),
      'msys.timer.every': (L) => timers.create(L, 'every'),
    },
    helpers: {
      timer_stop: (L) => {
        timers.stop(timerAt(L))
        return 0
      },
      timer_start: (L) => {
        timers.start(timerAt(L))
        return 0
      },
      timer_name: (L) => {
        host.state.push(L, timerAt(L).name)
        return 1
      },
      // the collector calls this: it must neither fail nor make anything
      timer_collected: (L) => {
        timers.drop(boxes.idAt(L, 1, 'timer'))
        return 0
      },
    },
  }
}

class Timers {
  readonly #host: LibraryHost
  readonly #boxes: Boxes
  readonly #timers = new Map<number, Timer>()
  #closed = false

  constructor(host: LibraryHost, boxes: Boxes) {
    this.#host = host
    this.#boxes = boxes
    host.whenClosed(() => {
      this.#closed = true
      for (const timer of this.#timers.values()) this.stop(timer)
    })
  }

  create(L: number, kind: Timer['kind']): number {
    const args = new Arguments(this.#host.state, L, `msys.timer.${kind}`)
    const least = kind === 'every' ? shortestInterval : 0
    const time = args.number(1, least, kind === 'at' ? Number.MAX_SAFE_INTEGER : longestDelay)
    if (!args.isFunction(2)) throw args.bad(2, 'function')
    const name = args.optionalString(3) ?? ''
    // those that nothing refers to any more make room
    if (this.#timers.size >= maxTimers) this.#host.state.collect()
    if (this.#timers.size >= maxTimers) throw new ScriptError(`scripts have at most ${maxTimers} timers`)
    const timer: Timer = {
      kind,
      time,
      function: args.function(2),
      name,
      cancel: undefined,
      running: false,
    }
    this.#timers.set(this.#boxes.push(L, 'timer'), timer)
    this.start(timer)
    return 1
  }

  get(id: number): Timer {
    const timer = this.#timers.get(id)
    if (timer === undefined) throw new ScriptError('this timer is gone')
    return timer
  }

  start(timer: Timer): void {
    this.stop(timer)
    if (this.#closed) return
    const { now } = this.#host.services
    const seconds = timer.kind === 'at' ? timer.time - now() / 1000 : timer.time
    const wait = Math.min(Math.max(0, seconds), longestDelay)
    timer.cancel = this.#host.services.after(wait * 1000, () => {
      timer.cancel = undefined
      if (timer.kind === 'every') this.start(timer)
      if (!timer.running) void this.#fire(timer)
    })
  }

  stop(timer: Timer): void {
    timer.cancel?.()
    timer.cancel = undefined
  }

  drop(id: number): void {
    const timer = this.#timers.get(id)
    if (timer === undefined) return
    this.stop(timer)
    this.#timers.delete(id)
    this.#host.release(timer.function)
  }

  async #fire(timer: Timer): Promise<void> {
    timer.running = true
    const outcome = await this.#host.run({ function: timer.function })
    timer.running = false
    if (outcome.kind === 'failed') {
      this.#host.log.tell('error', `timer "${timer.name}" error: ${outcome.message}`)
    }
  }
}
