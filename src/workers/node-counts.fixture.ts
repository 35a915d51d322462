/** Takes and gives back without end, until it is killed. */

import { NodeCounts } from './node-counts.ts'

const [folder = '', slot, limit] = process.argv.slice(2)
const table = new NodeCounts(folder, Number(slot))
const budget = { counter: 'contended', limit: Number(limit) }
process.on('disconnect', () => process.exit())
process.send?.('ready')
let held = 0
const work = (): void => {
  for (let n = 0; n < 50; n++) {
    if (held < 3 && table.take([budget])) held += 1
    else if (held > 0) {
      table.give([budget.counter])
      held -= 1
    }
  }
  setImmediate(work)
}
work()
