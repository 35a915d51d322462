/** A process of the load generator: takes one task after the other from its parent, and ends with it. */

import { type Held, hold } from './hold.ts'
import { runLoad } from './load.ts'
import type { GeneratorAnswer, GeneratorTask } from './order.ts'

const held: Held[] = []

process.on('message', (task: GeneratorTask) => {
  perform(task).then(answer, (error: unknown) => {
    answer({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) })
  })
})
process.on('disconnect', () => process.exit())

async function perform(task: GeneratorTask): Promise<GeneratorAnswer> {
  if (task.kind === 'load') return { kind: 'result', result: await runLoad(task.order) }
  if (task.kind === 'hold') {
    const group = await hold(task.order)
    held.push(group)
    return { kind: 'held', connections: group.connections }
  }
  const lost = held.splice(0).reduce((sum, group) => sum + group.release(), 0)
  return { kind: 'released', lost }
}

function answer(message: GeneratorAnswer): void {
  process.send?.(message)
}
