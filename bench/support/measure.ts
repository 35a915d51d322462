/**
 * Runs loads against several servers in turn: each round visits all of them, beginning one later each time, while the
 * others are frozen. What a server still does after its last reply counts as its own.
 */

import type { Generator, LoadSummary } from '../../src/cli/bench/generator.ts'
import type { LoadOrder } from '../../src/cli/bench/order.ts'
import { busySeconds, untilQuiet } from './processes.ts'
import { cpuOf, freeze, memoryOf, type Subject, thaw } from './subject.ts'

/** What is done to one server in each round. */
export interface Case {
  readonly name: string
  readonly subject: Subject
  readonly order: Omit<LoadOrder, 'host' | 'port'>
  /** messages before the first round; the runtime translates meanwhile what it runs often */
  readonly warmUp: number
  /** connections that the server leaves hanging are part of the result, not the end of it */
  readonly tolerant?: boolean
}

export interface Sample {
  readonly perSecond: number
  /** seconds of user and system time for 1,000 messages, of all the server's processes */
  readonly cpuPerThousand: number
  /** the same of the generator */
  readonly generatorCpuPerThousand: number
  /** processors, on average, that were busy with neither of the two */
  readonly others: number
  /** octets, highest seen at the end of a run */
  readonly resident: number
  readonly processes: number
  readonly p50: number
  readonly p99: number
  readonly dueP50: number | undefined
  readonly dueP99: number | undefined
  /** of the generator's own clock */
  readonly lateP99: number | undefined
  readonly handshakes: number
  readonly resumed: number
  readonly errors: Readonly<Record<string, number>>
}

export type Samples = ReadonlyMap<string, readonly Sample[]>

export interface MeasureOptions {
  readonly generator: Generator
  readonly rounds: number
  readonly tell: (line: string) => void
}

/** @throws Error when a server that must not refuse anything does */
export async function measure(cases: readonly Case[], options: MeasureOptions): Promise<Samples> {
  const samples = new Map<string, Sample[]>(cases.map(({ name }) => [name, []]))
  const subjects = [...new Set(cases.map(({ subject }) => subject))]
  try {
    for (const each of cases) await alone(each, subjects, () => warmUp(each, options.generator))
    for (let round = 0; round < options.rounds; round += 1) {
      for (const offset of cases.keys()) {
        const each = cases[(round + offset) % cases.length]
        if (each === undefined) continue
        const sample = await alone(each, subjects, () => sampleOf(each, options.generator))
        samples.get(each.name)?.push(sample)
        options.tell(lineOf(each.name, sample))
      }
    }
  } finally {
    for (const subject of subjects) thaw(subject)
  }
  return samples
}

async function alone<T>(each: Case, subjects: readonly Subject[], work: () => Promise<T>): Promise<T> {
  freeze(subjects.filter((subject) => subject !== each.subject))
  thaw(each.subject)
  return await work()
}

async function warmUp({ subject, order, warmUp, name, tolerant }: Case, generator: Generator): Promise<void> {
  if (warmUp === 0) return
  const { host, port } = subject
  const { rate: _unpaced, ...rest } = order
  const summary = await generator.run({ ...rest, host, port, messages: warmUp })
  if (tolerant !== true) insist(name, summary, warmUp)
  await untilQuiet(subject.pids)
}

async function sampleOf({ name, subject, order, tolerant }: Case, generator: Generator): Promise<Sample> {
  const { host, port } = subject
  const cpu = cpuOf(subject)
  const busy = busySeconds()
  const summary = await generator.run({ ...order, host, port })
  if (tolerant !== true) insist(name, summary, order.messages)
  const others = busySeconds() - busy
  const atEnd = cpuOf(subject) - cpu
  const resident = memoryOf(subject).all
  const processes = subject.pids().length
  await untilQuiet(subject.pids)
  const thousands = Math.max(1, summary.accepted) / 1000
  return {
    perSecond: summary.perSecond,
    cpuPerThousand: (cpuOf(subject) - cpu) / thousands,
    generatorCpuPerThousand: summary.cpuSeconds / thousands,
    others: Math.max(0, others - atEnd - summary.cpuSeconds) / summary.seconds,
    resident,
    processes,
    p50: summary.transaction?.p50 ?? Number.NaN,
    p99: summary.transaction?.p99 ?? Number.NaN,
    dueP50: summary.fromDue?.p50,
    dueP99: summary.fromDue?.p99,
    lateP99: summary.late?.p99,
    handshakes: summary.handshakes,
    resumed: summary.resumed,
    errors: summary.errors,
  }
}

function insist(name: string, summary: LoadSummary, messages: number): void {
  const errors = Object.entries(summary.errors).map(([what, count]) => `${count} × ${what}`)
  if (errors.length === 0 && summary.accepted === messages) return
  throw new Error(`${name} took ${summary.accepted} of ${messages} messages; ${errors.join('; ')}`)
}

function lineOf(name: string, sample: Sample): string {
  const errors = Object.values(sample.errors).reduce((sum, count) => sum + count, 0)
  return [
    name.padEnd(34),
    `${sample.perSecond.toFixed(0).padStart(6)} msg/s`,
    `server ${sample.cpuPerThousand.toFixed(3)} s/1000`,
    `generator ${sample.generatorCpuPerThousand.toFixed(3)}`,
    `p50 ${sample.p50.toFixed(1)} p99 ${sample.p99.toFixed(1)} ms`,
    `others ${sample.others.toFixed(2)} cores`,
    ...(errors === 0 ? [] : [`${errors} ERRORS`]),
  ].join('  ')
}

export const cpuFigures = (samples: Samples, name: string): readonly number[] =>
  (samples.get(name) ?? []).map(({ cpuPerThousand }) => cpuPerThousand)

export const rateFigures = (samples: Samples, name: string): readonly number[] =>
  (samples.get(name) ?? []).map(({ perSecond }) => perSecond)
