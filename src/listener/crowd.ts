/**
 * Clients of the services by where they come from: whoever holds more than a share of the few places that there are keeps
 * everybody else out without a word. What comes through a UNIX socket has no address, and is not counted.
 */

export class Crowd {
  readonly #most: number
  readonly #counts = new Map<string, number>()

  /** @param most of one address at once */
  constructor(most: number) {
    this.#most = most
  }

  /** @param address '' for none. @returns what gives the place back, however often it is called; undefined: there is none */
  enter(address: string): (() => void) | undefined {
    if (address === '') return () => undefined
    const before = this.#counts.get(address) ?? 0
    if (before >= this.#most) return undefined
    this.#counts.set(address, before + 1)
    let inside = true
    return () => {
      if (inside) this.#leave(address)
      inside = false
    }
  }

  #leave(address: string): void {
    const left = (this.#counts.get(address) ?? 1) - 1
    if (left === 0) this.#counts.delete(address)
    else this.#counts.set(address, left)
  }
}
