/** Messages of 25 MiB: memory for each that comes at the same time, and the rate against the disk's own. */

import { sequentialRate } from '../support/disk.ts'
import { ratiosOf, spreadOf } from '../support/figures.ts'
import { startPostern } from '../support/postern.ts'
import { cpuOf, memoryOf } from '../support/subject.ts'
import { orderOf, type Row, using } from './row.ts'

const SIZE = 25 * 1024 * 1024
const AT_ONCE = 8
const SAMPLE_MS = 20
const MEBIBYTE = 1024 ** 2

export const large: Row = {
  id: 'large',
  work: '25 MiB message',
  target:
    'resident memory grows by less than 4 MiB per concurrent message; ≥ 60 % of the disk’s own sequential fsynced rate',
  run: async (context) => {
    const { pki, cleanup, under, generator, tell } = context
    const folder = cleanup.folder('disk', under)
    const postern = startPostern({ name: 'postern', pki, under }, cleanup)
    return await using([postern], async () => {
      const subject = await postern
      const rates: number[] = []
      const disk: number[] = []
      const grown: number[] = []
      const anonymous: number[] = []
      const cpu: number[] = []
      const sending: number[] = []
      const small = orderOf(context, { security: 'plain', perConnection: 20, messages: 4000 })
      await generator.run({ ...small, host: subject.host, port: subject.port })
      const order = {
        ...orderOf(context, { security: 'plain', perConnection: 0, messages: 1 }),
        connections: AT_ONCE,
        messages: 3 * AT_ONCE,
        size: SIZE,
        host: subject.host,
        port: subject.port,
      }
      // the first does not count
      for (let round = -1; round < Math.min(3, context.rounds); round += 1) {
        const before = memoryOf(subject)
        const cpuBefore = cpuOf(subject)
        let [all, own] = [before.all, before.anonymous]
        const watch = setInterval(() => {
          const now = memoryOf(subject)
          all = Math.max(all, now.all)
          own = Math.max(own, now.anonymous)
        }, SAMPLE_MS)
        const summary = await generator.run(order)
        clearInterval(watch)
        if (summary.accepted !== order.messages) throw new Error(JSON.stringify(summary.errors))
        const probe = sequentialRate(folder, SIZE, 2 * AT_ONCE)
        if (round < 0) continue
        rates.push((summary.accepted * SIZE) / summary.seconds / MEBIBYTE)
        disk.push(probe / MEBIBYTE)
        grown.push((all - before.all) / AT_ONCE / MEBIBYTE)
        anonymous.push((own - before.anonymous) / AT_ONCE / MEBIBYTE)
        cpu.push((cpuOf(subject) - cpuBefore) / summary.accepted)
        sending.push(summary.cpuSeconds / summary.accepted)
        tell(
          `25 MiB: ${rates.at(-1)?.toFixed(0)} MiB/s, the disk ${disk.at(-1)?.toFixed(0)} MiB/s, +${grown.at(-1)?.toFixed(1)} MiB each`,
        )
      }
      const medians = [rates, disk, anonymous, cpu, sending].map((values) => spreadOf(values).median)
      const [rate = 0, own = 0, heap = 0, seconds = 0, sent = 0] = medians
      return {
        claims: [
          {
            what: `resident memory for each of ${AT_ONCE} at once`,
            bound: 4,
            sense: 'at most',
            measured: spreadOf(grown),
            unit: ' MiB',
          },
          {
            what: 'octets per second by the disk’s own',
            bound: 0.6,
            sense: 'at least',
            measured: ratiosOf(rates, disk),
            unit: ' ×',
          },
        ],
        figures: [],
        notes: [
          `${rate.toFixed(0)} MiB/s against ${own.toFixed(0)} MiB/s of files that are written and synced one after the other; ${heap.toFixed(1)} MiB of memory that is no file’s for each message; ${seconds.toFixed(3)} s of CPU for each message, and ${sent.toFixed(3)} s of the generator’s`,
        ],
      }
    })
  },
}
