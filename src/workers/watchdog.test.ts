import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Watchdog, type WatchedWorker } from './watchdog.ts'

const BOUND = 60_000
const BEAT = 5000

interface Puppet extends WatchedWorker {
  readonly name: string
  /** says something before each look */
  talks: boolean
  excused: boolean
}

function crew(count: number) {
  const workers: Puppet[] = Array.from({ length: count }, (_, index) => ({
    name: `w${index}`,
    heard: false,
    talks: true,
    excused: false,
  }))
  const state = { now: 1000, complete: true }
  const killed: string[] = []
  const dog = new Watchdog<Puppet>({
    bound: BOUND,
    clock: () => state.now,
    workers: () => workers,
    complete: () => state.complete,
    onHung: (worker, silence) => killed.push(`${worker.name} after ${silence / 1000}`),
  })
  const look = (after = BEAT): void => {
    state.now += after
    for (const worker of workers) worker.heard = worker.talks
    dog.look()
  }
  const looks = (count: number): void => {
    for (let n = 0; n < count; n++) look()
  }
  return { workers, state, killed, look, looks }
}

function silence(worker: Puppet | undefined): void {
  assert.ok(worker)
  worker.talks = false
}

describe('the watchdog of workers', () => {
  test('tells of a worker that was silent for the bound, once, and of no other', () => {
    const { workers, killed, looks } = crew(2)
    looks(30)
    silence(workers[1])
    looks(11)
    assert.deepEqual(killed, [])
    looks(1)
    assert.deepEqual(killed, ['w1 after 60'])
    looks(50)
    assert.deepEqual(killed, ['w1 after 60'])
  })

  test('a word in between, and the count begins anew', () => {
    const { workers, killed, look, looks } = crew(1)
    silence(workers[0])
    looks(11)
    for (const worker of workers) worker.talks = true
    look()
    silence(workers[0])
    looks(11)
    assert.deepEqual(killed, [])
  })

  test('a machine that slept, or that came to nothing, gives everybody the whole bound anew', () => {
    const { workers, killed, look, looks } = crew(2)
    for (const worker of workers) silence(worker)
    looks(11)
    look(8 * 3_600_000)
    assert.deepEqual(killed, [])
    looks(11)
    assert.deepEqual(killed, [])
    looks(1)
    assert.deepEqual(killed, ['w0 after 60'])
  })

  test('a worker that changes its configuration may be silent meanwhile', () => {
    const { workers, killed, looks } = crew(1)
    silence(workers[0])
    for (const worker of workers) worker.excused = true
    looks(100)
    assert.deepEqual(killed, [])
    for (const worker of workers) worker.excused = false
    looks(12)
    assert.deepEqual(killed, ['w0 after 60'])
  })

  test('when all hang, the next is told of when the place of the one before is filled, or after as long again', () => {
    const { workers, state, killed, looks } = crew(3)
    for (const worker of workers) silence(worker)
    looks(12)
    state.complete = false
    looks(11)
    assert.deepEqual(killed, ['w0 after 60'])
    state.complete = true
    looks(1)
    assert.deepEqual(killed, ['w0 after 60', 'w1 after 120'])
    state.complete = false
    looks(1)
    assert.deepEqual(killed.slice(2), ['w2 after 125'])
  })
})
