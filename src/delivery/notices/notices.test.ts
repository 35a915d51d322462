import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../../test/support/fake-clock.ts'
import { outboundDefaults, settingsFor, storedMessage } from '../../../test/support/messages.ts'
import type { DsnRequest } from '../../mail/envelope.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import { done, Kill, never, Run, settled } from '../bouncing.fixture.ts'
import { isDoubleBounce } from './double-bounce.ts'
import { bouncedId, delayNoticeOf, dueDelayNotice } from './due.ts'

const HOUR = 3600 * 1000
const relayed = { ...done, notice: 'relayed' } as const
const later = { ...never, kind: 'transient', text: '451 4.4.1 later' } as const

function asking(notify: DsnRequest['notify'], id = 'a'): StoredMessage {
  return storedMessage(id, notify === undefined ? {} : { dsn: { notify } })
}

/** The Action of each notice that was sent. */
function actions({ contents }: Run): string[] {
  return contents.flatMap((text) => /^Action: (.*)\r$/m.exec(text)?.[1] ?? [])
}

test('success is told to whoever asked for it, where the next hop does not tell it itself', async () => {
  const cases: readonly (readonly [DsnRequest['notify'], boolean, readonly string[]])[] = [
    [['SUCCESS'], true, ['relayed']],
    [['SUCCESS', 'FAILURE'], true, ['relayed']],
    [['SUCCESS'], false, []],
    [['FAILURE', 'DELAY'], true, []],
    ['NEVER', true, []],
    [undefined, true, []],
  ]
  for (const [notify, isOurs, expected] of cases) {
    const asked = Array.isArray(notify) && notify.includes('SUCCESS')
    const run = new Run({ deliver: ({ envelope }) => (isOurs && asked && envelope.sender ? relayed : done) })
    await run.accept(asking(notify))
    await run.start()
    assert.deepEqual(actions(run), expected, String(notify))
    assert.equal(run.storage.size, 0)
    assert.ok(!run.kinds().includes('permanent-failure'))
  }
})

test('NOTIFY governs bounces, too', async () => {
  const cases: readonly (readonly [DsnRequest['notify'], readonly string[]])[] = [
    [['FAILURE'], ['failed']],
    [['SUCCESS', 'DELAY'], []],
    ['NEVER', []],
    [undefined, ['failed']],
  ]
  for (const [notify, expected] of cases) {
    const run = new Run()
    await run.accept(asking(notify))
    await run.start()
    assert.deepEqual(actions(run), expected, String(notify))
    assert.equal(run.storage.size, 0)
  }
})

/** A host that takes everything and tells nobody. */
const deliver = ({ envelope }: StoredMessage) => (envelope.sender === undefined ? done : relayed)

test('a kill at any step loses no notice of success, delivers nothing twice and tells nothing twice', async () => {
  const whole = new Kill()
  const run = new Run({ kill: whole, deliver })
  await run.accept(asking(['SUCCESS']))
  await run.start()
  assert.equal(whole.steps.length, 12, whole.steps.join())
  for (let at = 0; at <= whole.steps.length; at++) {
    const first = new Run({ kill: new Kill(at), deliver })
    await first.accept(asking(['SUCCESS']))
    await first.start()
    const second = new Run({ storage: first.storage, deliver })
    await second.start()
    const where = `killed ${whole.steps[at] ?? 'at the end'}`
    assert.equal(second.storage.size, 0, where)
    // where the next hop has it, and we had not written that down
    assert.equal(first.bounces + second.bounces, at === 9 || at === 10 ? 2 : 1, where)
    const deliveries = first.attempts.length + second.attempts.length - first.bounces - second.bounces
    assert.equal(deliveries, at === 1 || at === 2 ? 2 : 1, where)
  }
})

test('mail from the null sender that fails is told to Mdn_Failures_Notify, and that is never told of again', async () => {
  const options = { mdn_failures_notify: 'keeper@example.net' }
  const run = new Run({ options, deliver: () => never })
  await run.accept(storedMessage('a', { sender: undefined }))
  await run.start()
  assert.deepEqual(
    run.attempts.map(({ envelope }) => envelope.recipient.local),
    ['bob', 'keeper'],
  )
  assert.equal(run.storage.size, 0)
  const quiet = new Run({ options, deliver: () => never })
  await quiet.accept(storedMessage('a', { sender: undefined, dsn: { notify: 'NEVER' } }))
  await quiet.start()
  assert.equal(quiet.attempts.length, 1)
})

function isDouble(header: string, ...pieces: readonly string[]): Promise<boolean> {
  return isDoubleBounce({
    header: Buffer.from(header),
    bodySize: 0,
    async *body() {
      for (const piece of pieces) yield await Promise.resolve(Buffer.from(piece))
    },
  })
}

