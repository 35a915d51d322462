/**
 * Connections that wait for the next message to the same host, each for some seconds; then they say QUIT.
 *
 * Bounded: the one that has waited longest goes when there are too many. A connection that broke or that the other side
 * spoke on is not handed out. Nothing here keeps the process alive.
 */

import type { SmtpConnection } from './smtp-connection.ts'

interface Pooled {
  readonly connection: Pick<SmtpConnection, 'pause' | 'quit' | 'destroy' | 'isQuiet'>
}

interface Waiting<T> {
  readonly key: string
  readonly value: T
  readonly timer: NodeJS.Timeout
}

const MAX_IDLE = 100
/** what a timer can hold */
const MAX_TIMER = 2 ** 31 - 1

export class ConnectionPool<T extends Pooled> {
  /** oldest first */
  readonly #waiting = new Set<Waiting<T>>()
  readonly #byKey = new Map<string, Waiting<T>[]>()
  #closed = false

  get size(): number {
    return this.#waiting.size
  }

  /** @param seconds after which it is closed */
  put(key: string, value: T, seconds: number): void {
    if (this.#closed) {
      value.connection.quit()
      return
    }
    value.connection.pause()
    const timer = setTimeout(() => this.#end(waiting), Math.min(seconds * 1000, MAX_TIMER)).unref()
    const waiting: Waiting<T> = { key, value, timer }
    this.#waiting.add(waiting)
    this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), waiting])
    const [oldest] = this.#waiting
    if (this.#waiting.size > MAX_IDLE && oldest !== undefined) this.#end(oldest)
  }

  /** The one that was used last: the others may then end. */
  take(key: string): T | undefined {
    for (;;) {
      const last = this.#byKey.get(key)?.at(-1)
      if (last === undefined) return undefined
      this.#forget(last)
      if (last.value.connection.isQuiet) return last.value
      last.value.connection.destroy()
    }
  }

  /** Ends all; what comes later is ended at once. */
  close(): void {
    this.#closed = true
    for (const waiting of this.#waiting) this.#end(waiting)
  }

  #end(waiting: Waiting<T>): void {
    this.#forget(waiting)
    waiting.value.connection.quit()
  }

  #forget(waiting: Waiting<T>): void {
    clearTimeout(waiting.timer)
    this.#waiting.delete(waiting)
    const rest = (this.#byKey.get(waiting.key) ?? []).filter((each) => each !== waiting)
    if (rest.length === 0) this.#byKey.delete(waiting.key)
    else this.#byKey.set(waiting.key, rest)
  }
}
