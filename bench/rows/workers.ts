/** Two workers against one: messages per second where cores are free, CPU per message where they are not. */

import { availableParallelism } from 'node:os'
import { ratiosOf } from '../support/figures.ts'
import { type Case, cpuFigures, measure, rateFigures } from '../support/measure.ts'
import { startPostern } from '../support/postern.ts'
import {
  type Claim,
  figuresOf,
  orderOf,
  type Row,
  RUNTIME_WARM_UP,
  using,
  type Work,
  warmUpOf,
} from './row.ts'

export const workers: Row = {
  id: 'workers',
  work: 'two workers against one',
  target:
    '≥ 1.8 × messages per second where the generator leaves the cores free (else CPU per message unchanged)',
  run: async (context) => {
    const { pki, cleanup, under } = context
    const one = startPostern({ name: 'one worker', pki, workers: 1, under }, cleanup)
    const two = startPostern({ name: 'two workers', pki, workers: 2, under }, cleanup)
    return await using([one, two], async () => {
      const cases: Case[] = []
      for (const [workers, subject] of [
        [1, await one],
        [2, await two],
      ] as const) {
        // each of them translates for itself
        const warmUp = (work: Work): number => warmUpOf(context, workers * RUNTIME_WARM_UP[work])
        cases.push(
          {
            name: `${subject.name}, plain 20`,
            subject,
            order: orderOf(context, { security: 'plain', perConnection: 20, messages: 8000 }),
            warmUp: warmUp('plain-20'),
          },
          {
            name: `${subject.name}, STARTTLS`,
            subject,
            order: orderOf(context, { security: 'starttls', perConnection: 1, messages: 1000 }),
            warmUp: warmUp('starttls'),
          },
        )
      }
      const samples = await measure(cases, context)
      const cores = availableParallelism()
      const claims = ['plain 20', 'STARTTLS'].flatMap((load): readonly Claim[] => {
        const of = (figures: typeof cpuFigures) =>
          ratiosOf(figures(samples, `two workers, ${load}`), figures(samples, `one worker, ${load}`))
        const rate = of(rateFigures)
        // with two cores the generator has what the second worker would need
        if (cores > 2) {
          return [
            {
              what: `messages per second, ${load}`,
              bound: 1.8,
              sense: 'at least',
              measured: rate,
              unit: ' ×',
            },
          ]
        }
        return [
          {
            what: `CPU per message, ${load}`,
            bound: 1.1,
            sense: 'at most',
            measured: of(cpuFigures),
            unit: ' ×',
          },
        ]
      })
      const rates = ['plain 20', 'STARTTLS'].map((load) => {
        const { median } = ratiosOf(
          rateFigures(samples, `two workers, ${load}`),
          rateFigures(samples, `one worker, ${load}`),
        )
        return `${load}: ${median.toFixed(2)} × the messages per second`
      })
      return {
        claims,
        figures: figuresOf(samples),
        notes: [`${cores} cores, which the generator shares; ${rates.join(', ')}`],
      }
    })
  },
}
