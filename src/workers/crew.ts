/**
 * The workers of a node and the partitions of its spool: who has which, who replaces whom.
 *
 * A partition belongs to one process at a time: it is given to another one only when the process that had it has been
 * reaped. A worker that ends is replaced, the sooner the rarer it happens; where the replacement does not come up, another
 * worker takes over its partitions, so that what was accepted is delivered meanwhile. Starts and reloads follow one
 * another (`inTurn`).
 */

import cluster from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Panic } from '../events/events.ts'
import type { NodeCounts } from './node-counts.ts'
import type { Questions, Started, StartOptions, Topic } from './protocol.ts'
import { Watchdog } from './watchdog.ts'
import { WorkerHandle, type WorkerHandleHost, WorkerSilentError } from './worker-handle.ts'

export interface CrewHost extends WorkerHandleHost {
  readonly workers: number
  readonly counts: NodeCounts
  /** partitions that there are */
  readonly partitions: readonly number[]
  /** what a worker begins with that starts now */
  readonly startOptions: (index: number, partitions: readonly number[]) => StartOptions
  /** called before a worker starts */
  readonly prepareStart: () => Promise<void>
  readonly onGone: (worker: WorkerHandle) => void
  readonly panic: (level: Panic['level'], text: string) => void
  /** milliseconds of silence after which a worker is killed */
  readonly hangBound: number
  /** a worker was killed because it hung */
  readonly onHung: () => void
}

/** a spool may hold a million messages */
const START_MS = 300_000
/** a worker that has served so long was not broken from the start */
const HEALTHY_MS = 10_000
const FIRST_DELAY_MS = 100
const LONGEST_DELAY_MS = 30_000
/** ends in a row after which others take over */
const HAND_OVER_AFTER = 3
/** longer than a worker drains */
const STOP_MS = 40_000

export class Crew {
  readonly #host: CrewHost
  readonly #workers: (WorkerHandle | undefined)[]
  /** by partition, whose it is */
  readonly #owners = new Map<number, number>()
  /** how often each was replaced, by index */
  readonly #restarts: number[]
  /** ends in a row, by index */
  readonly #ends: number[]
  readonly #stopping = new AbortController()
  readonly #watchdog: Watchdog<WorkerHandle>
  #lastTurn: Promise<unknown> = Promise.resolve()

