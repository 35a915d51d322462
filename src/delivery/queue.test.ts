import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsFor, storedMessage } from '../../test/support/messages.ts'
import { EXPIRED } from './outcome.ts'
import { Bench, delivered, later, START, settled, to } from './queue.fixture.ts'
import type { AttemptResult } from './transport.ts'

test('a message is delivered, forgotten, and then told', async () => {
  const bench = new Bench()
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  assert.deepEqual(bench.log, ['deliver a', 'remove a', 'tell delivery a'])
  assert.equal(bench.storage.size, 0)
  const { envelope } = storedMessage('a')
  assert.deepEqual(bench.events, [
    {
      kind: 'delivery',
      at: START,
      envelope,
      connectionId: 'c0',
      domain: 'example.com',
      bytes: 42,
      retries: 0,
      stage: 9,
      remote: '192.0.2.9',
      text: '250 kept',
    },
  ])
  assert.deepEqual(bench.queue.counts, {
    ready: 0,
    active: 0,
    delayed: 0,
    failed: 0,
    domains: 0,
    resident: 0,
  })
})

test('retries wait twice as long each time up to the cap, and end when the message expires', async () => {
  const options = {
    retry_interval: 100,
    max_retry_interval: 400,
    message_expiration: 1300,
    generate_bounces: false,
  }
  const bench = new Bench({ deliver: () => later, options })
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  const waits: number[] = []
  while (bench.queue.counts.delayed > 0) {
    assert.equal(bench.clock.armed, 1)
    assert.deepEqual(bench.storage.get('a')?.state.nextAttempt, bench.clock.next)
    waits.push((await bench.toNextAlarm()) / 1000)
  }
  assert.deepEqual(waits, [100, 200, 400, 400, 200])
  assert.deepEqual(
    bench.outcomes.map(({ kind, retries, text }) => `${kind} ${retries} ${text}`),
    [0, 1, 2, 3, 4, 5]
      .map((n) => `transient-failure ${n} 450 4.2.0 later`)
      .concat(`permanent-failure 5 ${EXPIRED}`),
  )
  assert.equal(new Set(bench.outcomes.slice(0, 6).map(({ connectionId }) => connectionId)).size, 6)
  assert.equal(bench.storage.size, 0)
  assert.deepEqual(bench.queue.counts, {
    ready: 0,
    active: 0,
    delayed: 0,
    failed: 0,
    domains: 0,
    resident: 0,
  })
  assert.equal(bench.clock.armed, 0)
})

test('everything that was recovered is due at once, whatever its next attempt was', async () => {
  const before = new Bench()
  const waiting = {
    ...to('a', 'x.test'),
    state: { attempts: 3, nextAttempt: START + 1e9, failed: false, lastText: 'x' },
  }
  await before.keep(waiting, to('b', 'y.test'))
  const repeats: boolean[] = []
  const bench = new Bench({
    storage: before.storage,
    deliver: (_message, { mayRepeat }) => {
      repeats.push(mayRepeat)
      return delivered
    },
  })
  bench.queue.start()
  await settled()
  assert.deepEqual(
    bench.outcomes.map(({ envelope, retries }) => [envelope.id, retries]),
    [
      ['a', 3],
      ['b', 0],
    ],
  )
  assert.deepEqual(repeats, [true, true], 'an attempt before the start may have gone through')
})

test('a message of which the queue knows already is not taken twice', async () => {
  const bench = new Bench({ deliver: () => later })
  await bench.accept(storedMessage('a'))
  assert.deepEqual(bench.log, [], 'nothing is tried before the start')
  bench.queue.start()
  bench.queue.enqueue([storedMessage('a')])
  await settled()
  assert.deepEqual(bench.log.filter((line) => line === 'deliver a').length, 1)
})

test('only the first attempt for a new message cannot be a repeat', async () => {
  const repeats: boolean[] = []
  const bench = new Bench({
    deliver: (_message, { mayRepeat }) => {
      repeats.push(mayRepeat)
      return later
    },
  })
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  await bench.toNextAlarm()
  assert.deepEqual(repeats, [false, true])
})

