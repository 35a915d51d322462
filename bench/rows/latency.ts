/** The slowest hundredth of transactions at half of what the gate can take. */

import { spreadOf } from '../support/figures.ts'
import { measure } from '../support/measure.ts'
import { startPostern } from '../support/postern.ts'
import { figuresOf, orderOf, type Row, using, warmUpOf } from './row.ts'

const SECONDS = 4

export const latency: Row = {
  id: 'latency',
  work: 'p99 latency of a transaction at half of saturation',
  target: '≤ 5 × p50',
  run: async (context) => {
    const postern = startPostern({ name: 'postern', pki: context.pki }, context.cleanup)
    return await using([postern], async () => {
      const subject = await postern
      const load = { security: 'plain', perConnection: 20 } as const
      const fast = orderOf(context, { ...load, messages: 8000 })
      const warmUp = warmUpOf(context, 8000)
      const saturated = await measure([{ name: 'saturated', subject, order: fast, warmUp }], {
        ...context,
        rounds: 3,
      })
      const most = spreadOf((saturated.get('saturated') ?? []).map(({ perSecond }) => perSecond)).median
      const rate = most / 2
      const order = {
        ...orderOf(context, { ...load, messages: 100, connections: 200, rate }),
        messages: Math.round(rate * Math.max(1, SECONDS * context.share)),
      }
      const paced = await measure([{ name: 'half of saturation', subject, order, warmUp: 0 }], context)
      const samples = paced.get('half of saturation') ?? []
      const due = spreadOf(samples.map(({ dueP99 }) => dueP99 ?? Number.NaN))
      return {
        claims: [
          {
            what: 'p99 by p50',
            bound: 5,
            sense: 'at most',
            measured: spreadOf(samples.map(({ p50, p99 }) => p99 / p50)),
            unit: ' ×',
          },
        ],
        figures: [...figuresOf(saturated), ...figuresOf(paced)],
        notes: [
          `${rate.toFixed(0)} messages per second, 20 over each connection; counted from the moment at which a message was due, with the connection that it may have needed, p99 is ${due.median.toFixed(1)} ms`,
        ],
      }
    })
  },
}
