/** A process of the load generator: takes one task after the other from its parent, and ends with it. */

import { type Held, hold } from './hold.ts'
import { runLoad } from './load.ts'
import type { GeneratorAnswer, GeneratorTask } from './order.ts'

let held: Held | undefined

process.on('message', (task: GeneratorTask) => {
  perform(task).then(answer, (error: unknown) => {
    answer({ kind: 'failed', reason: error instanceof Error ? error.message : String(error) })
  })
})
process.on('disconnect', () => process.exit())

async function perform(task: GeneratorTask): Promise<GeneratorAnswer> {
  if (task.kind === 'load') return { kind: 'result', result: await runLoad(task.order) }
  if (task.kind === 'hold') {
    held = await hold(task.order)
    return { kind: 'held', connections: held.connections }
  }
  const lost = held?.release() ?? 0
  held = undefined
  return { kind: 'released', lost }
}

function answer(message: GeneratorAnswer): void {
  process.send?.(message)
}
