import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { contentOf, settingsFor, storedMessage } from '../../test/support/messages.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { ServerEvent } from '../events/events.ts'
import { EMPTY_ID } from '../mail/message-id.ts'
import { MemorySpool, type MemoryStorage } from '../spool/memory-spool.ts'
import type { ReceptionWriter, StoredMessage } from '../spool/spool.ts'
import { DeliveryQueue } from './queue.ts'
import type { AttemptResult } from './transport.ts'

const done: AttemptResult = { kind: 'delivered', stage: 9, text: '250 kept', bytes: 1, remote: '192.0.2.9' }
const never: AttemptResult = { ...done, kind: 'permanent', stage: 5, text: '550 5.1.1 never' }

/** After so many steps everything stands still, as after a kill. */
class Kill {
  /** steps that were taken */
  steps: string[] = []
  readonly #at: number

  constructor(at = Number.POSITIVE_INFINITY) {
    this.#at = at
  }

  async step(name: string): Promise<void> {
    if (this.steps.length >= this.#at) await new Promise(() => undefined)
    this.steps.push(name)
  }

  /** A step before and one after. */
  async around<T>(name: string, work: () => Promise<T>): Promise<T> {
    await this.step(`before ${name}`)
    const result = await work()
    await this.step(`after ${name}`)
    return result
  }
}

interface RunOptions {
  readonly storage?: MemoryStorage
  readonly kill?: Kill
  readonly options?: Partial<OutboundValues>
  readonly capacity?: () => number
  readonly deliver?: (message: StoredMessage) => AttemptResult
}

/** A queue whose transport refuses every message that has a sender and takes every bounce. */
class Run {
  readonly storage: MemoryStorage
  readonly events: ServerEvent[] = []
  readonly clock = new FakeClock()
  /** messages that reached the next hop or were refused by it */
  readonly attempts: StoredMessage[] = []
  readonly contents: string[] = []
  readonly queue: DeliveryQueue
  readonly spool: MemorySpool

  constructor({ storage = new Map(), kill = new Kill(), options = {}, capacity, deliver }: RunOptions = {}) {
    this.storage = storage
    this.spool = new MemorySpool({ storage, ...(capacity === undefined ? {} : { capacity }) })
    const { spool } = this
    const update = spool.update.bind(spool)
    const remove = spool.remove.bind(spool)
    const create = spool.create.bind(spool)
    spool.update = async (id, state) => await kill.around('update', async () => await update(id, state))
    spool.remove = async (id) => await kill.around('remove', async () => await remove(id))
    spool.create = () => killable(create(), kill)
    const answer = deliver ?? (({ envelope }) => (envelope.sender === undefined ? done : never))
    let ids = storage.size * 100
    this.queue = new DeliveryQueue({
      spool,
      settings: settingsFor({ gateway: 'relay.test', ...options }),
      transports: {
        smtp: {
          deliver: async ([message], content) =>
            await kill.around('attempt', async () => {
              assert.ok(message)
              this.attempts.push(message)
              let text = Buffer.from(content.header).toString('latin1')
              for await (const chunk of content.body()) text += Buffer.from(chunk).toString('latin1')
              this.contents.push(text)
              return [answer(message)]
            }),
        },
        maildir: { deliver: () => Promise.reject(new Error('no maildir here')) },
      },
      events: { emit: (event) => this.events.push(event) },
      ids: { next: () => `c${ids++}` },
      hostname: 'mx.test',
      clock: this.clock,
    })
  }

  async accept(message: StoredMessage): Promise<void> {
    const writer = new MemorySpool({ storage: this.storage }).create()
    await writer.append(Buffer.from('body\r\n'))
    const { header } = contentOf('Subject: x\r\nMessage-ID: <1@example.org>\r\n\r\n')
    await writer.commit([{ envelope: message.envelope, header }])
    const kept = this.storage.get(message.envelope.id)
    if (kept !== undefined) this.storage.set(message.envelope.id, { ...kept, state: message.state })
  }

  async start(): Promise<void> {
    this.queue.start()
    await settled()
  }

  get bounces(): number {
    return this.attempts.filter(({ envelope }) => envelope.sender === undefined).length
  }

