/** Time as the queue sees it; a test has one of its own. */
export interface Clock {
  /** milliseconds since the epoch */
  now(): number
  /** Calls `run` once, at `at` or a little later, never earlier than asked by `now()`; the answer cancels it. */
  schedule(at: number, run: () => void): () => void
}

/** what setTimeout can wait; the rest is waited for by waiting again */
const MAX_TIMER = 2 ** 31 - 1

export const systemClock: Clock = {
  now: Date.now,
  schedule(at, run) {
    let timer: NodeJS.Timeout
    const wait = (): void => {
      const left = at - Date.now()
      timer =
        left <= 0
          ? setTimeout(run, 0)
          : setTimeout(left > MAX_TIMER ? wait : check, Math.min(left, MAX_TIMER))
    }
    // a timer may fire a millisecond early, and the clock may have been set back meanwhile
    const check = (): void => (Date.now() < at ? wait() : run())
    wait()
    return () => clearTimeout(timer)
  },
}
