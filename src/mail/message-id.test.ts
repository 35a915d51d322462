import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_ID, IdGenerator } from './message-id.ts'

function at(seconds: number, pid: number, start: number): string {
  return new IdGenerator({ pid, start, clock: () => seconds * 1000 + 999 }).next()
}

test('ids are written as in the samples of Momentum’s log pages', () => {
  assert.equal(at(0x3f789b13, 25004, 0), '00/00-25004-31B987F3')
  assert.equal(at(0x3f78a549, 25593, 2), '20/00-25593-945A87F3')
  assert.equal(at(0x3f78a393, 25593, 1), '10/00-25593-393A87F3')
  assert.equal(at(0x3fcaa174, 18426, 0xd13b), 'B3/1D-18426-471AACF3')
  assert.equal(at(0x3f789b13, 25004, 0x1b), 'B1/00-25004-31B987F3')
})

test('more ids than a second has counters go on in the next second, and none comes twice', () => {
  const ids = new IdGenerator({ pid: 7, clock: () => 1_700_000_000_000, start: 65_000 })
  const seen = new Set<string>()
  for (let i = 0; i < 150_000; i++) seen.add(ids.next())
  assert.equal(seen.size, 150_000)
  assert.equal(new Set([...seen].map((id) => id.slice(-8))).size, 3)
})

test('a clock that goes back repeats no id', () => {
  let now = 1_700_000_005_000
  const ids = new IdGenerator({ pid: 7, clock: () => now, start: 0 })
  const seen = new Set<string>()
  const take = (count: number): void => {
    for (let i = 0; i < count; i++) seen.add(ids.next())
  }
  take(40_000)
  now -= 1000
  take(40_000)
  now += 1000
  take(40_000)
  assert.equal(seen.size, 120_000)
})

test('process ids beyond 16 bits keep the form', () => {
  assert.equal(at(1, 65_536 + 12, 0), '00/00-00012-10000000')
  assert.match(at(1, 4_194_303, 0), /^00\/00-\d{5}-10000000$/)
  assert.equal(EMPTY_ID, '00/00-00000-00000000')
})
