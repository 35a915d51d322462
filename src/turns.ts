/** Changes of what is in force follow one another, and a reload has two halves: what can go wrong, and the switch. */

/** A reload that can still be taken back. */
export interface PreparedReload {
  commit(): Promise<void>
  rollback(): Promise<void>
}

export class Turns {
  #last: Promise<unknown> = Promise.resolve()

  /** Runs a change when those before it have ended. */
  take<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#last.then(change)
    this.#last = done.catch(() => undefined)
    return done
  }

  /** The same for one with two halves: no other begins before the second one has ended. @throws what `prepare` throws */
  async prepare(prepare: () => Promise<PreparedReload>): Promise<PreparedReload> {
    const { promise, resolve, reject } = Promise.withResolvers<PreparedReload>()
    void this.take(async () => {
      const { promise: over, resolve: end } = Promise.withResolvers<void>()
      try {
        const prepared = await prepare()
        resolve({
          commit: () => prepared.commit().finally(end),
          rollback: () => prepared.rollback().finally(end),
        })
        await over
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
      }
    })
    return await promise
  }
}
