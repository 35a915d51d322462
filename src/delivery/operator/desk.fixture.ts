/** A queue on a spool in memory whose attempts end when a test says so, and an operator in front of it. */

import { FakeClock } from '../../../test/support/fake-clock.ts'
import { contentOf, noTargets, settingsFor, storedMessage } from '../../../test/support/messages.ts'
import type { OutboundValues } from '../../config/settings.ts'
import type { DeliveryOutcome, ServerEvent } from '../../events/events.ts'
import { type Envelope, routingDomain } from '../../mail/envelope.ts'
import { MemorySpool, type MemoryStorage } from '../../spool/memory-spool.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import { DeliveryQueue } from '../queue.ts'
import type { MessageResult } from '../transport.ts'
import type { Act, ActReport, MessageRow, Selection } from './orders.ts'

export const START = 1_700_000_000_000

interface UnderWay {
  readonly ids: readonly string[]
  readonly domain: string
  readonly answer: (kind: 'delivered' | 'transient' | 'permanent') => void
}

export interface BenchOptions {
  readonly storage?: MemoryStorage
  readonly options?: Partial<OutboundValues> | ((domain: string) => Partial<OutboundValues>)
  readonly clock?: FakeClock
}

export class OperatorBench {
  readonly clock: FakeClock
  readonly storage: MemoryStorage
  readonly spool: MemorySpool
  readonly queue: DeliveryQueue
  readonly events: ServerEvent[] = []
  readonly underWay: UnderWay[] = []

  constructor({ storage = new Map(), options = {}, clock = new FakeClock(START) }: BenchOptions = {}) {
    this.clock = clock
    this.storage = storage
    this.spool = new MemorySpool({ storage })
    let ids = 0
    this.queue = new DeliveryQueue({
      spool: this.spool,
      settings: settingsFor((domain) => ({
        gateway: 'relay.test',
        retry_interval: 60,
        ...(typeof options === 'function' ? options(domain) : options),
      })),
      transports: {
        smtp: { deliver: async (messages) => await this.#attempt(messages) },
        ...noTargets,
        maildir: { deliver: () => Promise.reject(new Error('no maildir here')) },
      },
      events: { emit: (event) => this.events.push(event) },
      ids: { next: () => `n${storage.size}-${ids++}` },
      hostname: 'mx.test',
      clock,
    })
    this.queue.start()
  }

  /** One message for each, with content of its own. */
  async accept(...envelopes: readonly (Partial<Envelope> & { readonly id: string })[]): Promise<void> {
    const messages = envelopes.map(({ id, ...changes }) =>
      storedMessage(id, { receivedAt: this.clock.now(), ...changes }),
    )
    for (const { envelope } of messages) {
      const writer = this.spool.create()
      const subject = `Subject: ${envelope.id}\r\n`
      await writer.commit([{ envelope, header: contentOf(`X-Pick: a\r\n\tb c\r\n${subject}\r\n`).header }])
    }
    this.queue.enqueue(messages)
    await settled()
  }

  async act(act: Act, selection: Selection = {}, dryRun = false): Promise<ActReport> {
    const report = await this.queue.ask('act', { act, selection, dryRun })
    await settled()
    return report
  }

  async rows(selection: Selection = {}): Promise<readonly MessageRow[]> {
    return (await this.queue.ask('list', { selection, rows: 1000 })).rows
  }

  /** `stand id domain` of each message, in the order in which they leave. */
  async list(selection: Selection = {}): Promise<readonly string[]> {
    return (await this.rows(selection)).map(({ stand, id, domain }) => `${stand} ${id} ${domain}`)
  }

  /** Every attempt under way ends so. */
  async answer(kind: Parameters<UnderWay['answer']>[0]): Promise<void> {
    for (const { answer } of this.underWay.splice(0)) answer(kind)
    await settled()
  }

  /** kind and message of each outcome that was told */
  get outcomes(): readonly string[] {
    return this.events
      .filter((event): event is DeliveryOutcome => 'retries' in event)
      .map(({ kind, envelope }) => `${kind} ${envelope.id}`)
  }

  get panics(): readonly string[] {
    return this.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
  }

  async #attempt(messages: readonly StoredMessage[]): Promise<readonly MessageResult[]> {
    const [first] = messages
    return await new Promise((resolve) => {
      const result = { stage: 9, bytes: 1, remote: '192.0.2.9', text: 'said' } as const
      this.underWay.push({
        ids: messages.map(({ envelope }) => envelope.id),
        domain: first === undefined ? '' : routingDomain(first.envelope),
        answer: (kind) => resolve(messages.map(() => ({ ...result, kind }))),
      })
    })
  }
}

export async function settled(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await new Promise(setImmediate)
}
