/**
 * The load generator: one or several processes, each with its share of connections and messages, so that what they cost
 * is not taken for the server's. They live on between loads, so that their code is warm.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { LatencyHistogram } from './latency.ts'
import type { GeneratorAnswer, GeneratorTask, HoldOrder, LoadOrder, LoadResult } from './order.ts'

const PROGRAM = new URL(`generator-process.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url)

/** What all processes did together. */
export interface LoadSummary {
  readonly accepted: number
  /** from the first connection to the end of the last */
  readonly seconds: number
  readonly perSecond: number
  readonly handshakes: number
  readonly resumed: number
  readonly errors: Readonly<Record<string, number>>
  /** of all generator processes */
  readonly cpuSeconds: number
  /** milliseconds; undefined when no message was accepted */
  readonly transaction: Quantiles | undefined
  /** milliseconds from the moment at which a message was due; only with a rate */
  readonly fromDue: Quantiles | undefined
  /** milliseconds by which the generator's own clock rang too late: what it adds to the figures above; only with a rate */
  readonly late: Quantiles | undefined
}

export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

export class Generator {
  readonly #children: readonly ChildProcess[]

  /** @param processes how many share the load */
  constructor(processes = 1) {
    this.#children = Array.from({ length: processes }, () =>
      fork(PROGRAM, { execArgv: process.execArgv.filter((word) => !word.startsWith('--input-type')) }),
    )
  }

  /** @throws Error when a process of the generator fails; what the server does wrong is in `errors` */
  async run(order: LoadOrder): Promise<LoadSummary> {
    const answers = await this.#ask((index) => ({
      kind: 'load',
      order: {
        ...order,
        connections: this.#share(order.connections, index),
        messages: this.#share(order.messages, index),
        ...(order.rate === undefined ? {} : { rate: order.rate / this.#children.length }),
      },
    }))
    return summarize(answers.flatMap((answer) => (answer.kind === 'result' ? [answer.result] : [])))
  }

  /** Opens idle connections and keeps them until `release`. */
  async hold(order: HoldOrder): Promise<void> {
    await this.#ask((index) => ({
      kind: 'hold',
      order: { ...order, connections: this.#share(order.connections, index) },
    }))
  }

  /** @returns how many of the idle connections the server had closed meanwhile */
  async release(): Promise<number> {
    const answers = await this.#ask(() => ({ kind: 'release' }))
    return answers.reduce((sum, answer) => sum + (answer.kind === 'released' ? answer.lost : 0), 0)
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const exit = once(child, 'exit')
        child.disconnect()
        await exit
      }),
    )
  }

  #share(whole: number, index: number): number {
    const each = Math.floor(whole / this.#children.length)
    return each + (index < whole % this.#children.length ? 1 : 0)
  }

  async #ask(task: (index: number) => GeneratorTask): Promise<readonly GeneratorAnswer[]> {
    return await Promise.all(this.#children.map((child, index) => askOne(child, task(index))))
  }
}

async function askOne(child: ChildProcess, task: GeneratorTask): Promise<GeneratorAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<GeneratorAnswer>()
  const ended = (): void => reject(new Error('a process of the load generator ended'))
  child.once('exit', ended)
  child.once('message', resolve)
  try {
    child.send(task)
    const answer = await promise
    if (answer.kind === 'failed') throw new Error(`the load generator failed: ${answer.reason}`)
    return answer
  } finally {
    child.off('exit', ended)
    child.off('message', resolve)
  }
}

function summarize(results: readonly LoadResult[]): LoadSummary {
  const sum = (of: (result: LoadResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0)
  const accepted = sum((result) => result.accepted)
  const began = Math.min(...results.map((result) => result.began))
  const seconds = Math.max(1, Math.max(...results.map((result) => result.ended)) - began) / 1000
  const errors: Record<string, number> = {}
  for (const result of results) {
    for (const [what, count] of Object.entries(result.errors)) errors[what] = (errors[what] ?? 0) + count
  }
  return {
    accepted,
    seconds,
    perSecond: accepted / seconds,
    handshakes: sum((result) => result.handshakes),
    resumed: sum((result) => result.resumed),
    errors,
    cpuSeconds: sum((result) => result.cpuSeconds),
    transaction: quantiles(results.map((result) => result.transactions)),
    fromDue: quantiles(results.map((result) => result.fromDue)),
    late: quantiles(results.map((result) => result.late)),
  }
}

function quantiles(parts: readonly LoadResult['transactions'][]): Quantiles | undefined {
  const whole = new LatencyHistogram()
  for (const counts of parts) whole.merge(counts)
  const p50 = whole.quantile(0.5)
  const p99 = whole.quantile(0.99)
  return p50 === undefined || p99 === undefined ? undefined : { p50, p99 }
}
