import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import {
  contentOf,
  maildirSettings,
  noTargets,
  settingsFor,
  storedMessage,
} from '../../test/support/messages.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { ServerEvent } from '../events/events.ts'
import { MemorySpool, type MemoryStorage } from '../spool/memory-spool.ts'
import type { StoredMessage } from '../spool/spool.ts'
import { LOOKUP_FAILED } from './mx.ts'
import { DeliveryQueue } from './queue.ts'
import type { AttemptResult, MessageResult } from './transport.ts'

const START = 1_700_000_000_000
const done: AttemptResult = { kind: 'delivered', stage: 9, text: '250 kept', bytes: 1, remote: '192.0.2.9' }
const never: AttemptResult = { ...done, kind: 'permanent', stage: 5, text: '550 5.1.1 never' }
const later: AttemptResult = { ...done, kind: 'transient', stage: 5, text: '450 4.2.0 later' }

/** everything stands still, as after a kill, at the step of this number */
class Kill {
  readonly steps: string[] = []
  readonly #at: number

  constructor(at = Number.POSITIVE_INFINITY) {
    this.#at = at
  }

  async around<T>(name: string, work: () => Promise<T>): Promise<T> {
    await this.#step(`before ${name}`)
    const result = await work()
    await this.#step(`after ${name}`)
    return result
  }

  async #step(name: string): Promise<void> {
    if (this.steps.length >= this.#at) await new Promise(() => undefined)
    this.steps.push(name)
  }
}

interface BenchOptions {
  readonly storage?: MemoryStorage
  readonly options?: Partial<OutboundValues>
  readonly answer?: (message: StoredMessage) => MessageResult
  readonly kill?: Kill
  /** example.com is a maildir's; called for each message */
  readonly mailbox?: (message: StoredMessage) => AttemptResult
}

class Bench {
  readonly clock = new FakeClock(START)
  readonly events: ServerEvent[] = []
  /** local parts of the recipients of each attempt */
  readonly attempts: string[] = []
  readonly storage: MemoryStorage
  readonly spool: MemorySpool
  readonly queue: DeliveryQueue
  answer: (message: StoredMessage) => MessageResult

  constructor({
    storage = new Map(),
    options = {},
    answer = () => done,
    kill = new Kill(),
    mailbox,
  }: BenchOptions = {}) {
    this.storage = storage
    this.answer = answer
    this.spool = new MemorySpool({ storage })
    const update = this.spool.update.bind(this.spool)
    const remove = this.spool.remove.bind(this.spool)
    this.spool.update = async (id, state) =>
      await kill.around(`update ${id}`, async () => await update(id, state))
    this.spool.remove = async (id) => await kill.around(`remove ${id}`, async () => await remove(id))
    let ids = 0
    this.queue = new DeliveryQueue({
      spool: this.spool,
      settings: settingsFor(
        { gateway: 'relay.test', generate_bounces: false, ...options },
        mailbox === undefined ? [] : [maildirSettings('/nowhere')],
      ),
      transports: {
        smtp: {
          deliver: async (messages) =>
            await kill.around('attempt', async () => {
              this.attempts.push(messages.map(({ envelope }) => envelope.recipient.local).join(' '))
              return await Promise.resolve(messages.map((message) => this.answer(message)))
            }),
        },
        ...noTargets,
        maildir: {
          deliver: async (messages) => {
            this.attempts.push(messages.map(({ envelope }) => envelope.recipient.local).join(' '))
            return await Promise.resolve(messages.map((message) => mailbox?.(message) ?? never))
          },
        },
      },
      events: { emit: (event) => this.events.push(event) },
      ids: { next: () => `c${ids++}` },
      hostname: 'mx.test',
      clock: this.clock,
    })
  }

  async keep(messages: readonly StoredMessage[], headers: (index: number) => string = () => 'A: b\r\n\r\n') {
    const writer = new MemorySpool({ storage: this.storage }).create()
    await writer.append(Buffer.from('body\r\n'))
    await writer.commit(
      messages.map(({ envelope }, index) => ({ envelope, header: contentOf(headers(index)).header })),
    )
  }

  async accept(messages: readonly StoredMessage[], headers?: (index: number) => string): Promise<void> {
    await this.keep(messages, headers)
    this.queue.enqueue(messages)
    await settled()
  }

  async toNextAlarm(): Promise<number> {
    const before = this.clock.now()
    this.clock.advance()
    await settled()
    return this.clock.now() - before
  }

  told(): string[] {
    return this.events.flatMap((event) =>
      'retries' in event ? [`${event.kind} ${event.envelope.recipient.local} ${event.text}`] : [],
    )
  }
}

async function settled(): Promise<void> {
  for (let n = 0; n < 12; n++) await new Promise(setImmediate)
}

/** one is delivered, one fails, one is tried again */
function mixed({ envelope }: StoredMessage): AttemptResult {
  return { a: done, b: never, c: later }[envelope.id] ?? done
}

const to = (local: string, changes: Parameters<typeof storedMessage>[1] = {}) =>
  storedMessage(local, { recipient: { local, domain: 'example.com' }, receivedAt: START, ...changes })

