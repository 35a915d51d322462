import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsFor } from '../../test/support/messages.ts'
import { LocalCounts } from '../config/limit-counts.ts'
import type { OutboundValues } from '../config/settings.ts'
import { defaultEgress, type Egress } from '../config/settings-queue.ts'
import { type Batch, DomainQueues, type QueueRules } from './domain-queues.ts'
import { MessageTable } from './message-table.ts'
import { Throttles } from './throttle.ts'

type Options = (domain: string, egress: Egress) => Partial<OutboundValues>

const START = 1_700_000_000_000

/** Queues of messages that are called by name; each has content of its own unless said otherwise. */
class Bench {
  readonly table = new MessageTable()
  readonly queues: DomainQueues
  now = START
  #contents = 0

  constructor(options: Options, rules: Partial<QueueRules> = {}) {
    this.queues = new DomainQueues(this.table, new Throttles(), this.rules(options, rules))
  }

  rules(options: Options, rules: Partial<QueueRules> = {}): QueueRules {
    const settings = settingsFor((domain, egress = defaultEgress) => options(domain, egress))
    return {
      resolve: (domain, egress) => settings.resolveOutbound(domain, egress),
      defaultSuspended: false,
      capacity: 100,
      reserve: 0,
      ...rules,
    }
  }

  push(id: string, domain: string, about: { urgent?: true; content?: number; egress?: Egress } = {}): void {
    const queue = this.queues.open(domain, about.egress ?? defaultEgress)
    const number = this.table.add(id, {
      queue: queue.index,
      content: about.content ?? this.#contents++ + 1000,
    })
    if (about.urgent) this.table.mark(number, 'urgent')
    this.queues.push(number)
  }

  take(): { readonly batch: Batch; readonly names: string } | undefined {
    const batch = this.queues.take(this.now)
    return batch && { batch, names: batch.messages.map((number) => this.table.id(number)).join(' ') }
  }

  takeAll(): string[] {
    const taken: string[] = []
    for (let each = this.take(); each !== undefined; each = this.take()) {
      this.#open.push(each.batch)
      taken.push(each.names)
    }
    return taken
  }

  readonly #open: Batch[] = []

  /** The oldest attempt for a domain is over, and its messages are gone. */
  done(domain: string): void {
    const index = this.#open.findIndex(({ queue }) => queue.domain === domain)
    const [batch] = this.#open.splice(index, 1)
    assert.ok(batch)
    for (const number of batch.messages) this.table.remove(number)
    this.queues.done(batch)
  }

  get domains(): number {
    return [...this.queues.all()].length
  }
}

test('domains take turns, each within its limit', () => {
  const bench = new Bench((domain) => ({
    max_outbound_connections: domain === 'wide' ? 3 : 1,
    suspend_delivery: domain === 'asleep',
  }))
  for (const n of [1, 2, 3, 4])
    for (const name of ['wide', 'narrow', 'asleep']) bench.push(`${name}${n}`, name)
  assert.deepEqual(bench.takeAll(), ['wide1', 'narrow1', 'wide2', 'wide3'])
  bench.done('wide')
  bench.done('narrow')
  assert.deepEqual(bench.takeAll(), ['wide4', 'narrow2'])
  assert.deepEqual([bench.queues.ready, bench.domains], [6, 3])
  bench.queues.reload(bench.rules(() => ({ max_outbound_connections: 10 })))
  assert.deepEqual(bench.takeAll(), ['narrow3', 'asleep1', 'narrow4', 'asleep2', 'asleep3', 'asleep4'])
  for (const name of ['wide', 'narrow', 'asleep']) {
    for (const batches of name === 'asleep' ? [1, 2, 3, 4] : [1, 2, 3]) {
      assert.ok(batches > 0)
      bench.done(name)
    }
  }
  assert.deepEqual([bench.queues.ready, bench.domains, bench.table.size], [0, 0, 0])
})

test('what is urgent goes first in its domain, in order, and domains still take turns', () => {
  const bench = new Bench(() => ({}))
  bench.push('a1', 'a')
  bench.push('a2', 'a', { urgent: true })
  bench.push('b1', 'b')
  bench.push('a3', 'a', { urgent: true })
  assert.equal(bench.queues.ready, 4)
  assert.deepEqual(bench.takeAll(), ['a2', 'b1', 'a3', 'a1'])
})

test('what has the same content goes together, up to the limits, and never over what stands in between', () => {
  const bench = new Bench((domain) => ({
    max_recipients_per_batch: domain === 'a' ? 3 : 100,
    max_recipients_per_connection: domain === 'b' ? 2 : 0,
  }))
  for (const n of [1, 2, 3, 4]) bench.push(`a${n}`, 'a', { content: 1 })
  for (const n of [1, 2, 3]) bench.push(`b${n}`, 'b', { content: 1 })
  for (const [n, content] of [7, 7, 8, 7].entries()) bench.push(`c${n}`, 'c', { content })
  const alone = Number.NaN
  for (const n of [1, 2]) bench.push(`d${n}`, 'd', { content: alone })
  assert.deepEqual(bench.takeAll().toSorted(), [
    'a1 a2 a3',
    'a4',
    'b1 b2',
    'b3',
    'c0 c1',
    'c2',
    'c3',
    'd1',
    'd2',
  ])
})

test('each binding has a queue of its own for a domain', () => {
  const slow = { bindingGroup: 'g', binding: 'slow' }
  const bench = new Bench((_domain, { binding }) => ({
    max_outbound_connections: binding === 'slow' ? 1 : 32,
  }))
  for (const n of [1, 2, 3]) {
    bench.push(`s${n}`, 'a', { egress: slow })
    bench.push(`d${n}`, 'a')
  }
  assert.deepEqual(bench.takeAll(), ['s1', 'd1', 'd2', 'd3'])
})

