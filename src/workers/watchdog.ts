/**
 * Finds workers that hang: alive for the system, and silent, because a loop without end or a stopped process keeps them
 * from everything. Each worker says something every second, so silence for the whole bound has no other reason.
 *
 * Time counts only while this process looks on time: a machine that slept, or one on which nobody gets a processor, makes
 * a look come late, and then every worker is given the whole bound anew. A worker that changes its configuration at the
 * supervisor's word may be busy with that, and whoever asked for the change has a deadline of its own.
 *
 * One is told of at a look, and the next only when every place is filled again, or after as long once more: not all
 * sockets may lose their last owner at once because of one cause.
 */

export interface WatchedWorker {
  /** set by whoever hears the worker, taken back here */
  heard: boolean
  /** it has a reason to be silent */
  readonly excused: boolean
}

export interface WatchdogHost<W extends WatchedWorker> {
  /** milliseconds of silence after which a worker hangs */
  readonly bound: number
  /** milliseconds, from anywhere; it must not jump when somebody sets the time */
  readonly clock: () => number
  /** those that have started and not ended */
  readonly workers: () => readonly W[]
  /** whether no worker is missing */
  readonly complete: () => boolean
  /** told of each worker once @param silence milliseconds */
  readonly onHung: (worker: W, silence: number) => void
}

/** looks during one bound */
const LOOKS = 12

export class Watchdog<W extends WatchedWorker> {
  readonly #host: WatchdogHost<W>
  /** milliseconds */
  readonly #silence = new WeakMap<W, number>()
  readonly #told = new WeakSet<W>()
  #last: number
  #timer: NodeJS.Timeout | undefined

  constructor(host: WatchdogHost<W>) {
    this.#host = host
    this.#last = host.clock()
  }

  start(): void {
    this.#last = this.#host.clock()
    this.#timer = setInterval(() => this.look(), this.#beat).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** What the timer does. */
  look(): void {
    const { bound, clock, workers, complete, onHung } = this.#host
    const now = clock()
    const passed = now - this.#last
    this.#last = now
    const late = passed > 2 * this.#beat
    for (const worker of workers()) {
      const forgiven = late || worker.heard || worker.excused
      this.#silence.set(worker, forgiven ? 0 : (this.#silence.get(worker) ?? 0) + passed)
      worker.heard = false
    }
    const silenceOf = (worker: W): number => this.#silence.get(worker) ?? 0
    const patience = complete() ? bound : 2 * bound
    const hung = workers().find((worker) => !this.#told.has(worker) && silenceOf(worker) >= patience)
    if (hung === undefined) return
    this.#told.add(hung)
    onHung(hung, silenceOf(hung))
  }

  get #beat(): number {
    return this.#host.bound / LOOKS
  }
}
