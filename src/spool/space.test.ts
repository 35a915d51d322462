/** The bound on which everything rests that space.ts promises: how much a batch can make the file grow. */

import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { overflowPages, pagesFor } from './space.ts'
import type { Write } from './store.ts'
import { Store } from './store.ts'

test('no batch makes the file grow by more pages than foretold, however fragmented it is', async () => {
  const path = await mkdtemp(join(tmpdir(), 'postern-space-'))
  const store = new Store(path, 0o600)
  const random = generator(42)
  const live: number[] = []
  let key = 1
  let grown = 0
  for (let round = 0; round < 400; round += 1) {
    const writes: Write[] = []
    const size = { inlineOctets: 0, overflowPages: 0, touched: 0 }
    for (let n = random(12); n > 0; n -= 1) {
      // many sizes, so that what is freed seldom fits what comes next
      const value = Buffer.alloc(random(3) === 0 ? random(200_000) + 1 : random(6000) + 1)
      const pages = overflowPages(value.length, 4096)
      writes.push({ table: 'bodies', key, value }, { table: 'messages', key, value: Buffer.alloc(700) })
      live.push(key)
      key += 1
      size.overflowPages += pages
      size.inlineOctets += 64 + 700 + (pages === 0 ? value.length : 0)
    }
    for (let n = random(live.length > 500 ? 24 : 10); n > 0 && live.length > 0; n -= 1) {
      const [gone = 0] = live.splice(random(live.length), 1)
      writes.push(
        { table: 'bodies', key: gone, value: undefined },
        { table: 'messages', key: gone, value: undefined },
      )
      size.touched += 2
    }
    if (writes.length === 0) continue
    const before = store.pageUse()
    const bound = pagesFor(size, before)
    await store.apply(writes)
    const after = store.pageUse()
    assert.ok(after.pages - before.pages <= bound, `${after.pages - before.pages} pages, foretold ${bound}`)
    assert.ok(after.free >= 0 && after.free < after.pages)
    grown += after.pages - before.pages
  }
  assert.ok(grown > 1000)
  const before = store.pageUse()
  await store.apply(
    [...store.keys('bodies')].map((key) => ({ table: 'bodies' as const, key, value: undefined })),
  )
  assert.ok(store.pageUse().free > before.free + 1000, 'what was removed is free inside the file')
  await store.close()
  await rm(path, { recursive: true })
})

/** Whole numbers below a limit, the same in every run. */
function generator(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}
