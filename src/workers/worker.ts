/**
 * A worker: a whole server without the sockets of operators and without the lock of the spool, which are the
 * supervisor's. It does what the supervisor asks, drains and ends when it is told to, and ends by itself, sooner, when the
 * supervisor is gone. Signals are the supervisor's matter: a terminal and a service manager send them to all processes.
 */

import cluster from 'node:cluster'
import { surviveStrayErrors } from '../cli/stray-errors.ts'
import { replaying } from '../config/recorded-files.ts'
import { formatForStderr } from '../logs/stderr.ts'
import { Server } from '../server.ts'
import type { PreparedReload } from '../turns.ts'
import { NodeCounts } from './node-counts.ts'
import type { FromWorker, Question, Questions, Started, StartOptions, Topic, ToWorker } from './protocol.ts'
import { toFailure } from './protocol.ts'
import { snapshotOf } from './snapshot.ts'

/** how long the process may live on after the server has ended */
const LEFTOVERS_MS = 500
/** how long sessions under way may take once the supervisor is gone: nothing can begin anew before they have ended */
const ORPHAN_MS = 5000
/** how old the supervisor's account of what was counted may be; as often it hears that the worker does not hang */
const COUNTED_MS = 1000

/** `gone`: nobody waits for the answer any more */
type Answers = {
  readonly [T in Topic]: (ask: Questions[T]['ask'], gone: AbortSignal) => Promise<Questions[T]['answer']>
}

export function runWorker(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined)
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  // the end of the channel must not end the process at once, as node:cluster would otherwise have it
  if (cluster.worker !== undefined) cluster.worker.exitedAfterDisconnect = true
  const worker = new Worker()
  process.on('message', (message: ToWorker) => worker.hear(message))
  process.on('disconnect', () => worker.abandoned())
}

class Worker {
  #server: Server | undefined
  #prepared: PreparedReload | undefined
  #ending = false
  #told = ''
  /** questions under way */
  readonly #asked = new Map<number, AbortController>()
  readonly #answers: Answers = {
    start: async (options) => await this.#start(options),
    prepare: async ({ files }) => {
      this.#prepared = await this.#running.prepareReload(replaying(files))
    },
    commit: async () => {
      await this.#take().commit()
      return { warnings: this.#running.warnings }
    },
    rollback: async () => await this.#prepared?.rollback().finally(() => this.#take()),
    adopt: async ({ partition }) => await this.#running.adopt(partition),
    view: async ({ parts }) => await Promise.resolve(snapshotOf(this.#running.view.services, parts)),
    queue: async ({ topic, order }) => (await this.#running.view.services.queue.ask(topic, order)).reports[0],
    inside: async ({ topic, order }) =>
      (await this.#running.view.services.inside.ask(topic, order)).reports[0] ?? [],
    metrics: async () => (await this.#running.view.metrics?.json()) ?? [],
    resetCounters: async () => await Promise.resolve(this.#running.view.services.counters.reset()),
    reopenLogs: async () => await this.#running.view.services.reopenLogs(),
    flushTls: async () => await this.#running.flushTls(),
    command: async ({ words }) => await this.#running.view.services.scripts()?.command(words),
    endpoint: async (request, gone) => await this.#running.askEndpoint(request, gone),
  }

  hear(message: ToWorker): void {
    switch (message.kind) {
      case 'ask':
        void this.#answer(message)
        return
      case 'forget':
        this.#asked.get(message.id)?.abort()
        return
      case 'failure':
        this.#server?.authFailures.note(message.failure)
        return
      case 'stop':
        void this.#end()
    }
  }

  /** The supervisor is gone: nobody would replace this process, and nobody can reload it. */
  abandoned(): void {
    setTimeout(() => process.exit(), ORPHAN_MS)
    void this.#end()
  }

  get #running(): Server {
    if (this.#server === undefined) throw new Error('the worker has not started')
    return this.#server
  }

  #take(): PreparedReload {
    const prepared = this.#prepared
    this.#prepared = undefined
    if (prepared === undefined) throw new Error('no reload was prepared')
    return prepared
  }

  async #answer({ id, topic, ask }: Question): Promise<void> {
    const gone = new AbortController()
    this.#asked.set(id, gone)
    try {
      tell({ kind: 'answer', id, answer: await this.#run(topic, ask, gone.signal) })
    } catch (error) {
      tell({ kind: 'error', id, error: toFailure(error) })
    } finally {
      this.#asked.delete(id)
    }
  }

  async #run<T extends Topic>(
    topic: T,
    ask: Questions[T]['ask'],
    gone: AbortSignal,
  ): Promise<Questions[T]['answer']> {
    return await this.#answers[topic](ask, gone)
  }

  async #start(options: StartOptions): Promise<Started> {
    const { file, files, version, tableFolder, ticketSecret, failures, umask, ...role } = options
    process.umask(umask)
    const server = await Server.start({
      file,
      files: replaying(files),
      version,
      onEvent: (event) => {
        if (event.kind === 'panic') process.stderr.write(formatForStderr(event))
      },
      node: {
        ...role,
        ticketSecret: { ...ticketSecret, secret: Buffer.from(ticketSecret.secret) },
        // the first slot is the supervisor's
        counts: new NodeCounts(tableFolder, role.index + 1),
        failures: { known: failures, onFailure: (failure) => tell({ kind: 'failure', failure }) },
        onTraced: (traced) => tell({ kind: 'traced', traced }),
      },
    })
    this.#server = server
    surviveStrayErrors(server)
    setInterval(() => {
      if (!this.#tellCounted(server)) tell({ kind: 'alive' })
    }, COUNTED_MS).unref()
    if (this.#ending) await server.stop()
    return { addresses: server.addresses, warnings: server.warnings }
  }

  /** @returns whether there was anything new to tell */
  #tellCounted({ view: { services } }: Server): boolean {
    const { counts } = services.counters
    const text = JSON.stringify(counts)
    if (text === this.#told) return false
    this.#told = text
    tell({ kind: 'counted', counts })
    return true
  }

  /** Nothing that was counted is lost with a worker that ends as it should. */
  async #tellLast(server: Server): Promise<void> {
    this.#tellCounted(server)
    const metrics = await server.view.metrics?.json()
    if (metrics !== undefined) tell({ kind: 'metrics', metrics })
  }

  async #end(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    try {
      await this.#server?.stop()
      if (this.#server !== undefined) await this.#tellLast(this.#server)
    } catch (error) {
      process.stderr.write(`postern: worker ${process.pid}: ${String(error)}\n`)
      process.exitCode = 1
    }
    // A script that still waits for something would keep the process; everything that matters is closed.
    setTimeout(() => process.exit(), LEFTOVERS_MS).unref()
    if (process.connected) process.disconnect()
  }
}

function tell(message: FromWorker): void {
  // nobody hears an answer after the end
  if (process.connected) process.send?.(message, undefined, {}, () => undefined)
}
