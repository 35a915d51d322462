/** Time as the queue sees it; a test has one of its own. */
export interface Clock {
  /** milliseconds since the epoch */
  now(): number
  /** Calls `run` once, at `at` or a little later, never earlier than asked by `now()`; the answer cancels it. */
  schedule(at: number, run: () => void): () => void
}

/** the rest is waited for by waiting again: a timer does not notice when the clock is set forward */
const LOOK_AGAIN_MS = 60_000

export const systemClock: Clock = {
  now: Date.now,
  schedule(at, run) {
    let timer: NodeJS.Timeout
    const wait = (): void => {
      const left = at - Date.now()
      // a timer may also fire a millisecond early
      timer = left <= 0 ? setTimeout(run, 0) : setTimeout(wait, Math.min(left, LOOK_AGAIN_MS))
    }
    wait()
    return () => clearTimeout(timer)
  },
}

/** The lesser of two times, of which each may be missing. */
export function earlier(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
}