test('mail without a binding waits where Default_Binding says so', () => {
  const bench = new Bench(() => ({}), { defaultSuspended: true })
  bench.push('d1', 'a')
  bench.push('b1', 'a', { egress: { bindingGroup: 'default', binding: 'b' } })
  assert.deepEqual(bench.takeAll(), ['b1'])
})

test('what was not tried is back at the front, in its order', () => {
  const bench = new Bench(() => ({}))
  for (const n of [1, 2, 3]) bench.push(`a${n}`, 'a', { content: 1 })
  bench.push('a4', 'a')
  const taken = bench.take()
  assert.equal(taken?.names, 'a1 a2 a3')
  bench.queues.putBack(taken.batch.messages.slice(1), bench.now)
  bench.queues.done(taken.batch)
  assert.deepEqual(bench.takeAll(), ['a2 a3', 'a4'])
  bench.push('b1', 'b')
  const alone = bench.take()
  assert.equal(alone?.names, 'b1')
  bench.queues.putBack(alone.batch.messages, bench.now)
  bench.push('b2', 'b')
  assert.deepEqual(bench.takeAll(), ['b1', 'b2'])
})

test('the last places are for domains that have none, and a binding may be kept from the last places', () => {
  const bench = new Bench(() => ({}), { capacity: 4, reserve: 2 })
  for (const n of [1, 2, 3, 4]) bench.push(`a${n}`, 'a')
  bench.push('b1', 'b')
  assert.deepEqual(bench.takeAll(), ['a1', 'b1'])
  bench.push('c1', 'c')
  assert.deepEqual(bench.takeAll(), ['c1'])
  bench.done('b')
  bench.done('c')
  assert.deepEqual(bench.takeAll(), ['a2'])
  const bound = new Bench((domain) => ({ server_max_outbound_connections: domain === 'a' ? 2 : 100 }))
  bound.push('b1', 'b')
  for (const n of [1, 2]) bound.push(`a${n}`, 'a')
  assert.deepEqual(bound.takeAll(), ['b1', 'a1'])
  bound.done('b')
  assert.deepEqual(bound.takeAll(), ['a2'])
})

test('a throttle is shared where it is written, and who has to wait comes back in turn', () => {
  const bench = new Bench(() => ({ outbound_throttle_messages: { count: 2, seconds: 1 } }))
  for (const name of ['a', 'b', 'c', 'd']) bench.push(`${name}1`, name)
  assert.deepEqual(bench.takeAll(), ['a1', 'b1'])
  const first = bench.queues.nextRelease
  assert.ok(first !== undefined && first > START && first <= START + 1100)
  bench.now = first
  bench.queues.release(bench.now)
  assert.deepEqual(bench.takeAll(), ['c1'], 'the next one was told to come later')
  bench.now = bench.queues.nextRelease ?? 0
  bench.queues.release(bench.now)
  assert.deepEqual(bench.takeAll(), ['d1'])
})

test('a throttle of connections lets go who may still have one', () => {
  const bench = new Bench(() => ({
    outbound_throttle_connections: { count: 1, seconds: 60 },
    idle_timeout: 5,
  }))
  bench.push('a1', 'a')
  assert.deepEqual(bench.takeAll(), ['a1'])
  const queue = bench.queues.open('a', defaultEgress)
  queue.reachedAt = START
  bench.push('a2', 'a')
  assert.deepEqual(bench.takeAll(), ['a2'])
})

const scarce: Options = () => ({ max_outbound_connections: 3, server_max_outbound_connections: 4 })

test('processes that count together have as many attempts as the limits say, all in all', () => {
  const places = new LocalCounts()
  const benches = [new Bench(scarce, { places }), new Bench(scarce, { places })]
  for (const bench of benches)
    for (let n = 0; n < 5; n++)
      for (const domain of ['a.test', 'b.test']) bench.push(`${domain} ${n}`, domain)
  const taken = benches.map((bench) => bench.takeAll())
  assert.equal(taken.flat().length, 4)
  for (const domain of ['a.test', 'b.test'])
    assert.ok(taken.flat().filter((name) => name.startsWith(domain)).length <= 3)
  const [one, two] = benches
  assert.ok(one && two)
  const left = taken[0]?.[0]?.split(' ')[0] ?? ''
  one.done(left)
  // who found them all taken looks again after a while
  assert.deepEqual(two.takeAll(), [])
  const next = two.queues.nextRelease
  assert.ok(next !== undefined && next <= two.now + 1000)
  two.now = next
  two.queues.release(next)
  assert.equal(two.takeAll().length, 1)
})

test('with `normal` a domain gets one more place with each attempt that reaches a host, and begins anew after one that reaches none', () => {
  const bench = new Bench(() => ({
    connection_allocation_aggressiveness: 'normal',
    max_outbound_connections: 3,
  }))
  for (const id of ['1', '2', '3', '4', '5', '6']) bench.push(id, 'a.test')
  assert.deepEqual(bench.takeAll(), ['1'])
  const queue = bench.queues.of(bench.table.add('7', { queue: 0, content: 7 }))
  queue.proven = 1
  bench.push('8', 'a.test')
  assert.deepEqual(bench.takeAll(), ['2'])
  queue.proven = 9
  bench.push('9', 'a.test')
  assert.deepEqual(bench.takeAll(), ['3'])
  queue.proven = 0
  bench.push('10', 'a.test')
  assert.deepEqual(bench.takeAll(), [])
})
