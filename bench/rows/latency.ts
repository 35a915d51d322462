/**
 * The slowest hundredth of transactions at half of what the gate can take: in each round what it can take is measured anew, then
 * the gate gets half of that, and the floor the same number of messages per second. What the floor's slowest hundredth shows is the
 * disk's, the runtime's and the generator's.
 */

import { FLOOR, startFloor } from '../support/bare-smtp.ts'
import { type Spread, show, spreadOf } from '../support/figures.ts'
import { type Case, measure, type Sample, type Samples } from '../support/measure.ts'
import { startPostern } from '../support/postern.ts'
import { freeze, type Subject, thaw } from '../support/subject.ts'
import { figuresOf, orderOf, type Row, type RowContext, RUNTIME_WARM_UP, using, warmUpOf } from './row.ts'

/** of one paced run: at 2,000 messages per second the slowest hundredth are 160 */
const SECONDS = 8
const CONNECTIONS = 200
const LOAD = { security: 'plain', perConnection: 20 } as const
const SATURATED = 'saturated'
const PACED = 'half of saturation'
const PACED_FLOOR = `${FLOOR}, the same rate`

export const latency: Row = {
  id: 'latency',
  work: 'p99 latency of a transaction at half of saturation',
  target: '≤ 5 × p50',
  run: async (context) => {
    const postern = startPostern({ name: 'postern', pki: context.pki, under: context.under }, context.cleanup)
    const floor = startFloor(context.pki, context.cleanup, context.under)
    return await using([postern, floor], async () => {
      const samples = await rounds(context, await postern, await floor)
      const ratio = (name: string): Spread =>
        spreadOf((samples.get(name) ?? []).map(({ p50, p99 }) => p99 / p50))
      const middle = (name: string, of: (sample: Sample) => number | undefined): string =>
        spreadOf((samples.get(name) ?? []).map((sample) => of(sample) ?? Number.NaN)).median.toFixed(1)
      const [floorP99, due] = [middle(PACED_FLOOR, ({ p99 }) => p99), middle(PACED, ({ dueP99 }) => dueP99)]
      const [late, floorLate] = [PACED, PACED_FLOOR].map((name) => middle(name, ({ lateP99 }) => lateP99))
      return {
        claims: [
          {
            what: 'p99 by p50',
            bound: 5,
            sense: 'at most',
            measured: ratio(PACED),
            unit: ' ×',
            orientation: `the floor at the same rate: ${show(ratio(PACED_FLOOR).median)} ×, p99 ${floorP99} ms`,
          },
        ],
        figures: figuresOf(samples),
        notes: [
          `20 messages over each of ${CONNECTIONS} connections, ${SECONDS} s in each round; counted from the moment at which a message was due, with the connection that it may have needed, p99 is ${due} ms`,
          `the generator’s clock, which is to ring each millisecond, was late by ${late} ms in the worst hundredth of cases, beside the floor by ${floorLate} ms`,
        ],
      }
    })
  },
}

async function rounds(context: RowContext, postern: Subject, floor: Subject): Promise<Samples> {
  const samples = new Map<string, Sample[]>([SATURATED, PACED, PACED_FLOOR].map((name) => [name, []]))
  const run = async (each: Case): Promise<Sample | undefined> => {
    const others = [postern, floor].filter((subject) => subject !== each.subject)
    freeze(others)
    try {
      const [sample] = (await measure([each], { ...context, rounds: 1 })).get(each.name) ?? []
      if (sample !== undefined) samples.get(each.name)?.push(sample)
      return sample
    } finally {
      for (const subject of others) thaw(subject)
    }
  }
  for (let round = 0; round < context.rounds; round += 1) {
    const warmUp = round === 0 ? warmUpOf(context, RUNTIME_WARM_UP['plain-20']) : 0
    const order = orderOf(context, { ...LOAD, messages: 12_000 })
    const saturated = await run({ name: SATURATED, subject: postern, order, warmUp })
    const rate = (saturated?.perSecond ?? Number.NaN) / 2
    const half = {
      ...orderOf(context, { ...LOAD, messages: 100, connections: CONNECTIONS, rate }),
      messages: Math.round(rate * Math.max(1, SECONDS * context.share)),
    }
    await run({ name: PACED, subject: postern, order: half, warmUp: 0 })
    await run({ name: PACED_FLOOR, subject: floor, order: half, warmUp })
  }
  return samples
}
