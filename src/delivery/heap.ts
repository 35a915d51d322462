/** The order of a binary heap, whatever it holds: places are numbered from 0, and the first one is before all others. */
export abstract class Heap {
  /** false where one of the places is empty */
  protected abstract before(i: number, j: number): boolean
  protected abstract swap(i: number, j: number): void

  /** Moves what stands at a place towards the first one, as far as it belongs. */
  protected up(start: number): void {
    for (let i = start; i > 0; ) {
      const parent = (i - 1) >> 1
      if (!this.before(i, parent)) return
      this.swap(i, parent)
      i = parent
    }
  }

  /** Moves it the other way. */
  protected down(start: number): void {
    for (let i = start; ; ) {
      const left = 2 * i + 1
      const child = this.before(left + 1, left) ? left + 1 : left
      if (!this.before(child, i)) return
      this.swap(i, child)
      i = child
    }
  }
}
