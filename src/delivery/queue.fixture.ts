/** A delivery queue with a clock that stands still, and a transport that does as it is told. */

import { FakeClock } from '../../test/support/fake-clock.ts'
import { contentOf, noTargets, settingsFor, storedMessage } from '../../test/support/messages.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { DeliveryOutcome, ServerEvent } from '../events/events.ts'
import { MemorySpool, type MemoryStorage } from '../spool/memory-spool.ts'
import type { StoredMessage } from '../spool/spool.ts'
import { DeliveryQueue } from './queue.ts'
import type { SmtpRoute } from './route.ts'
import type { AttemptContext, AttemptResult } from './transport.ts'

export const START = 1_700_000_000_000

export const delivered: AttemptResult = {
  kind: 'delivered',
  stage: 9,
  text: '250 kept',
  bytes: 42,
  remote: '192.0.2.9',
}
export const later: AttemptResult = {
  kind: 'transient',
  stage: 5,
  text: '450 4.2.0 later',
  bytes: 31,
  remote: '192.0.2.9',
}

type Deliver = (
  message: StoredMessage,
  context: AttemptContext<SmtpRoute>,
) => AttemptResult | Promise<AttemptResult>

interface BenchOptions {
  readonly deliver?: Deliver
  readonly options?: Partial<OutboundValues> | ((domain: string) => Partial<OutboundValues>)
  readonly storage?: MemoryStorage
  readonly concurrency?: number
}

/** A queue on a spool in memory, with a clock that stands still and a transport that does as it is told. */
export class Bench {
  readonly clock = new FakeClock(START)
  readonly events: ServerEvent[] = []
  /** what happened, in order: `deliver ID`, `remove ID`, `update ID`, `tell KIND ID` */
  readonly log: string[] = []
  readonly storage: MemoryStorage
  readonly spool: MemorySpool
  readonly queue: DeliveryQueue
  deliver: Deliver
  readonly #options: BenchOptions['options']

  constructor(options: BenchOptions = {}) {
    this.storage = options.storage ?? new Map()
    this.deliver = options.deliver ?? (() => delivered)
    this.#options = options.options ?? {}
    this.spool = new MemorySpool({ storage: this.storage })
    this.#record('remove')
    this.#record('update')
    const transport = {
      deliver: async (
        messages: readonly StoredMessage[],
        _content: unknown,
        context: AttemptContext<SmtpRoute>,
      ) => {
        const results: AttemptResult[] = []
        for (const message of messages) {
          this.log.push(`deliver ${message.envelope.id}`)
          results.push(await this.deliver(message, context))
        }
        return results
      },
    }
    let ids = 0
    this.queue = new DeliveryQueue({
      spool: this.spool,
      settings: settingsFor(this.settings()),
      transports: {
        smtp: transport,
        ...noTargets,
        maildir: { deliver: () => Promise.reject(new Error('no maildir here')) },
      },
      events: {
        emit: (event) => {
          this.events.push(event)
          this.log.push(`tell ${event.kind}${'envelope' in event ? ` ${event.envelope.id}` : ''}`)
        },
      },
      ids: { next: () => `c${ids++}` },
      hostname: 'mx.test',
      clock: this.clock,
      ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    })
  }

  settings(changes: Partial<OutboundValues> = {}) {
    return (domain: string): Partial<OutboundValues> => ({
      gateway: 'relay.test',
      ...(typeof this.#options === 'function' ? this.#options(domain) : this.#options),
      ...changes,
    })
  }

  get outcomes(): DeliveryOutcome[] {
    return this.events.filter((event) => 'retries' in event)
  }

  get panics(): string[] {
    return this.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
  }

  /** Commits messages and hands them to the queue, as a session does. */
  async accept(...messages: readonly StoredMessage[]): Promise<void> {
    await this.keep(...messages)
    this.queue.enqueue(messages)
    await settled()
  }

  async keep(...messages: readonly StoredMessage[]): Promise<void> {
    for (const message of messages) await this.keepBatch(message)
  }

  /** In one transaction, with one header. */
  async keepBatch(...messages: readonly StoredMessage[]): Promise<void> {
    const writer = this.spool.create()
    await writer.append(Buffer.from('body\r\n'))
    const header = contentOf('Subject: x\r\n\r\n').header
    await writer.commit(messages.map(({ envelope }) => ({ envelope, header })))
    for (const { envelope, state } of messages) {
      const kept = this.storage.get(envelope.id)
      if (kept !== undefined) this.storage.set(envelope.id, { ...kept, state })
    }
  }

  /** Goes on to the next alarm; how long that was. */
  async toNextAlarm(): Promise<number> {
    const before = this.clock.now()
    this.clock.advance()
    await settled()
    return this.clock.now() - before
  }

  #record(operation: 'remove' | 'update'): void {
    const original = this.spool[operation].bind(this.spool) as (
      id: string,
      ...rest: unknown[]
    ) => Promise<void>
    this.spool[operation] = async (id: string, ...rest: unknown[]) => {
      await original(id, ...rest)
      this.log.push(`${operation} ${id}`)
    }
  }
}

/** Everything that can go on without time passing has gone on. */
export async function settled(): Promise<void> {
  for (let n = 0; n < 5; n++) await new Promise(setImmediate)
}

export const to = (id: string, domain: string) => storedMessage(id, { recipient: { local: 'bob', domain } })
