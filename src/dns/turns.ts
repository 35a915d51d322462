/** So many at once; the others wait in line, first come, first served. */

export class Turns {
  readonly #limit: number
  #running = 0
  readonly #waiting = new Set<() => void>()

  constructor(limit: number) {
    this.#limit = limit
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limit) this.#running++
    else {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve)
      })
    }
    try {
      return await work()
    } finally {
      const [next] = this.#waiting
      if (next === undefined) this.#running--
      else {
        this.#waiting.delete(next)
        next()
      }
    }
  }
}
