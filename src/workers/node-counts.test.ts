import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { makeTableFolder, NodeCounts, removeTableFolder } from './node-counts.ts'

let folder: string
let table: NodeCounts

before(() => {
  folder = makeTableFolder(tmpdir() + `/of-test-${process.pid}`)
  table = new NodeCounts(folder, 0)
  table.takeRoom()
})
after(() => {
  table.close()
  removeTableFolder(folder)
  assert.equal(existsSync(folder), false)
})

describe('counters of a node', () => {
  test('all or nothing is taken, and what is given back is free', () => {
    const full = { counter: 'x', limit: 1 }
    assert.ok(table.take([full, { counter: 'y', limit: 0 }]))
    assert.equal(table.take([{ counter: 'y', limit: 5 }, full]), false)
    assert.equal(table.count('y'), 1)
    assert.equal(table.swap(['y'], [full]), false)
    assert.equal(table.count('y'), 1)
    assert.ok(table.swap(['x'], [{ counter: 'z', limit: 1 }]))
    table.give(['z', 'y'])
    assert.equal(table.size, 0)
  })

  test('what was never taken cannot be given back', () => {
    assert.ok(table.take([{ counter: 'a', limit: 1 }]))
    const other = new NodeCounts(folder, 7)
    other.give(['a', 'b'])
    assert.equal(table.count('a'), 1)
    table.give(['a'])
    assert.equal(table.size, 0)
  })

  test('processes that are killed in the midst of it hold up nobody, and what they had is free', async () => {
    const limit = 5
    const children = [1, 2, 3].map((slot) =>
      fork(new URL('node-counts.fixture.ts', import.meta.url), [folder, String(slot), String(limit)]),
    )
    await Promise.all(children.map((child) => once(child, 'message')))
    for (let n = 0; n < 200; n++) {
      assert.ok(table.count('contended') <= limit)
      await new Promise(setImmediate)
    }
    await Promise.all(children.map(killed))
    for (const slot of [1, 2, 3]) table.clear(slot)
    assert.equal(table.count('contended'), 0)
    assert.ok(table.take([{ counter: 'contended', limit: 1 }]))
    table.give(['contended'])
    assert.equal(table.size, 0)
  })
})

test('while a process is stopped in the midst of a change nothing is taken, and what is given back comes later', () => {
  const place = makeTableFolder(tmpdir() + `/of-stopped-${process.pid}`)
  const counts = new NodeCounts(place, 1)
  assert.ok(counts.take([{ counter: 'a', limit: 9 }]))
  const stopped = new DatabaseSync(path.join(place, 'counts.db'))
  stopped.exec('BEGIN IMMEDIATE')
  assert.equal(counts.take([{ counter: 'a', limit: 9 }]), false)
  counts.give(['a'])
  counts.clear(3)
  assert.equal(counts.count('a'), 1)
  stopped.exec('ROLLBACK')
  assert.ok(counts.take([{ counter: 'b', limit: 1 }]))
  assert.deepEqual([counts.count('a'), counts.count('b')], [0, 1])
  stopped.close()
  counts.close()
  removeTableFolder(place)
})

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}
