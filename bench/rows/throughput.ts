/** Rows that compare CPU and messages per second: full handshakes, plain text, resumed sessions, with a policy. */

import { startBareLoop } from '../support/bare-loop.ts'
import { FLOOR, startFloor } from '../support/bare-smtp.ts'
import { ratiosOf, show, spreadOf } from '../support/figures.ts'
import { type Case, cpuFigures, measure, rateFigures, type Samples } from '../support/measure.ts'
import { startPostern } from '../support/postern.ts'
import type { Subject } from '../support/subject.ts'
import {
  type Claim,
  figuresOf,
  orderOf,
  type Row,
  type RowContext,
  RUNTIME_WARM_UP,
  using,
  type Work,
  warmUpOf,
} from './row.ts'

const OURS = 'postern'
const BARE = 'bare loop, full handshake'
const BARE_RESUMED = 'bare loop, resumed'

export const starttls: Row = {
  id: 'starttls',
  work: 'STARTTLS, full handshake with client certificate, verdict, Lua policy with four callouts, 4 KiB durable, 1 message per connection',
  target:
    'CPU per message ≤ 1/3 of Postfix’s (mail held in the queue) and ≤ 1/2 of smtp-server’s with fsync; ≤ 1.4 × a bare TLS accept loop in the same runtime',
  run: async (context) => {
    const postern = startPostern(
      { name: OURS, pki: context.pki, under: context.under, scripts: 1 },
      context.cleanup,
    )
    const bare = startBareLoop(context.pki, context.cleanup)
    const floor = startFloor(context.pki, context.cleanup, context.under)
    return await using([postern, bare, floor], async () => {
      const load = { security: 'starttls', perConnection: 1 } as const
      const cases: Case[] = [
        {
          name: OURS,
          subject: await postern,
          order: orderOf(context, { ...load, messages: 1000 }),
          warmUp: warmUpOf(context, RUNTIME_WARM_UP.starttls),
        },
        {
          name: BARE,
          subject: await bare,
          order: orderOf(context, { security: 'bare', perConnection: 1, messages: 1500 }),
          warmUp: warmUpOf(context, RUNTIME_WARM_UP.starttls),
        },
        floorCase(context, await floor, { work: 'starttls', order: { ...load, messages: 1500 } }),
        ...peerCases(context, 'starttls', load),
      ]
      const samples = await measure(cases, context)
      return {
        claims: [
          ...cpuAgainst(samples, { other: 'postfix-hold', bound: 1 / 3 }),
          ...cpuAgainst(samples, { other: cheaperOf(samples, 'smtp-server-fsync'), bound: 1 / 2 }),
          ...cpuAgainst(samples, { other: BARE, bound: 1.4 }),
        ],
        figures: figuresOf(samples),
        notes: notesOf(context, ['postfix-hold', 'smtp-server-fsync']),
      }
    })
  },
}

export const plainOne: Row = {
  id: 'plain-1',
  work: 'plain, 4 KiB durable, 1 message per connection',
  target: 'CPU per message ≤ 1/5 of Postfix’s and of Haraka’s with fsync',
  run: async (context) => {
    const samples = await plain(context, 'plain-1', { perConnection: 1, messages: 4000 })
    return {
      claims: [
        ...cpuAgainst(samples, { other: 'postfix-hold', bound: 1 / 5 }),
        ...cpuAgainst(samples, { other: cheaperOf(samples, 'haraka-fsync'), bound: 1 / 5 }),
      ],
      figures: figuresOf(samples),
      notes: notesOf(context, ['postfix-hold', 'haraka-fsync']),
    }
  },
}

export const plainTwenty: Row = {
  id: 'plain-20',
  work: 'plain, 4 KiB durable, 20 messages per connection',
  target: 'messages per second ≥ 6 × Postfix, ≥ 4 × smtp-server with fsync',
  run: async (context) => {
    const samples = await plain(context, 'plain-20', { perConnection: 20, messages: 10_000 })
    return {
      claims: [
        ...rateAgainst(samples, { other: 'postfix-hold', bound: 6 }),
        ...rateAgainst(samples, { other: cheaperOf(samples, 'smtp-server-fsync'), bound: 4 }),
      ],
      figures: figuresOf(samples),
      notes: notesOf(context, ['postfix-hold', 'smtp-server-fsync']),
    }
  },
}