test('recipients of one transaction go together, each has an outcome, and one outbound connection', async () => {
  const bench = new Bench({
    answer: ({ envelope }) => ({ a: done, b: never, c: later })[envelope.id] ?? done,
  })
  bench.queue.start()
  await bench.accept(['a', 'b', 'c'].map((id) => to(id)))
  assert.deepEqual(bench.attempts, ['a b c'])
  assert.deepEqual(bench.told().toSorted(), [
    'delivery a 250 kept',
    'permanent-failure b 550 5.1.1 never',
    'transient-failure c 450 4.2.0 later',
  ])
  const connections = bench.events.flatMap((event) => ('retries' in event ? [event.connectionId] : []))
  assert.equal(new Set(connections).size, 1)
  assert.deepEqual([...bench.storage.keys()], ['c'])
  bench.answer = () => done
  await bench.toNextAlarm()
  assert.equal(bench.storage.size, 0)
})

test('what differs in header, sender, type or login goes by itself', async () => {
  const bench = new Bench()
  bench.queue.start()
  await bench.accept(
    ['a', 'b', 'c'].map((id) => to(id)),
    (index) => `X: ${index === 1 ? 'other' : 'same'}\r\n\r\n`,
  )
  assert.deepEqual(bench.attempts, ['a', 'b', 'c'])
  const changes = [
    {},
    { sender: undefined },
    { bodyType: '8BITMIME' as const },
    { messageContext: { outbound_smtp_auth_user: 'u' } },
    {},
  ]
  await bench.accept(changes.map((each, index) => to(`x${index}`, each)))
  assert.deepEqual(bench.attempts.slice(3), ['x0 x4', 'x1', 'x2', 'x3'])
  assert.equal(bench.storage.size, 0)
})

test('a message that was deferred is no failure, and stays in front', async () => {
  let full = true
  const bench = new Bench({
    answer: ({ envelope }) =>
      full && envelope.id === 'b'
        ? { kind: 'deferred', until: 0 }
        : full && envelope.id === 'c'
          ? { kind: 'deferred', until: START + 5000 }
          : done,
  })
  bench.queue.start()
  await bench.accept(['a', 'b', 'c'].map((id) => to(id)))
  assert.deepEqual(bench.attempts, ['a b c'])
  full = false
  assert.equal(await bench.toNextAlarm(), 5000)
  assert.deepEqual(bench.attempts, ['a b c', 'b c'])
  assert.ok(bench.told().every((line) => line.startsWith('delivery')))
  assert.equal(bench.storage.size, 0)
})

test('a kill at any step of a batch loses nothing, and repeats only what was not written down', async () => {
  const messages = ['a', 'b', 'c'].map((id) => to(id))
  const whole = new Kill()
  const run = new Bench({ kill: whole, answer: mixed })
  await run.accept(messages)
  run.queue.start()
  await settled()
  assert.ok(whole.steps.length >= 8, whole.steps.join())
  for (let at = 0; at <= whole.steps.length; at++) {
    const first = new Bench({ kill: new Kill(at), answer: mixed })
    await first.accept(messages)
    first.queue.start()
    await settled()
    const where = `killed at ${whole.steps[at] ?? 'the end'}`
    const kept = [...first.storage.values()]
    const open = kept.filter(({ state }) => !state.failed).map(({ envelope }) => envelope.id)
    const gone = messages.filter(({ envelope }) => !first.storage.has(envelope.id))
    assert.ok(gone.length === 0 || first.attempts.length === 1, `${where}: what is gone was tried`)
    assert.ok(
      first.told().every((line) => !open.includes(line.split(' ')[1] ?? '') || line.startsWith('transient')),
      `${where}: nothing is told before it is written`,
    )
    const second = new Bench({ storage: first.storage })
    second.queue.start()
    await settled()
    assert.deepEqual(second.attempts.join(' ').split(' ').filter(Boolean).toSorted(), open.toSorted(), where)
    assert.equal(second.storage.size, 0, where)
  }
})

test('Max_Retries, Never_Retry and messages that have expired', async () => {
  const twice = new Bench({ answer: () => later, options: { max_retries: 2, retry_interval: 10 } })
  twice.queue.start()
  await twice.accept([to('a')])
  while (twice.queue.counts.delayed > 0) await twice.toNextAlarm()
  assert.equal(twice.attempts.length, 3)
  assert.equal(
    twice.told().at(-1),
    'permanent-failure a 554 5.4.7 [internal] exceeded max retries without delivery',
  )
  const once = new Bench({ answer: () => later, options: { never_retry: true } })
  once.queue.start()
  await once.accept([to('a')])
  assert.deepEqual(once.told(), [
    'transient-failure a 450 4.2.0 later',
    'permanent-failure a 554 5.4.7 [internal] exceeded max retries without delivery',
  ])
  const late = new Bench({
    answer: () => later,
    options: { never_attempt_expired_messages: true, retry_interval: 60, message_expiration: 100 },
  })
  late.queue.start()
  await late.accept([to('a')])
  await late.toNextAlarm()
  await late.toNextAlarm()
  assert.equal(late.attempts.length, 2)
  assert.equal(late.clock.now(), START + 100_000)
  assert.equal(
    late.told().at(-1),
    'permanent-failure a 554 5.4.5 [internal] Delivery not attempted (message expired)',
  )
})

