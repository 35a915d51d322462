import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CommitTarget, Transaction } from './group-commit.ts'
import { GroupCommit } from './group-commit.ts'
import type { Need } from './space.ts'
import { SpoolFullError } from './spool.ts'
import type { Write } from './store.ts'

/** A target that applies a batch when told to. */
class Target implements CommitTarget {
  readonly batches: number[][] = []
  readonly needs: Need[] = []
  #finish: ((error?: Error) => void)[] = []
  refuse: (need: Need) => boolean = () => false

  async apply(writes: readonly Write[]): Promise<void> {
    this.batches.push(writes.map((write) => write.key))
    await new Promise<void>((resolve, reject) => {
      this.#finish.push((error) => (error === undefined ? resolve() : reject(error)))
    })
  }

  async prepare(need: Need): Promise<void> {
    await Promise.resolve()
    this.needs.push(need)
    if (this.refuse(need)) throw new SpoolFullError()
  }

  settled(): void {}

  stalled(): void {}

  pageUse() {
    return { pageSize: 4096, pages: 100, free: 0, treePages: 10, depth: 2 }
  }

  /** Ends the batch that is under way, when there is one. */
  async finish(error?: Error): Promise<void> {
    for (let turn = 0; turn < 20 && this.#finish.length === 0; turn += 1) await Promise.resolve()
    this.#finish.shift()?.(error)
  }
}

const change = (key: number, size = 10): Transaction => ({
  writes: [{ table: 'bodies', key, value: Buffer.alloc(size) }],
  newMail: true,
})

test('all that is submitted during a flush goes out with the next, in order', async () => {
  const target = new Target()
  const commits = new GroupCommit(target)
  const first = [commits.submit(change(1)), commits.submit(change(2))]
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
  const later = Array.from({ length: 50 }, async (_, n) => await commits.submit(change(10 + n)))
  await target.finish()
  await Promise.all(first)
  await target.finish()
  await Promise.all(later)
  await commits.idle()
  assert.deepEqual(target.batches, [[1, 2], Array.from({ length: 50 }, (_, n) => 10 + n)])
})

test('nothing resolves before its flush', async () => {
  const target = new Target()
  const commits = new GroupCommit(target)
  let done = false
  const submitted = commits.submit(change(1)).then(() => (done = true))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([target.batches.length, done], [1, false])
  await target.finish()
  assert.equal(await submitted, true)
})

test('a failure refuses its batch and not the next', async () => {
  const target = new Target()
  const commits = new GroupCommit(target)
  const both = Promise.allSettled([commits.submit(change(1)), commits.submit(change(2))])
  await target.finish(new Error('the disk broke'))
  assert.deepEqual(
    (await both).map((result) => result.status),
    ['rejected', 'rejected'],
  )
  const next = commits.submit(change(3))
  await target.finish()
  await next
})

test('when a batch has no room it is divided, and only what does not fit is refused', async () => {
  const target = new Target()
  const commits = new GroupCommit(target)
  target.refuse = (need) => need.divisible || need.pages > 100
  const all = Promise.allSettled(
    [1, 2, 3].map(async (n) => await commits.submit(change(n, n === 2 ? 900_000 : 10))),
  )
  await target.finish()
  await target.finish()
  const results = await all
  assert.deepEqual(
    results.map((result) => result.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.ok(results[1]?.status === 'rejected' && results[1].reason instanceof SpoolFullError)
  assert.deepEqual(target.batches, [[1], [3]])
})

test('a batch is bounded in size', async () => {
  const target = new Target()
  const commits = new GroupCommit(target)
  const all = [1, 2, 3, 4].map(async (n) => await commits.submit(change(n, 3 * 1024 * 1024)))
  await target.finish()
  await target.finish()
  await Promise.all(all)
  assert.deepEqual(target.batches, [
    [1, 2],
    [3, 4],
  ])
})
