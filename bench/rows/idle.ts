/** What a connection costs in memory that does nothing after STARTTLS and EHLO, against a bare TLS socket of this runtime. */

import { setTimeout as delay } from 'node:timers/promises'
import { startBareLoop } from '../support/bare-loop.ts'
import { spreadOf } from '../support/figures.ts'
import { startPostern } from '../support/postern.ts'
import { descriptorLimit, untilQuiet } from '../support/processes.ts'
import { memoryOf, type Subject } from '../support/subject.ts'
import type { Claim, Row, RowContext } from './row.ts'

/** connections before the first figure; few at once, because what they leave behind is used again */
const WARM_UP = 300
const WARM_UP_AT_ONCE = 50
/** besides the connections themselves: those that the gate keeps free for deliveries, the spool, logs */
const SPARE_DESCRIPTORS = 3000
/** from here on the gate is told how many will come */
const MANY = 5000

export const idle: Row = {
  id: 'idle',
  work: 'idle STARTTLS connection',
  target: 'resident memory ≤ 1.25 × a bare TLS socket of the same runtime, at 1,000 and at 10,000',
  run: async (context) => {
    const claims: Claim[] = []
    const notes: string[] = []
    const sizes = context.share < 0.5 ? [500] : [1000, 10_000]
    for (const connections of sizes) {
      const limit = descriptorLimit()
      if (limit < connections + SPARE_DESCRIPTORS) {
        notes.push(`not measured at ${connections}: at most ${limit} open files are allowed (ulimit -Hn)`)
        continue
      }
      // fresh processes each time: a heap that has grown before hides what is added
      const rounds = connections >= MANY ? 1 : Math.min(2, context.rounds)
      const ours: number[] = []
      const bare: number[] = []
      for (let round = 0; round < rounds; round += 1) {
        ours.push(await perConnection(context, connections, 'starttls'))
        bare.push(await perConnection(context, connections, 'bare'))
      }
      notes.push(
        `at ${connections}: ${kibibytes(ours)} KiB for each connection, a bare TLS socket ${kibibytes(bare)} KiB`,
      )
      context.tell(notes.at(-1) ?? '')
      claims.push({
        what: `memory of one of ${connections} idle connections by a bare TLS socket’s`,
        bound: 1.25,
        sense: 'at most',
        measured: spreadOf(ours.map((value, round) => value / (bare[round] ?? Number.NaN))),
        unit: ' ×',
      })
    }
    return { claims, figures: [], notes }
  },
}

/** @returns KiB of resident memory that each connection adds */
async function perConnection(
  context: RowContext,
  connections: number,
  security: 'starttls' | 'bare',
): Promise<number> {
  const { pki, cleanup, credential, generator } = context
  const subject: Subject =
    security === 'bare'
      ? await startBareLoop(pki, cleanup, 'hold')
      : await startPostern(
          {
            name: 'postern',
            pki,
            under: context.under,
            ...(connections < MANY ? {} : { sessions: connections + WARM_UP }),
          },
          cleanup,
        )
  try {
    const { host, port } = subject
    const hold = async (count: number): Promise<void> =>
      generator.hold({ host, port, security, credential, connections: count, atOnce: 50 })
    for (let made = 0; made < WARM_UP; made += WARM_UP_AT_ONCE) {
      await hold(WARM_UP_AT_ONCE)
      await generator.release()
    }
    await settled(subject)
    const before = memoryOf(subject).all
    await hold(connections)
    await settled(subject)
    const after = memoryOf(subject).all
    const lost = await generator.release()
    if (lost > 0) throw new Error(`${lost} of ${connections} idle connections were closed meanwhile`)
    return (after - before) / connections / 1024
  } finally {
    await subject.stop()
  }
}

async function settled(subject: Subject): Promise<void> {
  await delay(500)
  await untilQuiet(subject.pids)
}

function kibibytes(values: readonly number[]): string {
  return values.map((value) => value.toFixed(1)).join(', ')
}