test('an exception in a transport is a transient failure and a panic', async () => {
  const bench = new Bench({
    deliver: () => {
      throw new Error('the transport has a fault')
    },
  })
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  assert.deepEqual(bench.panics, ['delivery of message a failed: the transport has a fault'])
  assert.deepEqual(
    bench.outcomes.map(({ kind, stage, text }) => [kind, stage, text]),
    [['transient-failure', 0, '451 4.3.0 [internal] Local error in delivery']],
  )
  bench.deliver = () => delivered
  await bench.toNextAlarm()
  assert.equal(bench.outcomes.at(-1)?.kind, 'delivery')
})

test('a spool that cannot be read is a transient failure; a message that is gone is told and left', async () => {
  const bench = new Bench()
  const read = bench.spool.read.bind(bench.spool)
  bench.spool.read = () => Promise.reject(new Error('bad sector'))
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  assert.equal(bench.outcomes[0]?.kind, 'transient-failure')
  bench.spool.read = read
  bench.storage.delete('a')
  await bench.toNextAlarm()
  assert.match(bench.panics.at(-1) ?? '', /^message a is in the queue but not in the spool/)
  assert.deepEqual(bench.queue.counts, {
    ready: 0,
    active: 0,
    delayed: 0,
    failed: 0,
    domains: 0,
    resident: 0,
  })
})

test('an outcome that cannot be written is written later, without a second delivery, and told only then', async () => {
  const bench = new Bench()
  const remove = bench.spool.remove.bind(bench.spool)
  bench.spool.remove = () => Promise.reject(new Error('read-only file system'))
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  assert.equal(bench.outcomes.length, 0)
  assert.match(bench.panics[0] ?? '', /message a: the outcome of the delivery cannot be written: read-only/)
  await bench.toNextAlarm()
  bench.spool.remove = remove
  await bench.toNextAlarm()
  assert.deepEqual(
    bench.log.filter((line) => line !== 'tell panic'),
    ['deliver a', 'remove a', 'tell delivery a'],
  )
  assert.equal(bench.outcomes[0]?.at, START)
})

test('a domain has at most Max_Outbound_Connections attempts under way, and a slow one delays only itself', async () => {
  const gates = new Map<string, (result: AttemptResult) => void>()
  const bench = new Bench({
    options: (domain) => ({ max_outbound_connections: domain === 'slow.test' ? 2 : 32 }),
    deliver: (message) =>
      message.envelope.recipient.domain === 'slow.test'
        ? new Promise((resolve) => gates.set(message.envelope.id, resolve))
        : delivered,
    concurrency: 3,
  })
  bench.queue.start()
  const slow = [1, 2, 3, 4].map((n) => to(`s${n}`, 'slow.test'))
  const quick = [1, 2, 3, 4].map((n) => to(`q${n}`, 'quick.test'))
  await bench.accept(...slow, ...quick)
  assert.deepEqual([...gates.keys()], ['s1', 's2'])
  assert.deepEqual(
    bench.outcomes.map(({ envelope }) => envelope.id),
    ['q1', 'q2', 'q3', 'q4'],
  )
  assert.deepEqual(bench.queue.counts, {
    ready: 2,
    active: 2,
    delayed: 0,
    failed: 0,
    domains: 1,
    resident: 2,
  })
  gates.get('s1')?.(delivered)
  await settled()
  assert.deepEqual([...gates.keys()], ['s1', 's2', 's3'])
})

test('attempts over all domains are bounded, and domains take turns', async () => {
  const gates: (() => void)[] = []
  const order: string[] = []
  const bench = new Bench({
    deliver: (message) => {
      order.push(message.envelope.id)
      return new Promise((resolve) => gates.push(() => resolve(delivered)))
    },
    concurrency: 2,
  })
  bench.queue.start()
  await bench.accept(
    ...['a1', 'a2', 'a3', 'a4'].map((id) => to(id, 'a.test')),
    ...['b1', 'b2'].map((id) => to(id, 'b.test')),
  )
  assert.equal(bench.queue.counts.active, 2)
  while (gates.length > 0) {
    assert.ok(bench.queue.counts.active <= 2)
    gates.shift()?.()
    await settled()
  }
  assert.deepEqual(order, ['a1', 'b1', 'a2', 'b2', 'a3', 'a4'])
})

