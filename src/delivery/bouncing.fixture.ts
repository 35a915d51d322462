/** A queue over a spool in memory whose every step can be the last one, for tests of what a kill leaves behind. */

import assert from 'node:assert/strict'
import { FakeClock } from '../../test/support/fake-clock.ts'
import { contentOf, noTargets, settingsFor } from '../../test/support/messages.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { ServerEvent } from '../events/events.ts'
import { MemorySpool, type MemoryStorage } from '../spool/memory-spool.ts'
import type { ReceptionWriter, StoredMessage } from '../spool/spool.ts'
import { DeliveryQueue } from './queue.ts'
import type { AttemptResult } from './transport.ts'

export const done: AttemptResult = {
  kind: 'delivered',
  stage: 9,
  text: '250 kept',
  bytes: 1,
  remote: '192.0.2.9',
}
export const never: AttemptResult = { ...done, kind: 'permanent', stage: 5, text: '550 5.1.1 never' }

/** After so many steps everything stands still, as after a kill. */
export class Kill {
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
export class Run {
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
        ...noTargets,
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

export async function settled(): Promise<void> {
  for (let n = 0; n < 12; n++) await new Promise(setImmediate)
}