  kinds(): string[] {
    return this.events.map((event) => event.kind)
  }
}

function killable(writer: ReceptionWriter, kill: Kill): ReceptionWriter {
  const commit = writer.commit.bind(writer)
  writer.commit = async (messages) => await kill.around('commit', async () => await commit(messages))
  return writer
}

async function settled(): Promise<void> {
  for (let n = 0; n < 12; n++) await new Promise(setImmediate)
}

test('the sender of a message that failed gets a bounce, by the normal way, and the message is forgotten', async () => {
  const run = new Run()
  await run.accept(storedMessage('a'))
  await run.start()
  assert.deepEqual(run.kinds(), ['permanent-failure', 'reception', 'delivery'])
  const [, bounce] = run.attempts
  assert.equal(bounce?.envelope.sender, undefined)
  assert.deepEqual(bounce?.envelope.recipient, { local: 'alice', domain: 'example.org' })
  assert.equal(bounce?.envelope.connectionId, EMPTY_ID)
  assert.equal(bounce?.envelope.size, run.contents[1]?.length)
  assert.match(run.contents[1] ?? '', /^Diagnostic-Code: smtp; 550 5\.1\.1 never\r$/m)
  assert.equal(run.storage.size, 0)
  assert.deepEqual(run.queue.counts, { ready: 0, active: 0, delayed: 0, failed: 0, domains: 0, resident: 0 })
})

test('a message that expires is bounced with the last answer', async () => {
  const later: AttemptResult = { ...never, kind: 'transient', text: '450 4.2.0 later' }
  const run = new Run({
    deliver: ({ envelope }) => (envelope.sender === undefined ? done : later),
    options: { message_expiration: 100 },
  })
  await run.accept(storedMessage('a', { receivedAt: run.clock.now() }))
  await run.start()
  run.clock.advance()
  await settled()
  assert.equal(run.bounces, 1)
  assert.match(run.contents.at(-1) ?? '', /^Status: 5\.4\.7\r$/m)
  assert.match(run.contents.at(-1) ?? '', /^Diagnostic-Code: smtp; 450 4\.2\.0 later\r$/m)
})

test('nothing that fails without a sender is bounced: a bounce that is refused is the end', async () => {
  const run = new Run({ deliver: () => never })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.deepEqual(run.kinds(), ['permanent-failure', 'reception', 'permanent-failure'])
  assert.equal(run.storage.size, 0)
})

test('without Generate_Bounces a failure is told and the message forgotten', async () => {
  const run = new Run({ options: { generate_bounces: false } })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.deepEqual(run.kinds(), ['permanent-failure'])
  assert.equal(run.storage.size, 0)
})

test('messages that had failed before a start are bounced then, and never without a word', async () => {
  const state = { attempts: 3, nextAttempt: 0, failed: true, lastText: '550 no' }
  const run = new Run()
  await run.accept({ ...storedMessage('a'), state })
  await run.accept({ ...storedMessage('b', { sender: undefined }), state })
  await run.start()
  assert.equal(run.bounces, 1)
  assert.equal(run.storage.size, 0)
  const notices = run.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
  assert.deepEqual(notices, [
    'message b for example.com had failed (550 no) and is forgotten without a bounce',
  ])
})

test('a spool without room keeps the failed message until there is room for its bounce', async () => {
  let room = 60
  const run = new Run({ capacity: () => room })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.equal(run.storage.get('a')?.state.failed, true)
  assert.equal(run.queue.counts.failed, 1)
  for (let n = 0; n < 3; n++) {
    run.clock.advance()
    await settled()
  }
  assert.equal(run.kinds().filter((kind) => kind === 'panic').length, 1, 'it is told once')
  room = 1e6
  run.clock.advance()
  await settled()
  assert.equal(run.bounces, 1)
  assert.equal(run.storage.size, 0)
})

test('a kill at any step loses no bounce, and doubles one only where SMTP itself leaves it open', async () => {
  const whole = new Kill()
  const run = new Run({ kill: whole })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.equal(whole.steps.length, 12, whole.steps.join())
  for (let at = 0; at <= whole.steps.length; at++) {
    const first = new Run({ kill: new Kill(at) })
    await first.accept(storedMessage('a'))
    await first.start()
    const second = new Run({ storage: first.storage })
    await second.start()
    const where = `killed ${whole.steps[at] ?? 'at the end'}`
    assert.equal(second.storage.size, 0, where)
    const bounces = first.bounces + second.bounces
    // the next hop has it, and we had not written that down
    const open = at === 9 || at === 10
    assert.equal(bounces, open ? 2 : 1, where)
  }
})

test('a kill while a start makes up for an earlier one does not double it either', async () => {
  for (let firstAt = 5; firstAt <= 7; firstAt++) {
    for (let secondAt = 0; secondAt <= 4; secondAt++) {
      const first = new Run({ kill: new Kill(firstAt) })
      await first.accept(storedMessage('a'))
      await first.start()
      const second = new Run({ storage: first.storage, kill: new Kill(secondAt) })
      await second.start()
      const third = new Run({ storage: first.storage })
      await third.start()
      const attempts = [...first.attempts, ...second.attempts, ...third.attempts]
      const bounces = new Set(
        attempts.filter(({ envelope }) => envelope.sender === undefined).map(({ envelope }) => envelope.id),
      )
      assert.equal(bounces.size, 1, `${firstAt} ${secondAt}`)
      assert.equal(third.storage.size, 0)
    }
  }
})
