/**
 * The queue against a simple account: whatever happens in whatever order, every message ends exactly once, limits are
 * kept at every moment, and no domain waits while it could go.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { contentOf, noTargets, settingsFor, storedMessage } from '../../test/support/messages.ts'
import { holdsAsync } from '../../test/support/properties.ts'
import type { ServerEvent } from '../events/events.ts'
import { MemorySpool } from '../spool/memory-spool.ts'
import type { StoredMessage } from '../spool/spool.ts'
import { DeliveryQueue } from './queue.ts'
import type { MessageResult } from './transport.ts'

const DOMAINS = ['a.test', 'b.test', 'c.test']
const LIMITS = { perDomain: 2, inAll: 4, batch: 3 }

type Step =
  | {
      readonly kind: 'accept'
      readonly domain: number
      readonly recipients: number
      readonly urgent: boolean
    }
  | { readonly kind: 'answer'; readonly which: number; readonly results: readonly number[] }
  | { readonly kind: 'wait' }
  | { readonly kind: 'reload'; readonly suspended: number }

const steps = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('accept' as const),
      domain: fc.nat(DOMAINS.length - 1),
      recipients: fc.integer({ min: 1, max: 5 }),
      urgent: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('answer' as const),
      which: fc.nat(5),
      results: fc.array(fc.nat(3), { minLength: 1, maxLength: 3 }),
    }),
    fc.constant({ kind: 'wait' as const }),
    fc.record({ kind: fc.constant('reload' as const), suspended: fc.nat(DOMAINS.length) }),
  ),
  { maxLength: 40 },
) satisfies fc.Arbitrary<readonly Step[]>

interface UnderWay {
  readonly messages: readonly StoredMessage[]
  readonly answer: (results: readonly MessageResult[]) => void
}

class World {
  readonly clock = new FakeClock()
  readonly spool = new MemorySpool()
  readonly underWay: UnderWay[] = []
  readonly accepted = new Set<string>()
  readonly ends: string[] = []
  readonly queue: DeliveryQueue
  suspended = DOMAINS.length
  #count = 0

  constructor() {
    this.queue = new DeliveryQueue({
      spool: this.spool,
      settings: this.settings(),
      transports: {
        smtp: { deliver: async (messages) => await this.#attempt(messages) },
        ...noTargets,
        maildir: { deliver: () => Promise.reject(new Error('no maildir here')) },
      },
      events: { emit: (event) => this.#hear(event) },
      ids: { next: () => 'c' },
      hostname: 'mx.test',
      clock: this.clock,
      concurrency: LIMITS.inAll,
    })
    this.queue.start()
  }

  settings() {
    return settingsFor((domain) => ({
      gateway: 'relay.test',
      generate_bounces: false,
      retry_interval: 60,
      max_outbound_connections: LIMITS.perDomain,
      max_recipients_per_batch: LIMITS.batch,
      max_resident_messages: 4,
      suspend_delivery: domain === DOMAINS[this.suspended],
    }))
  }

  async take(step: Step): Promise<void> {
    if (step.kind === 'accept') await this.#accept(step)
    else if (step.kind === 'answer') this.#answer(step.which, step.results)
    else if (step.kind === 'wait') this.clock.advance()
    else {
      this.suspended = step.suspended
      this.queue.reload(this.settings())
    }
    for (let n = 0; n < 8; n++) await new Promise(setImmediate)
    this.#check()
  }

  /** Everything that is left is delivered. */
  async finish(): Promise<void> {
    this.suspended = DOMAINS.length
    this.queue.reload(this.settings())
    for (let n = 0; this.ends.length < this.accepted.size; n++) {
      assert.ok(n < 500, 'something is stuck')
      for (const { messages, answer } of this.underWay.splice(0)) answer(messages.map(() => resultOf(0)))
      for (let turn = 0; turn < 8; turn++) await new Promise(setImmediate)
      if (this.underWay.length === 0) this.clock.advance()
    }
  }

  async #accept({ domain, recipients, urgent }: Extract<Step, { kind: 'accept' }>): Promise<void> {
    const messages = Array.from({ length: recipients }, () => {
      const id = `m${this.#count++}`
      this.accepted.add(id)
      return storedMessage(id, {
        recipient: { local: id, domain: DOMAINS[domain] ?? '' },
        receivedAt: this.clock.now(),
        ...(urgent ? { priority: 1 } : {}),
      })
    })
    const writer = this.spool.create()
    const { header } = contentOf('A: b\r\n\r\n')
    await writer.commit(messages.map(({ envelope }) => ({ envelope, header })))
    this.queue.enqueue(messages)
  }

  #answer(which: number, results: readonly number[]): void {
    const [attempt] = this.underWay.splice(which % Math.max(1, this.underWay.length), 1)
    attempt?.answer(attempt.messages.map((_, index) => resultOf(results[index % results.length] ?? 0)))
  }

  async #attempt(messages: readonly StoredMessage[]): Promise<readonly MessageResult[]> {
    return await new Promise((answer) => {
      this.underWay.push({ messages, answer })
    })
  }

  #hear(event: ServerEvent): void {
    if (event.kind === 'panic') assert.fail(event.text)
    if (event.kind === 'delivery' || event.kind === 'permanent-failure') this.ends.push(event.envelope.id)
  }

  #check(): void {
    const busy = this.underWay.flatMap(({ messages }) => messages.map(({ envelope }) => envelope.id))
    assert.equal(new Set(busy).size, busy.length, 'no message is under way twice')
    assert.equal(new Set(this.ends).size, this.ends.length, 'no message ends twice')
    assert.ok(
      busy.every((id) => !this.ends.includes(id)),
      'nothing goes on after its end',
    )
    assert.ok(this.underWay.length <= LIMITS.inAll)
    for (const [index, domain] of DOMAINS.entries()) {
      const own = this.underWay.filter(({ messages }) => messages[0]?.envelope.recipient.domain === domain)
      assert.ok(own.length <= LIMITS.perDomain)
      const counts = this.queue.byDomain().find((each) => each.domain === domain)
      const waiting = (counts?.active ?? 0) - own.reduce((sum, { messages }) => sum + messages.length, 0)
      const mayGo =
        index !== this.suspended && own.length < LIMITS.perDomain && this.underWay.length < LIMITS.inAll
      assert.ok(!mayGo || waiting === 0, `${domain} has ${waiting} waiting and could go`)
    }
    for (const { messages } of this.underWay) {
      assert.ok(messages.length <= LIMITS.batch)
      assert.equal(new Set(messages.map(({ envelope }) => envelope.recipient.domain)).size, 1)
    }
    const { ready, active, delayed, failed, resident } = this.queue.counts
    assert.equal(ready + active + delayed, this.accepted.size - this.ends.length)
    assert.equal(failed, 0)
    assert.ok(resident <= 4)
  }
}

function resultOf(kind: number): MessageResult {
  const result = { stage: 9, bytes: 1, remote: '192.0.2.9' } as const
  if (kind === 0) return { ...result, kind: 'delivered', text: '250 ok' }
  if (kind === 1) return { ...result, kind: 'transient', text: '450 later' }
  return kind === 2 ? { ...result, kind: 'permanent', text: '550 no' } : { kind: 'deferred', until: 0 }
}

test('nothing is lost, nothing ends twice, limits hold, and nobody waits without a reason', async () => {
  await holdsAsync(
    fc.asyncProperty(steps, async (all) => {
      const world = new World()
      for (const step of all) await world.take(step)
      await world.finish()
      assert.deepEqual(world.ends.toSorted(), [...world.accepted].toSorted())
      assert.deepEqual(world.queue.counts, {
        ready: 0,
        active: 0,
        delayed: 0,
        failed: 0,
        domains: 0,
        resident: 0,
      })
    }),
    { numRuns: 60 },
  )
})
