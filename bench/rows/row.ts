/** A row of the target table: what is done, what is claimed of it, and what came out. Plain data, so that it can be kept. */

import type { Generator } from '../../src/cli/bench/generator.ts'
import type { LoadOrder } from '../../src/cli/bench/order.ts'
import type { Cleanup } from '../support/cleanup.ts'
import { type Spread, show, spreadOf } from '../support/figures.ts'
import type { Case, Samples } from '../support/measure.ts'
import type { Subject } from '../support/subject.ts'

export interface Row {
  readonly id: string
  readonly work: string
  /** in words, as it is agreed */
  readonly target: string
  readonly run: (context: RowContext) => Promise<RowOutcome>
}

/** Another mail server, ready to be measured, and how much it is given to do. */
export interface Peer {
  readonly subject: Subject
  readonly version: string
  /** keeps a message on stable storage before its 250 */
  readonly durable: boolean
  /** messages for one sample, by kind of work: so many that each takes a second or two */
  readonly messages: Readonly<Record<Work, number>>
  /** messages before the first sample of a row, by kind of work */
  readonly warmUp: Readonly<Record<Work, number>>
  /** how many may connect at once, where that is few */
  readonly connections?: number
  /** where another port than the subject's is for a kind of work */
  readonly ports?: Readonly<Partial<Record<Work, number>>>
  readonly tolerant?: boolean
  readonly awaitQuit?: boolean
}

export type Work = 'starttls' | 'plain-1' | 'plain-20'

/**
 * Messages that any server on Node.js gets before its first sample: V8 goes on translating for some ten thousand, and what is
 * measured meanwhile is V8 more than the server.
 */
export const RUNTIME_WARM_UP: Readonly<Record<Work, number>> = {
  starttls: 6000,
  'plain-1': 12_000,
  'plain-20': 16_000,
}

export interface RowContext {
  readonly cleanup: Cleanup
  readonly generator: Generator
  readonly rounds: number
  /** share of the messages of a full run */
  readonly share: number
  /** folder of certificates */
  readonly pki: string
  readonly credential: { readonly cert: string; readonly key: string }
  readonly peers: readonly Peer[]
  /** where spools lie; undefined: the system's temporary folder */
  readonly under: string | undefined
  readonly tell: (line: string) => void
}

/** One bound of a target, and what was measured. */
export interface Claim {
  readonly what: string
  readonly bound: number
  readonly sense: 'at most' | 'at least'
  readonly measured: Spread
  readonly unit: string
  /** in absolute figures: where the bound is, and where the floor */
  readonly orientation?: string
}

/** What one server did, over all rounds. */
export interface Figures {
  readonly name: string
  readonly perSecond: Spread
  readonly cpuPerThousand: Spread
  readonly generatorCpuPerThousand: Spread
  readonly p50: Spread
  readonly p99: Spread
  readonly others: Spread
  readonly residentMebibytes: number
  readonly processes: number
  /** over all rounds */
  readonly errors: Readonly<Record<string, number>>
}

export interface RowOutcome {
  readonly claims: readonly Claim[]
  readonly figures: readonly Figures[]
  readonly notes: readonly string[]
}

export function met({ measured, bound, sense }: Claim): boolean {
  return sense === 'at most' ? measured.median <= bound : measured.median >= bound
}

export function showClaim(claim: Claim): string {
  const { what, measured, bound, sense, unit } = claim
  return `${what}: ${show(measured.median)}${unit} (${show(measured.min)}–${show(measured.max)}), ${sense} ${show(bound)}${unit}: ${met(claim) ? 'met' : 'NOT met'}`
}

export function figuresOf(samples: Samples): readonly Figures[] {
  return [...samples].map(([name, rounds]) => {
    const errors: Record<string, number> = {}
    for (const round of rounds) {
      for (const [what, count] of Object.entries(round.errors)) errors[what] = (errors[what] ?? 0) + count
    }
    return {
      name,
      perSecond: spreadOf(rounds.map((round) => round.perSecond)),
      cpuPerThousand: spreadOf(rounds.map((round) => round.cpuPerThousand)),
      generatorCpuPerThousand: spreadOf(rounds.map((round) => round.generatorCpuPerThousand)),
      p50: spreadOf(rounds.map((round) => round.p50)),
      p99: spreadOf(rounds.map((round) => round.p99)),
      others: spreadOf(rounds.map((round) => round.others)),
      residentMebibytes: spreadOf(rounds.map((round) => round.resident / 1024 ** 2)).median,
      processes: spreadOf(rounds.map((round) => round.processes)).median,
      errors,
    }
  })
}

/** What every load has in common unless it says otherwise: 50 connections at once, 4 KiB. */
export function orderOf(
  context: RowContext,
  more: Partial<LoadOrder> & Pick<LoadOrder, 'security' | 'perConnection' | 'messages'>,
): Case['order'] {
  return {
    resume: false,
    credential: more.security === 'plain' ? undefined : context.credential,
    connections: 50,
    size: 4096,
    sender: 'bench@client.example',
    recipient: 'bench@gate.example',
    awaitQuit: true,
    ...more,
    messages: Math.max(100, Math.round(more.messages * context.share)),
  }
}

/** A warm-up is never shortened by much: cold code would be measured. */
export function warmUpOf(context: RowContext, messages: number): number {
  return Math.max(200, Math.round(messages * Math.min(1, context.share * 2)))
}

/** Runs with servers that are ended whatever happens. */
export async function using<T>(subjects: readonly Promise<Subject>[], work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } finally {
    const started = await Promise.allSettled(subjects)
    await Promise.all(
      started.map(async (each) => {
        if (each.status === 'fulfilled') await each.value.stop()
      }),
    )
  }
}
