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

/** What a binding has done since the start. */
export interface BindingRecord extends Egress {
  received: number
  delivered: number
  failed: number
}

/** bindings come from the configuration; over many reloads there may be many */
const MAX_BINDINGS = 10_000

export class DomainRecords {
  readonly #bindings = new Map<string, BindingRecord>()
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

  /** A message has come that is to leave so. */
  received(egress: Egress): void {
    const record = this.#binding(egress)
    if (record !== undefined) record.received++
  }

  bindings(): Iterable<Readonly<BindingRecord>> {
    return this.#bindings.values()
  }

  #binding({ bindingGroup, binding }: Egress): BindingRecord | undefined {
    const key = `${bindingGroup}/${binding}`
    const known = this.#bindings.get(key)
    if (known !== undefined || this.#bindings.size >= MAX_BINDINGS) return known
    const record = { bindingGroup, binding, received: 0, delivered: 0, failed: 0 }
    this.#bindings.set(key, record)
    return record
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
    const own = this.#binding(envelope)
    if (own !== undefined && kind === 'delivery') own.delivered++
    if (own !== undefined && kind === 'permanent-failure') own.failed++
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
