/**
 * What a session has to hear of when the server begins to drain. One listener stands for all of them: an AbortSignal
 * keeps its listeners in a list that is walked to take one out, which a thousand sessions would pay for at each end.
 */

const waiting = new WeakMap<AbortSignal, Set<() => void>>()

/**
 * @param run must not throw; never called when the signal is aborted already
 * @returns takes it back
 */
export function atShutdown(shuttingDown: AbortSignal, run: () => void): () => void {
  const all = waiting.get(shuttingDown) ?? listen(shuttingDown)
  all.add(run)
  return () => all.delete(run)
}

function listen(shuttingDown: AbortSignal): Set<() => void> {
  const all = new Set<() => void>()
  waiting.set(shuttingDown, all)
  const tell = (): void => {
    for (const run of all) run()
  }
  shuttingDown.addEventListener('abort', tell, { once: true })
  return all
}