export const resumed: Row = {
  id: 'resumed',
  work: 'resumed TLS session',
  target: 'CPU ≤ 0.75 × the full handshake’s reception, ≤ 1.4 × a bare resumed accept loop',
  run: async (context) => {
    const postern = startPostern(
      { name: OURS, pki: context.pki, under: context.under, scripts: 1 },
      context.cleanup,
    )
    const bare = startBareLoop(context.pki, context.cleanup)
    const floor = startFloor(context.pki, context.cleanup, context.under)
    return await using([postern, bare, floor], async () => {
      const load = { security: 'starttls', perConnection: 1, messages: 1200 } as const
      const warmUp = warmUpOf(context, RUNTIME_WARM_UP.starttls)
      const full = `${OURS}, full handshake`
      const ours = `${OURS}, resumed`
      const cases: Case[] = [
        { name: full, subject: await postern, order: orderOf(context, load), warmUp },
        { name: ours, subject: await postern, order: orderOf(context, { ...load, resume: true }), warmUp },
        {
          name: BARE_RESUMED,
          subject: await bare,
          order: orderOf(context, { ...load, security: 'bare', resume: true, messages: 2000 }),
          warmUp,
        },
        floorCase(context, await floor, { work: 'starttls', order: { ...load, resume: true } }),
      ]
      const samples = await measure(cases, context)
      for (const name of [ours, BARE_RESUMED, FLOOR]) insistOnResumption(samples, name)
      return {
        claims: [
          ...cpuAgainst(samples, { ours, other: full, bound: 0.75 }),
          ...cpuAgainst(samples, { ours, other: BARE_RESUMED, bound: 1.4 }),
        ],
        figures: figuresOf(samples),
        notes: [],
      }
    })
  },
}

export const plainTwentyPolicy: Row = {
  id: 'policy-20',
  work: 'plain, 4 KiB durable, 20 per connection, with the Lua policy',
  target: 'CPU per message ≤ 0.2 × a bare TLS handshake with client certificate in the same runtime',
  run: async (context) => {
    const postern = startPostern(
      { name: OURS, pki: context.pki, under: context.under, scripts: 1 },
      context.cleanup,
    )
    const bare = startBareLoop(context.pki, context.cleanup)
    const floor = startFloor(context.pki, context.cleanup, context.under)
    return await using([postern, bare, floor], async () => {
      const cases: Case[] = [
        {
          name: OURS,
          subject: await postern,
          order: orderOf(context, { security: 'plain', perConnection: 20, messages: 8000 }),
          warmUp: warmUpOf(context, RUNTIME_WARM_UP['plain-20']),
        },
        {
          name: BARE,
          subject: await bare,
          order: orderOf(context, { security: 'bare', perConnection: 1, messages: 1500 }),
          warmUp: warmUpOf(context, RUNTIME_WARM_UP.starttls),
        },
        floorCase(context, await floor, {
          work: 'plain-20',
          order: { security: 'plain', perConnection: 20, messages: 10_000 },
        }),
      ]
      const samples = await measure(cases, context)
      return {
        claims: cpuAgainst(samples, { other: BARE, bound: 0.2 }),
        figures: figuresOf(samples),
        notes: [],
      }
    })
  },
}

async function plain(
  context: RowContext,
  work: Work,
  load: { readonly perConnection: number; readonly messages: number },
): Promise<Samples> {
  const postern = startPostern({ name: OURS, pki: context.pki, under: context.under }, context.cleanup)
  const floor = startFloor(context.pki, context.cleanup, context.under)
  return await using([postern, floor], async () => {
    const { perConnection } = load
    const cases: Case[] = [
      {
        name: OURS,
        subject: await postern,
        order: orderOf(context, { security: 'plain', ...load }),
        warmUp: warmUpOf(context, RUNTIME_WARM_UP[work]),
      },
      floorCase(context, await floor, { work, order: { security: 'plain', ...load } }),
      ...peerCases(context, work, { security: 'plain', perConnection }),
    ]
    return await measure(cases, context)
  })
}