test('a notice about mail from the null sender is known, also where another server returns its header', async () => {
  const returned = ['--b\r\n\r\nFrom: x\r\nx-', 'postern-double-bounce : gate.example\r\n\r\n--b--\r\n']
  assert.equal(await isDouble('Subject: failed\r\n\r\n', ...returned), true)
  assert.equal(await isDouble('X-Postern-Double-Bounce: a\r\n\r\n'), true)
  const other = 'Subject: X-Postern-Double-Bounce: a\r\n\r\n'
  assert.equal(await isDouble(other, 'a'.repeat(65_536), ...returned), false)
})

test('a delay is told on time, at growing intervals, if the sender has not said otherwise', () => {
  const options = {
    ...outboundDefaults,
    generate_delay_dsn: true,
    delay_dsn_retry_interval: 10_800,
    delay_dsn_max_retry_interval: 86_400,
  }
  const at = (hours: number, delayNotices = 0, notify?: DsnRequest['notify']): number | undefined => {
    const { envelope, state } = asking(notify)
    return dueDelayNotice(
      { envelope, state: { ...state, delayNotices } },
      options,
      envelope.receivedAt + hours * HOUR,
    )
  }
  assert.deepEqual([at(2.9), at(3), at(8.9), at(9), at(21), at(45), at(69)], [undefined, 1, 1, 2, 3, 4, 5])
  assert.deepEqual([at(8.9, 1), at(9, 1), at(100_000, 15)], [undefined, 2, undefined])
  assert.deepEqual([at(3, 0, ['DELAY']), at(3, 0, ['FAILURE']), at(3, 0, 'NEVER')], [1, undefined, undefined])
  for (const off of [{ generate_delay_dsn: false }, { generate_bounces: false }]) {
    const { envelope, state } = asking(['DELAY'])
    assert.equal(
      dueDelayNotice({ envelope, state }, { ...options, ...off }, Number.MAX_SAFE_INTEGER),
      undefined,
    )
  }
})

/** A message that is late at once, and is delivered by its second attempt. */
function lateRun(given: Partial<ConstructorParameters<typeof Run>[0]> = {}): Run {
  const attempts = new Map<string, number>()
  return new Run({
    options: { generate_delay_dsn: true, delay_dsn_retry_interval: 900, retry_interval: 500 },
    deliver: ({ envelope }) => {
      const before = attempts.get(envelope.id) ?? 0
      attempts.set(envelope.id, before + 1)
      return envelope.sender === undefined || before > 0 ? done : later
    },
    ...given,
  })
}

async function finish(run: Run): Promise<void> {
  await run.start()
  for (let n = 0; n < 4; n++) {
    run.clock.advance()
    await settled()
  }
}

test('a message that is late has its sender told once, and is delivered later', async () => {
  const run = lateRun()
  await run.accept(storedMessage('a', { receivedAt: run.clock.now() - 900_500 }))
  await finish(run)
  assert.deepEqual(actions(run), ['delayed'])
  assert.equal(run.storage.size, 0)
})

test('a kill at any step neither loses nor doubles a notice of delay', async () => {
  const whole = new Kill()
  const run = lateRun({ kill: whole })
  const message = storedMessage('a', { receivedAt: run.clock.now() - 900_500 })
  await run.accept(message)
  await finish(run)
  assert.equal(whole.steps.length, 16, whole.steps.join())
  for (let at = 0; at <= whole.steps.length; at++) {
    const first = lateRun({ kill: new Kill(at) })
    await first.accept(message)
    await finish(first)
    const second = lateRun({ storage: first.storage })
    await finish(second)
    const where = `killed at ${at}, ${whole.steps[at] ?? 'the end'}`
    assert.equal(second.storage.size, 0, where)
    const notices = [...first.attempts, ...second.attempts].flatMap(
      ({ envelope }) => delayNoticeOf(envelope) ?? [],
    )
    assert.ok(
      notices.every(({ id, number }) => id === 'a' && number === 1),
      where,
    )
    // the next hop has it, and we had not written that down
    const open = at === 9 || at === 10
    assert.equal(notices.length, open ? 2 : 1, where)
    const others = [...first.attempts, ...second.attempts].filter(
      ({ envelope }) => envelope.sender !== undefined,
    )
    assert.ok(others.length >= 2 && others.every(({ envelope }) => bouncedId(envelope) === undefined), where)
  }
})

/** A message that is late while nobody tries to deliver it, and whose notices are delivered. */
function waitingRun(given: Partial<ConstructorParameters<typeof Run>[0]> = {}): Run {
  return new Run({
    options: { generate_delay_dsn: true, delay_dsn_retry_interval: 900, retry_interval: 40_000 },
    deliver: ({ envelope }) => (envelope.sender === undefined ? done : later),
    ...given,
  })
}