test('a suspended domain keeps its mail until a reload lets it go', async () => {
  const bench = new Bench({ options: { suspend_delivery: true } })
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  assert.deepEqual(bench.log, [])
  assert.equal(bench.queue.counts.ready, 1)
  bench.queue.reload(settingsFor(bench.settings({ suspend_delivery: false })))
  await settled()
  assert.equal(bench.outcomes[0]?.kind, 'delivery')
})

test('without a way out mail waits, and the operator is told once', async () => {
  const bench = new Bench({ options: { gateway: 'no host', retry_interval: 10 } })
  bench.queue.start()
  await bench.accept(to('a', 'x.test'), to('b', 'x.test'))
  await bench.toNextAlarm()
  assert.deepEqual(
    bench.outcomes.map(({ kind, text }) => `${kind} ${text}`),
    Array.from({ length: 4 }, () => 'transient-failure 451 4.4.1 [internal] No valid hosts'),
  )
  assert.equal(bench.panics.length, 1)
  assert.match(bench.panics[0] ?? '', /^Gateway = "no host" is not a host, address/)
  bench.queue.reload(settingsFor(bench.settings({ gateway: 'relay.test' })))
  await bench.toNextAlarm()
  assert.equal(bench.outcomes.at(-1)?.kind, 'delivery')
})

test('stop waits for what is under way and begins nothing more', async () => {
  const gates: (() => void)[] = []
  const bench = new Bench({
    deliver: () => new Promise((resolve) => gates.push(() => resolve(delivered))),
    concurrency: 1,
  })
  bench.queue.start()
  await bench.accept(storedMessage('a'), storedMessage('b'))
  let stopped = false
  const stop = bench.queue.stop(new AbortController().signal).then(() => {
    stopped = true
  })
  await settled()
  assert.equal(stopped, false)
  gates.shift()?.()
  await stop
  assert.deepEqual(bench.log, ['deliver a', 'remove a', 'tell delivery a'])
  assert.deepEqual([...bench.storage.keys()], ['b'])
  assert.equal(bench.clock.armed, 0)
})

test('an attempt that stop breaks off leaves the message as it was', async () => {
  const bench = new Bench({
    deliver: (_message, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error))
      }),
  })
  bench.queue.start()
  await bench.accept(storedMessage('a'))
  const patience = new AbortController()
  const stop = bench.queue.stop(patience.signal)
  patience.abort()
  await stop
  assert.deepEqual(bench.log, ['deliver a'])
  assert.deepEqual(bench.storage.get('a')?.state, storedMessage('a').state)
})

test('ten thousand messages for a thousand domains go through with one timer', async () => {
  let failures = 0
  const bench = new Bench({
    deliver: (message) => (message.state.attempts === 0 && failures++ % 2 === 0 ? later : delivered),
  })
  bench.queue.start()
  const messages = Array.from({ length: 10_000 }, (_, n) => to(`m${n}`, `d${n % 1000}.test`))
  await bench.keepBatch(...messages)
  bench.queue.enqueue(messages)
  while (bench.queue.counts.active > 0 || bench.queue.counts.ready > 0) await settled()
  assert.deepEqual(bench.queue.counts, {
    ready: 0,
    active: 0,
    delayed: 5000,
    failed: 0,
    domains: 0,
    // Max_Resident_Transfails
    resident: 100,
  })
  assert.equal(bench.clock.armed, 1)
  bench.clock.advance()
  while (bench.queue.counts.active > 0 || bench.queue.counts.ready > 0) await settled()
  assert.equal(bench.storage.size, 0)
  assert.equal(bench.clock.armed, 0)
})