test('look-ups that fail in a row make the whole domain wait', async () => {
  const failed: AttemptResult = { ...later, stage: 0, text: LOOKUP_FAILED }
  const bench = new Bench({
    answer: () => failed,
    options: { mx_failures_to_delay: 2, retry_interval: 50, max_outbound_connections: 1 },
  })
  bench.queue.start()
  for (const id of ['a', 'b', 'c']) await bench.accept([to(id)])
  assert.deepEqual(bench.attempts, ['a', 'b'], 'c is not tried')
  bench.answer = () => done
  while (bench.queue.counts.delayed + bench.queue.counts.ready > 0) await bench.toNextAlarm()
  assert.equal(bench.clock.now(), START + 50_000)
  assert.equal(bench.storage.size, 0)
})

test('few envelopes are held in memory; the others are read when their turn comes', async () => {
  const bench = new Bench({ options: { max_resident_messages: 5, max_resident_active_queue: 3 } })
  for (const domain of ['a.test', 'b.test', 'c.test']) {
    for (const n of [1, 2, 3, 4])
      await bench.accept([storedMessage(`${domain}${n}`, { recipient: { local: `${n}`, domain } })])
  }
  assert.equal(bench.queue.counts.resident, 5)
  bench.queue.start()
  await settled()
  assert.equal(bench.storage.size, 0)
  assert.equal(bench.attempts.length, 12)
  assert.equal(bench.queue.counts.resident, 0)
})

test('each recipient of a batch has a mailbox of its own, and what is wrong with one is not with the others', async () => {
  const bench = new Bench({
    mailbox: ({ envelope }) => {
      if (envelope.id === 'b') throw new Error('no such disk')
      return done
    },
  })
  bench.queue.start()
  await bench.accept(['a', 'b', 'c'].map((id) => to(id)))
  assert.deepEqual(bench.attempts, ['a', 'b', 'c'])
  assert.deepEqual(bench.told().toSorted(), [
    'delivery a 250 kept',
    'delivery c 250 kept',
    'transient-failure b 451 4.3.0 [internal] Local error in delivery',
  ])
})

test('what is throttled waits in the queue, and is no failure; a reload counts on', async () => {
  const options = { outbound_throttle_messages: { count: 2, seconds: 10 } }
  const bench = new Bench({ options })
  bench.queue.start()
  for (const id of ['a', 'b', 'c', 'd', 'e']) await bench.accept([to(id)])
  assert.deepEqual(bench.attempts, ['a', 'b'])
  assert.equal(bench.queue.counts.ready, 3)
  bench.queue.reload(settingsFor({ gateway: 'relay.test', ...options }))
  await settled()
  assert.deepEqual(bench.attempts, ['a', 'b'])
  const times: number[] = []
  while (bench.queue.counts.ready > 0) {
    assert.equal(bench.clock.armed, 1)
    await bench.toNextAlarm()
    times.push((bench.clock.now() - START) / 1000)
  }
  assert.deepEqual(bench.attempts, ['a', 'b', 'c', 'd', 'e'])
  const [first = 0] = times
  assert.ok(first >= 10 && first <= 10.5, `${first}`)
  assert.ok((times.at(-1) ?? 0) >= 20)
  assert.equal(bench.told().length, 5)
})

test('what waits for a retry is in memory while there is room and it has not failed too often', async () => {
  const bench = new Bench({
    answer: () => later,
    options: { max_resident_transfails: 2, drop_body_after_trans_fail: 1, retry_interval: 60 },
  })
  const read: string[] = []
  const message = bench.spool.message.bind(bench.spool)
  bench.spool.message = async (id) => {
    read.push(id)
    return await message(id)
  }
  bench.queue.start()
  await bench.accept(['a', 'b', 'c'].map((id) => to(id)))
  assert.equal(bench.queue.counts.resident, 2)
  assert.deepEqual(read, [])
  await bench.toNextAlarm()
  assert.deepEqual(read, ['c'])
  // all have failed twice
  assert.equal(bench.queue.counts.resident, 0)
  await bench.toNextAlarm()
  assert.deepEqual(read, ['c', 'a', 'b', 'c'])
  assert.deepEqual(
    [...bench.storage.values()].map(({ state }) => state.attempts),
    [3, 3, 3],
  )
})

test('an operator’s act on a message that waits in memory changes what is tried', async () => {
  const bench = new Bench({ answer: () => later })
  bench.queue.start()
  await bench.accept([to('a')])
  assert.equal(bench.queue.counts.resident, 1)
  const selection = { id: 'a' }
  await bench.queue.ask('act', { act: { kind: 'reroute', domain: 'other.test' }, selection, dryRun: false })
  assert.equal(bench.queue.counts.resident, 0)
  bench.answer = ({ envelope }) => (envelope.routingDomain === 'other.test' ? done : never)
  await bench.toNextAlarm()
  assert.equal(bench.storage.size, 0)
})
