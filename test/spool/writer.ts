/**
 * A process that keeps mail and says so, to be killed or traced: `node writer.ts PATH few|forever PREFIX`.
 *
 * Prints `+ID SIZE` once a commit has resolved and `-ID` once a removal has. `few` keeps some messages of each kind
 * and ends; `forever` commits and removes as fast as it can. Header and body name the message (`contentOf`).
 */

import { openSpool } from '../../src/spool/lmdb-spool.ts'
import type { Spool } from '../../src/spool/spool.ts'
import { appendAll, envelope } from './place.ts'
import { contentOf } from './written.ts'

const [path = '', mode = '', prefix = ''] = process.argv.slice(2)
const spool = await openSpool({
  path,
  mode: 0o600,
  minFree: 1_000_000,
  receptionMemory: 4_000_000,
  clock: () => Date.now(),
  events: {
    emit: (event) => {
      throw new Error(JSON.stringify(event))
    },
  },
})
if (mode === 'few') await few(spool)
else await Promise.all(Array.from({ length: 16 }, async (_, n) => await forever(spool, `${prefix}.${n}`)))

async function few(spool: Spool): Promise<void> {
  await Promise.all([1, 2, 3, 4, 5].map(async (n) => await commit(spool, [`${prefix}.s${n}`], 3000)))
  await commit(spool, [`${prefix}.b1`, `${prefix}.b2`, `${prefix}.b3`], 5000)
  await commit(spool, [`${prefix}.large`], 400_000)
  await commit(spool, [`${prefix}.last`], 100)
  await spool.close()
}

async function forever(spool: Spool, name: string): Promise<void> {
  for (let n = 0; ; n += 1) {
    const id = `${name}.${n}`
    if (n % 5 === 1) await commit(spool, [`${id}a`, `${id}b`], 2500)
    else await commit(spool, [id], n % 11 === 7 ? 300_000 : 4096)
    if (n % 4 !== 3) continue
    await spool.remove(id)
    process.stdout.write(`-${id}\n`)
  }
}

async function commit(spool: Spool, ids: readonly string[], size: number): Promise<void> {
  const [first = ''] = ids
  const writer = spool.create()
  await appendAll(writer, contentOf(first, size).body)
  // the messages of a batch share the first one's body
  const messages = ids.map((id) => ({
    envelope: envelope(id, { batchId: first, size }),
    header: contentOf(id, 0).header,
  }))
  await writer.commit(messages)
  process.stdout.write(ids.map((id) => `+${id} ${size}\n`).join(''))
}
