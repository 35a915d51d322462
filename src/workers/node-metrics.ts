/**
 * `/metrics` of a node: what every worker has counted, added up, and the supervisor's own. Totals never go back: what a
 * worker that is gone had said last stays among them, and a worker that does not answer counts with what it said last.
 */

import type { ServerEvent } from '../events/events.ts'
import type { Gauges, Metrics } from '../web/metrics.ts'
import type { Page } from '../web/server.ts'
import type { WorkerHandle } from './worker-handle.ts'

export interface NodeMetricsHost {
  readonly version: string
  readonly reserve: () => number
  readonly workers: () => readonly WorkerHandle[]
  /** how many there should be */
  readonly expected: number
}

const DEADLINE_MS = 3000

export class NodeMetrics {
  readonly #host: NodeMetricsHost
  #own: Metrics | undefined
  /** of workers that are gone: what only ever grows */
  #gone: readonly object[] = []
  /** those whose metrics are counted beside `#gone`: a worker is in one of the two */
  readonly #counted = new Set<WorkerHandle>()
  /** one after the other, so that none is lost */
  #remembering: Promise<void> = Promise.resolve()

  constructor(host: NodeMetricsHost) {
    this.#host = host
  }

  /** Counting begins. */
  async open(): Promise<void> {
    if (this.#own !== undefined) return
    const { Metrics } = await import('../web/metrics.ts')
    this.#own ??= new Metrics({ version: this.#host.version, gauges: () => this.#gauges() })
  }

  /** For `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    this.#own?.handle(event)
  }

  /** A worker was killed because it hung. */
  countHang(): void {
    this.#own?.countHang()
  }

  /** A worker has ended. */
  remember(worker: WorkerHandle): Promise<void> {
    const done = this.#remembering.then(async () => {
      const { metrics } = worker
      if (metrics.length > 0) {
        const { addedUp } = await import('../web/metrics-sum.ts')
        this.#gone = await addedUp([this.#gone, metrics.filter(onlyGrows)])
      }
      this.#counted.delete(worker)
    })
    this.#remembering = done.catch(() => undefined)
    return done
  }

  async page(): Promise<Page> {
    if (this.#own === undefined) throw new Error('nothing was counted')
    const { textOf } = await import('../web/metrics-sum.ts')
    const workers = this.#host.workers()
    const silent: string[] = []
    await Promise.all(
      workers.map(async (worker) => {
        this.#counted.add(worker)
        try {
          worker.metrics = await worker.ask('metrics', undefined, DEADLINE_MS)
        } catch (error) {
          silent.push(`${(error as Error).message}: what it said last is counted`)
        }
      }),
    )
    const missing = this.#host.expected - workers.length
    if (missing > 0) silent.push(`${missing} of ${this.#host.expected} workers are being replaced`)
    const own = await this.#own.json()
    const text = await textOf([own, this.#gone, ...[...this.#counted].map(({ metrics }) => metrics)])
    return {
      contentType: this.#own.contentType,
      text: `${silent.map((each) => `# ${each}\n`).join('')}${text}`,
    }
  }

  /** What the workers have counts; of the reserve there is one. */
  #gauges(): Gauges {
    return {
      sessions: 0,
      queue: { ready: 0, active: 0, delayed: 0, failed: 0 },
      spool: { free: undefined, reserve: this.#host.reserve() },
      logLinesDropped: 0,
      certificates: [],
      pins: [],
    }
  }
}

function onlyGrows(metric: object): boolean {
  return 'type' in metric && (metric.type === 'counter' || metric.type === 'histogram')
}
