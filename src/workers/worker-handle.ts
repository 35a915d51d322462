/** One worker process, as the supervisor has it: questions with a deadline, and its end. */

import cluster, { type Worker } from 'node:cluster'
import type { TracedLines } from '../console/inside/traces.ts'
import type { AuthFailure } from '../smtp/auth/failures.ts'
import { type FromWorker, type Questions, type Topic, type ToWorker, toError } from './protocol.ts'
import type { Snapshot } from './snapshot.ts'

export interface WorkerHandleHost {
  readonly onFailure: (failure: AuthFailure, from: WorkerHandle) => void
  readonly onTraced: (traced: TracedLines) => void
}

interface Waiting {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
  readonly topic: Topic
}

/** a worker may be busy with these for long; who asks has a deadline */
const changes: readonly Topic[] = ['start', 'prepare', 'commit', 'rollback', 'adopt', 'flushTls']

/** the channel of a process that is gone ends by itself, unless another one inherited it */
const LAST_WORDS_MS = 1000

/** The worker has not said anything in time, or is gone. The message names it. */
export class WorkerSilentError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'WorkerSilentError'
  }
}

export class WorkerHandle {
  readonly index: number
  /** resolves with how it ended once the process has been reaped */
  readonly exited: Promise<string>
  /** milliseconds since the epoch */
  readonly began = Date.now()
  /** whether it has started and not ended */
  started = false
  /** whether it has said anything; who looks takes it back */
  heard = true
  /** milliseconds since the epoch: since when it has hung, where it was killed for that */
  hungSince: number | undefined
  /** what it said last that it had counted */
  counted: Snapshot['counters']['counts'] = { delivered: 0, failed: 0, rejected: 0, received: 0 }
  /** its metrics as it said last */
  metrics: readonly object[] = []
  readonly #worker: Worker
  readonly #host: WorkerHandleHost
  readonly #waiting = new Map<number, Waiting>()
  #draining = false
  #nextId = 0
  #gone = false

  constructor(index: number, host: WorkerHandleHost) {
    this.index = index
    this.#host = host
    this.#worker = cluster.fork()
    this.#worker.on('message', (message: FromWorker) => this.#hear(message))
    const { promise, resolve } = Promise.withResolvers<string>()
    this.exited = promise
    const end = (how: string): void => {
      this.#gone = true
      this.started = false
      for (const { reject, timer } of this.#waiting.values()) {
        clearTimeout(timer)
        reject(new WorkerSilentError(`${this.name} has ended (${how})`))
      }
      this.#waiting.clear()
      resolve(how)
    }
    this.#worker.on('exit', (code, signal) => {
      const how = signal ?? `exit code ${code}`
      if (!this.#worker.isConnected()) return end(how)
      // what it said last may still be in the channel
      const timer = setTimeout(end, LAST_WORDS_MS, how)
      this.#worker.once('disconnect', () => {
        clearTimeout(timer)
        end(how)
      })
    })
    // no process at all, or a channel that broke: the process's end is told by `exit`
    this.#worker.on('error', (error) => {
      if (this.#worker.process.pid === undefined) end(error.message)
    })
  }

  /** whether it takes mail */
  get serving(): boolean {
    return this.started && !this.#draining
  }

  /** It was told to end. */
  get draining(): boolean {
    return this.#draining
  }

  get pid(): number {
    return this.#worker.process.pid ?? 0
  }

  get name(): string {
    return `worker ${this.index} (process ${this.pid})`
  }

  /** It changes what it is at the supervisor's word, and may be silent over it. */
  get excused(): boolean {
    return [...this.#waiting.values()].some(({ topic }) => changes.includes(topic))
  }

  /**
   * @param gone aborted when nobody waits for the answer any more: the worker is told, and answers the sooner
   * @throws WorkerSilentError, or what the worker met
   */
  async ask<T extends Topic>(
    topic: T,
    ask: Questions[T]['ask'],
    deadline: number,
    gone?: AbortSignal,
  ): Promise<Questions[T]['answer']> {
    if (this.#gone) throw new WorkerSilentError(`${this.name} has ended`)
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const forget = (): void => this.#tell({ kind: 'forget', id })
    const timer = setTimeout(() => {
      this.#waiting.delete(id)
      forget()
      reject(new WorkerSilentError(`${this.name} has not answered within ${deadline / 1000} seconds`))
    }, deadline)
    this.#waiting.set(id, { resolve, reject, timer, topic })
    this.#tell({ kind: 'ask', id, topic, ask })
    gone?.addEventListener('abort', forget, { once: true })
    try {
      // the worker answers what was asked
      return (await promise) as Questions[T]['answer']
    } finally {
      gone?.removeEventListener('abort', forget)
    }
  }

  note(failure: AuthFailure): void {
    this.#tell({ kind: 'failure', failure })
  }

  /** Asks it to drain and end. */
  stop(): void {
    this.#draining = true
    this.#tell({ kind: 'stop' })
  }

  kill(): void {
    this.#worker.process.kill('SIGKILL')
  }

  #tell(message: ToWorker): void {
    // where the channel is closed the end of the process is near, and told by itself
    if (this.#worker.isConnected()) this.#worker.send(message, () => undefined)
  }

  #hear(message: FromWorker): void {
    this.heard = true
    switch (message.kind) {
      case 'failure':
        this.#host.onFailure(message.failure, this)
        return
      case 'traced':
        this.#host.onTraced(message.traced)
        return
      case 'counted':
        this.counted = message.counts
        return
      case 'alive':
        return
      case 'metrics':
        this.metrics = message.metrics
        return
      case 'answer':
        this.#settle(message.id)?.resolve(message.answer)
        return
      case 'error':
        this.#settle(message.id)?.reject(toError(message.error))
    }
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    clearTimeout(waiting?.timer)
    return waiting
  }
}