  constructor(host: CrewHost) {
    this.#host = host
    this.#workers = Array.from({ length: host.workers })
    this.#ends = Array.from({ length: host.workers }, () => 0)
    this.#restarts = Array.from({ length: host.workers }, () => 0)
    for (let index = 0; index < host.workers; index++) this.#owners.set(index, index)
    for (const partition of host.partitions) this.#owners.set(partition, partition % host.workers)
    this.#watchdog = new Watchdog({
      bound: host.hangBound,
      clock: () => performance.now(),
      workers: () => this.serving,
      complete: () => this.complete,
      onHung: (worker, silence) => this.#killHung(worker, silence),
    })
    // the kernel shares the sockets; nothing is handed over
    cluster.schedulingPolicy = cluster.SCHED_NONE
    cluster.setupPrimary({
      exec: fileURLToPath(new URL(`main.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)),
      args: [],
      serialization: 'advanced',
    })
  }

  /** Starts all. @throws what the first one met that could not start; none is left then */
  async start(): Promise<readonly Started[]> {
    await this.#host.prepareStart()
    const handles = this.#workers.map((_, index) => this.#fork(index))
    const starts = await Promise.allSettled(handles.map((handle) => this.#begin(handle)))
    const failed = starts.filter((start) => start.status === 'rejected')
    if (failed.length > 0) {
      await this.stop()
      throw failed[0]?.reason
    }
    for (const handle of handles) this.#watch(handle)
    this.#watchdog.start()
    return starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []))
  }

  /** Those that take mail. */
  get serving(): readonly WorkerHandle[] {
    return this.present.filter(({ serving }) => serving)
  }

  /** Those that can be asked: those that serve, and those that drain before another takes their place. */
  get present(): readonly WorkerHandle[] {
    return this.#workers.filter((worker) => worker?.started === true) as WorkerHandle[]
  }

  /** how many there should be */
  get size(): number {
    return this.#workers.length
  }

  /** Whether all serve. */
  get complete(): boolean {
    return this.serving.length === this.size
  }

  /** every process, one that is starting included */
  get pids(): readonly number[] {
    return this.#workers.flatMap((worker) => (worker === undefined ? [] : [worker.pid]))
  }

  /** How often the place of this worker had to be filled anew. */
  restartsOf(pid: number): number {
    const index = this.#workers.findIndex((worker) => worker?.pid === pid)
    return this.#restarts[index] ?? 0
  }

  /** Asks all that serve. `missing`: sentences that name those that are not there or did not answer. */
  async askAll<T extends Topic>(
    topic: T,
    ask: Questions[T]['ask'],
    deadline: number,
  ): Promise<{ readonly answers: readonly Questions[T]['answer'][]; readonly missing: readonly string[] }> {
    const asked = this.#workers.map(async (worker, index) => {
      if (worker?.started !== true) throw new WorkerSilentError(`worker ${index} is being replaced`)
      try {
        return await worker.ask(topic, ask, deadline)
      } catch (error) {
        // it has closed what it was asked for, perhaps
        if (worker.draining) throw new WorkerSilentError(`worker ${index} is being replaced`)
        throw error
      }
    })
    const ends = await Promise.allSettled(asked)
    const errors = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []))
    const worse = errors.find((error) => !(error instanceof WorkerSilentError))
    if (worse !== undefined) throw worse
    return {
      answers: ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : [])),
      missing: errors.map((error) => (error as Error).message),
    }
  }

  /** Changes of what the workers are follow one another. */
  inTurn<T>(change: () => Promise<T>): Promise<T> {
    const done = this.#lastTurn.then(change)
    this.#lastTurn = done.catch(() => undefined)
    return done
  }

  /**
   * Lets a worker drain and end, and starts another one in its place, with its partitions and the configuration in force.
   * @throws what the new one met; it is tried again then, as after a death
   */
  async restart(index: number): Promise<void> {
    // never between the halves of a reload
    const before = await this.inTurn(async () => await Promise.resolve(this.#retire(index)))
    await this.#drained(before)
    if (this.#stopping.signal.aborted) throw new Error('the node ends')
    this.#host.counts.clear(index + 1)
    this.#host.onGone(before)
    this.#workers[index] = undefined
    const failure = await this.inTurn(() => this.#startAnew(index))
    if (failure !== undefined) throw failure
  }

  /** Lets all drain and end. Resolves when the last one has been reaped. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#watchdog.stop()
    await Promise.all(
      this.#workers.map(async (worker) => {
        if (worker === undefined) return
        await this.#drained(worker)
        this.#host.onGone(worker)
      }),
    )
  }

  #retire(index: number): WorkerHandle {
    const worker = this.#workers[index]
    if (worker?.serving !== true || !this.complete) throw new Error('a worker is being replaced')
    this.#host.panic('notice', `${worker.name} drains and is restarted`)
    worker.stop()
    return worker
  }

  /** Resolves when it has been reaped. */
  async #drained(worker: WorkerHandle): Promise<void> {
    worker.stop()
    const timer = setTimeout(() => worker.kill(), STOP_MS)
    await worker.exited
    clearTimeout(timer)
  }

  #fork(index: number): WorkerHandle {
    const handle = new WorkerHandle(index, this.#host)
    this.#workers[index] = handle
    return handle
  }

  async #begin(handle: WorkerHandle): Promise<Started> {
    const options = this.#host.startOptions(handle.index, this.#partitionsOf(handle.index))
    const started = await handle.ask('start', options, START_MS)
    handle.started = true
    return started
  }

  /** Its own one first: that one takes new mail. */
  #partitionsOf(index: number): readonly number[] {
    const own = [...this.#owners].flatMap(([partition, owner]) => (owner === index ? [partition] : []))
    if (own.length === 0) {
      let fresh = 0
      while (this.#owners.has(fresh)) fresh++
      this.#owners.set(fresh, index)
      return [fresh]
    }
    return own.toSorted((a, b) => Number(b === index) - Number(a === index) || a - b)
  }

  #watch(handle: WorkerHandle): void {
    void handle.exited.then(async (how) => {
      // who told it to end waits for that
      if (handle.draining) return
      try {
        await this.#replace(handle, how)
      } catch (error) {
        this.#host.panic('critical', `worker ${handle.index} cannot be replaced: ${String(error)}`)
      }
    })
  }

  /** What it had accepted is on the disk: its replacement goes on with it. */
  #killHung(worker: WorkerHandle, silence: number): void {
    worker.hungSince = Date.now() - silence
    const seconds = Math.round(silence / 1000)
    this.#host.panic('critical', `${worker.name} has not said anything for ${seconds} seconds and is killed`)
    this.#host.onHung()
    worker.kill()
  }

  async #replace(gone: WorkerHandle, how: string): Promise<void> {
    const { index } = gone
    const { counts, panic, onGone } = this.#host
    counts.clear(index + 1)
    if (this.#stopping.signal.aborted) return
    onGone(gone)
    this.#workers[index] = undefined
    const ends = (gone.hungSince ?? Date.now()) - gone.began > HEALTHY_MS ? 1 : (this.#ends[index] ?? 0) + 1
    this.#ends[index] = ends
    panic('critical', `${gone.name} has ended (${how}) and is replaced`)
    this.#restarts[index] = (this.#restarts[index] ?? 0) + 1
    if (ends >= HAND_OVER_AFTER) await this.inTurn(() => this.#handOver(index))
    const pause = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 4 ** (ends - 1))
    await delay(pause, undefined, { signal: this.#stopping.signal }).catch(() => undefined)
    await this.inTurn(() => this.#startAnew(index))
  }

  /** @returns why it could not; it is tried again then */
  async #startAnew(index: number): Promise<Error | undefined> {
    if (this.#stopping.signal.aborted) return new Error('the node ends')
    await this.#host.prepareStart()
    const handle = this.#fork(index)
    try {
      await this.#begin(handle)
      return undefined
    } catch (error) {
      const text = `${handle.name} could not start: ${String(error)}`
      this.#host.panic('critical', text)
      handle.kill()
      return new Error(text)
    } finally {
      // its end, if that is what it came to, leads here again
      this.#watch(handle)
    }
  }

  /** What the worker had been given is delivered by others until it is back, and stays theirs. */
  async #handOver(index: number): Promise<void> {
    for (const [partition, owner] of this.#owners) {
      const heir = this.serving.find((worker) => worker.index !== index)
      if (owner !== index || heir === undefined) continue
      try {
        await heir.ask('adopt', { partition }, START_MS)
        this.#owners.set(partition, heir.index)
        this.#host.panic('warning', `${heir.name} has taken over partition ${partition} of the spool`)
      } catch (error) {
        this.#host.panic('critical', `${heir.name} cannot take over partition ${partition}: ${String(error)}`)
        // it may have it all the same, later: nobody could tell
        if (error instanceof WorkerSilentError) heir.kill()
      }
    }
  }
}
