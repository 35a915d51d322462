import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { systemClock } from './clock.ts'
import { DueHeap } from './due-heap.ts'
import { Fifo } from './fifo.ts'
import { Lanes } from './lanes.ts'
import { MessageTable, NOBODY } from './message-table.ts'
import { UnixLines } from './unix-lines.ts'

test('the heap gives back what is due in order of time, then of arrival', () => {
  holds(
    fc.property(fc.array(fc.nat(50), { maxLength: 60 }), fc.nat(50), (times, now) => {
      const heap = new DueHeap<string>()
      times.forEach((at, i) => heap.push(at, `${at}-${i}`))
      const out: string[] = []
      for (let item = heap.popDue(now); item !== undefined; item = heap.popDue(now)) out.push(item)
      const expected = times
        .map((at, i) => ({ at, text: `${at}-${i}` }))
        .filter(({ at }) => at <= now)
        .toSorted((a, b) => a.at - b.at)
        .map(({ text }) => text)
      assert.deepEqual(out, expected)
      assert.equal(heap.size, times.length - out.length)
      if (heap.size > 0) assert.equal(heap.next, Math.min(...times.filter((at) => at > now)))
    }),
  )
})

test('the fifo keeps order through any mix of pushes and shifts', () => {
  holds(
    fc.property(fc.array(fc.boolean(), { maxLength: 200 }), (pushes) => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      pushes.forEach((push, i) => {
        if (push) {
          fifo.push(i)
          model.push(i)
        } else assert.equal(fifo.shift(), model.shift())
        assert.equal(fifo.size, model.length)
      })
    }),
  )
})

test('a message can be taken out of its lane wherever it stands', () => {
  holds(
    fc.property(fc.array(fc.tuple(fc.constantFrom('append', 'prepend', 'remove'), fc.nat(20))), (steps) => {
      const table = new MessageTable()
      const lanes = new Lanes(table)
      const lane = { head: NOBODY, tail: NOBODY }
      let model: number[] = []
      for (const [index, [kind, which]] of steps.entries()) {
        if (kind === 'remove') {
          const number = model[which % Math.max(1, model.length)]
          if (number === undefined) continue
          lanes.remove(number, lane)
          model = model.filter((each) => each !== number)
          assert.ok(!table.is(number, 'waiting'))
          continue
        }
        const number = table.add(`m${index}`, { queue: 0, content: 0 })
        lanes[kind](number, lane)
        model = kind === 'append' ? [...model, number] : [number, ...model]
      }
      const found: number[] = []
      for (let number = lane.head; number !== NOBODY; number = table.next(number)) found.push(number)
      assert.deepEqual([found, lane.tail], [model, model.at(-1) ?? NOBODY])
    }),
  )
})

test('CRLF becomes LF however the message is cut; a lone CR or LF stays', () => {
  holds(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('\r', '\n', 'a', '.'), maxLength: 8 })),
      (chunks) => {
        const lines = new UnixLines()
        const out = [...chunks.map((chunk) => lines.convert(Buffer.from(chunk))), lines.end()]
        assert.equal(Buffer.concat(out).toString(), chunks.join('').replaceAll('\r\n', '\n'))
      },
    ),
  )
})

test('the system clock rings once, not before its time, and not when cancelled', async () => {
  const rung: number[] = []
  const at = systemClock.now() + 15
  const cancel = systemClock.schedule(at, () => assert.fail('was cancelled'))
  cancel()
  await new Promise<void>((resolve) => {
    systemClock.schedule(at, () => {
      rung.push(systemClock.now())
      resolve()
    })
  })
  assert.equal(rung.length, 1)
  assert.ok((rung[0] ?? 0) >= at)
  systemClock.schedule(systemClock.now() + 1e11, () => assert.fail('centuries'))()
})

test('the system clock rings within a minute when it was set forward', (t) => {
  const start = 1_700_000_000_000
  let now = start
  t.mock.method(Date, 'now', () => now)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let rung = 0
  systemClock.schedule(start + 3_600_000, () => rung++)
  t.mock.timers.tick(60_000)
  assert.equal(rung, 0)
  now = start + 7_200_000
  t.mock.timers.tick(60_000)
  t.mock.timers.tick(0)
  assert.equal(rung, 1)
})
