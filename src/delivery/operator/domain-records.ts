/**
 * What became of mail for each domain in each binding lately: for operators. Bounded; the domain that nothing happened to
 * for longest is forgotten first, and then begins anew.
 */

import type { Egress } from '../../config/settings-queue.ts'
import type { DeliveryOutcome, EventSink } from '../../events/events.ts'

export interface DomainRecord {
  readonly delivered: number
  /** attempts that failed for a while */
  readonly deferred: number
  /** messages that failed for good */
  readonly failed: number
  /** attempts since the last delivery that failed, each message by itself */
  readonly failuresInARow: number
  /** when the record begins, milliseconds since the epoch */
  readonly since: number
  readonly lastDelivery: number | undefined
  readonly lastFailure:
    | {
        readonly at: number
        readonly messageId: string
        /** '' when no host was reached */
        readonly remote: string
        readonly text: string
      }
    | undefined
}

type Writable = { -readonly [K in keyof DomainRecord]: DomainRecord[K] }

export interface KnownDomain extends Egress {
  readonly domain: string
  readonly history: DomainRecord
}

const MAX_RECORDS = 20_000
const MAX_TEXT = 512

export class DomainRecords {
  readonly #records = new Map<string, Writable>()

  /** A sink that hands everything on, and takes note of outcomes. */
  before(events: EventSink): EventSink {
    return {
      emit: (event) => {
        if (
          event.kind === 'delivery' ||
          event.kind === 'transient-failure' ||
          event.kind === 'permanent-failure'
        )
          this.#note(event)
        events.emit(event)
      },
    }
  }

  of(bindingGroup: string, binding: string, domain: string): DomainRecord | undefined {
    return this.#records.get(keyOf(bindingGroup, binding, domain))
  }

  *all(): Iterable<KnownDomain> {
    for (const [key, history] of this.#records) {
      // neither a domain nor the name of a group holds one
      const [bindingGroup = '', ...rest] = key.split('/')
      const domain = rest.pop() ?? ''
      yield { bindingGroup, binding: rest.join('/'), domain, history }
    }
  }

  #note({ kind, at, envelope, domain, remote, text }: DeliveryOutcome): void {
    const key = keyOf(envelope.bindingGroup, envelope.binding, domain)
    const record = this.#records.get(key) ?? begun(at)
    this.#records.delete(key)
    this.#records.set(key, record)
    if (kind === 'delivery') {
      record.delivered++
      record.failuresInARow = 0
      record.lastDelivery = at
    } else {
      if (kind === 'transient-failure') record.deferred++
      else record.failed++
      record.failuresInARow++
      record.lastFailure = { at, messageId: envelope.id, remote, text: text.slice(0, MAX_TEXT) }
    }
    const [oldest] = this.#records.keys()
    if (this.#records.size > MAX_RECORDS && oldest !== undefined) this.#records.delete(oldest)
  }
}

function begun(since: number): Writable {
  return {
    delivered: 0,
    deferred: 0,
    failed: 0,
    failuresInARow: 0,
    since,
    lastDelivery: undefined,
    lastFailure: undefined,
  }
}

function keyOf(bindingGroup: string, binding: string, domain: string): string {
  return `${bindingGroup}/${binding}/${domain}`
}
