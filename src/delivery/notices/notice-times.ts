/**
 * When the next notice of delay of each message is due, by its number in the message table: eight octets for each, and
 * none as long as nobody is to be told. A number that is used again has to be set again, or cleared.
 */

const FIRST_SIZE = 1024

export class NoticeTimes {
  #times = new Float64Array(0)
  /** none is due before this; there may be none at all then */
  #next = Number.POSITIVE_INFINITY

  /** The first one is not due before this; undefined where there is none. */
  get next(): number | undefined {
    return this.#next === Number.POSITIVE_INFINITY ? undefined : this.#next
  }

  /** @param at milliseconds since the epoch; undefined: never */
  set(number: number, at: number | undefined): void {
    if (number >= this.#times.length) {
      if (at === undefined) return
      const larger = new Float64Array(Math.max(FIRST_SIZE, Math.ceil((number + 1) * 1.5)))
      larger.set(this.#times)
      this.#times = larger
    }
    this.#times[number] = at ?? 0
    if (at !== undefined) this.#next = Math.min(this.#next, at)
  }

  /** Takes out those that are due, the one that was due last first. It goes over all. */
  takeDue(now: number): readonly number[] {
    const due: { readonly number: number; readonly at: number }[] = []
    let next = Number.POSITIVE_INFINITY
    // by index: an iterator over a million would take its time
    for (let number = 0; number < this.#times.length; number++) {
      const at = this.#times[number] ?? 0
      if (at === 0) continue
      if (at > now) next = Math.min(next, at)
      else {
        due.push({ number, at })
        this.#times[number] = 0
      }
    }
    this.#next = next
    return due.toSorted((a, b) => b.at - a.at || b.number - a.number).map(({ number }) => number)
  }
}
