/**
 * An operator who acts at any moment, several acts at once, while attempts begin and end: every message ends exactly once,
 * nothing is sent that has ended, nothing is lost, and the counts add up.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holdsAsync } from '../../../test/support/properties.ts'
import { OperatorBench, settled } from './desk.fixture.ts'
import type { Act, Selection } from './orders.ts'

const DOMAINS = ['a.test', 'b.test', 'c.test']

const acts: readonly Act[] = [
  { kind: 'fail', text: '554 no', quiet: false },
  { kind: 'fail', text: '554 no', quiet: true },
  { kind: 'flush' },
  { kind: 'delay', seconds: 30 },
  { kind: 'reroute', domain: 'b.test' },
  { kind: 'rebind', egress: { bindingGroup: 'g', binding: 'b' } },
]

const step = fc.oneof(
  fc.record({
    kind: fc.constant('accept' as const),
    domain: fc.nat(2),
    count: fc.integer({ min: 1, max: 6 }),
  }),
  fc.record({
    kind: fc.constant('answer' as const),
    how: fc.constantFrom('delivered', 'transient', 'permanent'),
  }),
  fc.record({ kind: fc.constant('wait' as const) }),
  fc.record({
    kind: fc.constant('act' as const),
    act: fc.nat(acts.length - 1),
    domain: fc.nat(3),
    /** all that fit, or one message of them */
    one: fc.option(fc.nat(12)),
    /** the next step does not wait for it */
    beside: fc.boolean(),
  }),
)

class World {
  readonly bench = new OperatorBench({ options: { max_outbound_connections: 2, generate_bounces: false } })
  readonly accepted: string[] = []
  readonly #open: Promise<unknown>[] = []

  async take(each: typeof step extends fc.Arbitrary<infer S> ? S : never): Promise<void> {
    const { bench } = this
    if (each.kind === 'accept') {
      const ids = Array.from({ length: each.count }, (_, index) => `m${this.accepted.length + index}`)
      this.accepted.push(...ids)
      await bench.accept(
        ...ids.map((id) => ({ id, recipient: { local: id, domain: DOMAINS[each.domain] ?? '' } })),
      )
    } else if (each.kind === 'answer') {
      await bench.answer(each.how)
    } else if (each.kind === 'wait') {
      bench.clock.advance()
      await settled()
    } else {
      const domain = DOMAINS[each.domain]
      const selection: Selection = {
        ...(domain === undefined ? {} : { domain }),
        ...(each.one === null ? {} : { filter: { kind: 'header', name: 'subject', line: `m${each.one}` } }),
      }
      const act = acts[each.act]
      assert.ok(act)
      const done = bench.queue.ask('act', { act, selection, dryRun: false })
      this.#open.push(done.then(({ broken }) => assert.equal(broken, undefined)))
      if (!each.beside) await this.acted()
    }
    this.#check()
  }

  async acted(): Promise<void> {
    await Promise.all(this.#open.splice(0))
    await settled()
  }

  get ended(): readonly string[] {
    return this.bench.outcomes
      .filter((told) => !told.startsWith('transient'))
      .map((told) => told.split(' ')[1] ?? '')
  }

  #check(): void {
    const { bench, ended } = this
    const busy = bench.underWay.flatMap(({ ids }) => ids)
    assert.equal(new Set(busy).size, busy.length, 'nothing is under way twice')
    assert.equal(new Set(ended).size, ended.length, 'nothing ends twice')
    assert.ok(
      busy.every((id) => !ended.includes(id)),
      'nothing goes on after its end',
    )
    assert.deepEqual(bench.panics, [])
  }

  /** Everything that is left is delivered. */
  async finish(): Promise<void> {
    const { bench } = this
    await this.acted()
    const { ready, active, delayed, failed } = bench.queue.counts
    assert.equal(ready + active + delayed + failed, this.accepted.length - this.ended.length)
    for (let n = 0; this.ended.length < this.accepted.length; n++) {
      assert.ok(n < 300, 'something is stuck')
      await bench.act({ kind: 'flush' })
      await bench.answer('delivered')
      this.#check()
    }
    assert.deepEqual(this.ended.toSorted(), this.accepted.toSorted())
    assert.deepEqual([bench.storage.size, bench.queue.byDomain()], [0, []])
    const { counts } = bench.queue
    assert.deepEqual(
      [counts.ready, counts.active, counts.delayed, counts.failed, counts.resident],
      [0, 0, 0, 0, 0],
    )
  }
}

test('whatever an operator does and when, every message ends once', async () => {
  await holdsAsync(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (all) => {
      const world = new World()
      for (const each of all) await world.take(each)
      await world.finish()
    }),
    { numRuns: 60 },
  )
})