function floorCase(
  context: RowContext,
  subject: Subject,
  load: { readonly work: Work; readonly order: Parameters<typeof orderOf>[1] },
): Case {
  const warmUp = warmUpOf(context, RUNTIME_WARM_UP[load.work])
  return { name: FLOOR, subject, order: orderOf(context, load.order), warmUp }
}

function peerCases(
  context: RowContext,
  work: Work,
  load: { readonly security: 'plain' | 'starttls'; readonly perConnection: number },
): Case[] {
  return context.peers.map((peer) => ({
    name: peer.subject.name,
    subject: { ...peer.subject, port: peer.ports?.[work] ?? peer.subject.port },
    order: orderOf(context, {
      ...load,
      messages: peer.messages[work],
      ...(peer.connections === undefined ? {} : { connections: peer.connections }),
      ...(peer.awaitQuit === undefined ? {} : { awaitQuit: peer.awaitQuit }),
    }),
    warmUp: Math.round(peer.warmUp[work] * Math.min(1, context.share * 2)),
    tolerant: peer.tolerant === true,
  }))
}

/** @param needed whom the target names, by the beginnings of their names */
function notesOf({ peers }: RowContext, needed: readonly string[]): readonly string[] {
  return needed
    .filter((name) => !peers.some(({ subject }) => subject.name.startsWith(name)))
    .map((name) => `${name} did not take part in this run, so that part of the target is open`)
}

interface Bound {
  readonly ours?: string
  /** undefined, or without samples: there is nothing to compare with */
  readonly other: string | undefined
  readonly bound: number
}

function cpuAgainst(samples: Samples, { ours = OURS, other, bound }: Bound): readonly Claim[] {
  if (other === undefined || !samples.has(other)) return []
  const measured = ratiosOf(cpuFigures(samples, ours), cpuFigures(samples, other))
  const orientation = orient(samples, { figures: cpuFigures, other, bound, unit: 's of CPU per 1,000' })
  return [
    {
      what: `CPU per message by that of ${other}`,
      bound,
      sense: 'at most',
      measured,
      unit: ' ×',
      orientation,
    },
  ]
}

function rateAgainst(samples: Samples, { ours = OURS, other, bound }: Bound): readonly Claim[] {
  if (other === undefined || !samples.has(other)) return []
  const measured = ratiosOf(rateFigures(samples, ours), rateFigures(samples, other))
  const orientation = orient(samples, { figures: rateFigures, other, bound, unit: 'messages per second' })
  return [
    {
      what: `messages per second by those of ${other}`,
      bound,
      sense: 'at least',
      measured,
      unit: ' ×',
      orientation,
    },
  ]
}

interface Orientation {
  readonly figures: typeof cpuFigures
  readonly other: string
  readonly bound: number
  readonly unit: string
}

/** Where a bound lies, and where the floor, by their medians in this run: what is left for all that a server does. */
function orient(samples: Samples, { figures, other, bound, unit }: Orientation): string {
  const median = (name: string): number => spreadOf(figures(samples, name)).median
  return `the bound is at ${show(bound * median(other))} ${unit}, the floor at ${show(median(FLOOR))}`
}

/** Of several variants of a peer the one that takes the least CPU for a message. */
function cheaperOf(samples: Samples, prefix: string): string | undefined {
  const cost = (name: string): number => {
    const values = cpuFigures(samples, name)
    return values.reduce((sum, value) => sum + value, 0) / values.length
  }
  return [...samples.keys()]
    .filter((name) => name.startsWith(prefix))
    .toSorted((a, b) => cost(a) - cost(b))[0]
}

function insistOnResumption(samples: Samples, name: string): void {
  for (const { handshakes, resumed } of samples.get(name) ?? []) {
    if (resumed < 0.95 * handshakes) {
      throw new Error(`${name}: only ${resumed} of ${handshakes} handshakes were resumed`)
    }
  }
}
