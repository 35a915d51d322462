/** The bound on which everything rests that space.ts promises: how much a batch can make the file grow. */

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { overflowPages, pagesFor, Space } from './space.ts'
import { SpoolFullError } from './spool.ts'
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

test('with comfort pages are counted now and then, and near the limit before and after every batch', async () => {
  const path = await mkdtemp(join(tmpdir(), 'postern-space-'))
  const file = join(path, 'data.mdb')
  await writeFile(file, '')
  const use = { pageSize: 4096, pages: 0, free: 0, treePages: 0, depth: 1 }
  let counted = 0
  let reserve = 0
  const space = new Space({
    file,
    reserve: () => reserve,
    clock: () => 0,
    inMemory: () => 0,
    pageUse: () => {
      counted += 1
      return use
    },
  })
  const batch = async (pages: number) => {
    await space.prepare({ pages, newMail: true, divisible: false })
    space.settled()
  }
  counted = 0
  for (let n = 0; n < 60; n += 1) await batch(50)
  assert.ok(counted >= 5 && counted <= 20, `${counted} of 60`)
  await batch(5000)
  counted = 0
  await batch(50)
  // nothing can be free beyond such a reserve: what was not counted is counted before anything is decided
  reserve = Number.MAX_SAFE_INTEGER
  await assert.rejects(batch(50), SpoolFullError)
  assert.equal(counted, 1)
  space.close()
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