const byText = (a: string, b: string): number => (a < b ? -1 : 1)

async function pass(run: Run, seconds: number): Promise<void> {
  run.clock.advance(seconds * 1000)
  await settled()
}

test('notices go out at their time while a message waits for a retry that is far off', async () => {
  const run = waitingRun()
  await run.accept(storedMessage('a', { receivedAt: run.clock.now() }))
  await run.start()
  await pass(run, 899)
  assert.deepEqual(actions(run), [])
  await pass(run, 2)
  assert.deepEqual(actions(run), ['delayed'])
  assert.equal(run.storage.get('a')?.state.delayNotices, 1)
  await pass(run, 1800)
  assert.deepEqual(actions(run), ['delayed', 'delayed'])
  const tries = (): number => run.attempts.filter(({ envelope }) => envelope.id === 'a').length
  assert.deepEqual([tries(), run.queue.counts.delayed], [1, 1])
  for (let n = 0; n < 40; n++) await pass(run, 1000)
  assert.equal(tries(), 2, 'the retry is made at its time')
})

test('a message whose delivery is suspended has its sender told, and keeps its place', async () => {
  const suspended = { suspend_delivery: true, delay_dsn_max_retry_interval: 0 }
  const options = { generate_delay_dsn: true, delay_dsn_retry_interval: 900 }
  const run = waitingRun({ options: { ...options, ...suspended } })
  const receivedAt = run.clock.now()
  for (const id of ['a', 'b', 'c']) await run.accept(storedMessage(id, { receivedAt, size: 1 }))
  // one that nobody may be told of
  await run.accept(storedMessage('quiet', { receivedAt, dsn: { notify: 'NEVER' } }))
  await run.start()
  await pass(run, 901)
  const told = [...run.storage.keys()].filter((id) => id.includes('.d'))
  assert.deepEqual(told.toSorted(byText), ['a.d1', 'b.d1', 'c.d1'])
  assert.equal(run.queue.counts.ready, 7)
  assert.equal(run.attempts.length, 0)
  run.queue.reload(settingsFor({ gateway: 'relay.test', ...options }))
  await settled()
  const own = run.attempts.map(({ envelope }) => envelope.id).filter((id) => !id.includes('.d'))
  assert.deepEqual(own, ['a', 'b', 'c', 'quiet'])
})

test('a kill at any step of a notice at its time neither loses nor doubles it', async () => {
  const whole = new Kill()
  const message = storedMessage('a', { receivedAt: new FakeClock().now() })
  const run = waitingRun({ kill: whole })
  await run.accept(message)
  await run.start()
  await pass(run, 901)
  assert.deepEqual(actions(run), ['delayed'])
  const steps = whole.steps.length
  assert.ok(steps >= 10, whole.steps.join())
  for (let at = 0; at <= steps; at++) {
    const first = waitingRun({ kill: new Kill(at) })
    await first.accept(message)
    await first.start()
    await pass(first, 901)
    const second = waitingRun({ storage: first.storage })
    second.clock.advance(905_000)
    await second.start()
    await pass(second, 30)
    const notices = [...first.attempts, ...second.attempts].filter(({ envelope }) => delayNoticeOf(envelope))
    const where = `killed at ${at}, ${whole.steps[at] ?? 'the end'}`
    assert.ok(
      notices.every(({ envelope }) => delayNoticeOf(envelope)?.number === 1),
      where,
    )
    // the next hop has it, and that was not written down
    const last = whole.steps.lastIndexOf('after attempt')
    const isOpen = at === last + 1 || at === last || at === last + 2
    assert.ok(notices.length === 1 || (isOpen && notices.length === 2), `${where}: ${notices.length}`)
    assert.deepEqual([...second.storage.keys()], ['a'], where)
  }
})

test('an attempt and a notice at the same time write one after the other', async () => {
  const run = waitingRun()
  await run.accept(storedMessage('a', { receivedAt: run.clock.now() }))
  await run.start()
  const update = run.spool.update.bind(run.spool)
  const gate = Promise.withResolvers<void>()
  run.spool.update = async (id, state, envelope) => {
    await gate.promise
    await update(id, state, envelope)
  }
  run.clock.advance(901_000)
  await settled()
  // its notice is being made: an operator's flush does not find it
  const order = { act: { kind: 'flush' }, selection: { id: 'a' }, dryRun: false } as const
  assert.equal((await run.queue.ask('act', order)).messages, 0)
  gate.resolve()
  await settled()
  assert.equal((await run.queue.ask('act', order)).messages, 1)
  await settled()
  assert.deepEqual(run.storage.get('a')?.state.attempts, 2)
  assert.equal(run.storage.get('a')?.state.delayNotices, 1)
})
