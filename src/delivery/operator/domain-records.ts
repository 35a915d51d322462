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

/** What a binding has done since the start. */
export interface BindingRecord extends Egress {
  received: number
  delivered: number
  failed: number
}

interface Kept {
  readonly domain: string
  readonly binding: BindingRecord
  readonly history: Writable
}

const MAX_RECORDS = 20_000
const MAX_TEXT = 512
/** bindings come from the configuration; over many reloads there may be many */
const MAX_BINDINGS = 10_000

export class DomainRecords {
  /** by name; each group may have one */
  readonly #bindings = new Map<string, BindingRecord[]>()
  /** by domain, those of every binding; what happened last comes last */
  readonly #records = new Map<string, Kept[]>()
  #size = 0

  /** A sink that hands everything on, and takes note of outcomes. */
  before(events: EventSink): EventSink {
    return {
      emit: (event) => {
        switch (event.kind) {
          case 'delivery':
          case 'transient-failure':
          case 'permanent-failure':
            this.#note(event)
            break
          default:
        }
        events.emit(event)
      },
    }
  }

  of(bindingGroup: string, binding: string, domain: string): DomainRecord | undefined {
    return this.#records.get(domain)?.find((each) => isOf(each.binding, { bindingGroup, binding }))?.history
  }

  *all(): Iterable<KnownDomain> {
    for (const kept of this.#records.values()) {
      for (const { domain, binding, history } of kept) {
        yield { domain, bindingGroup: binding.bindingGroup, binding: binding.binding, history }
      }
    }
  }

  /** A message has come that is to leave so. */
  received(egress: Egress): void {
    this.#binding(egress).received++
  }

  *bindings(): Iterable<Readonly<BindingRecord>> {
    for (const named of this.#bindings.values()) yield* named
  }

  #binding(egress: Egress): BindingRecord {
    const { bindingGroup, binding } = egress
    const named = this.#bindings.get(binding) ?? []
    const known = named.find((each) => isOf(each, egress))
    if (known !== undefined) return known
    const record = { bindingGroup, binding, received: 0, delivered: 0, failed: 0 }
    if (this.#bindings.size >= MAX_BINDINGS) return record
    named.push(record)
    this.#bindings.set(binding, named)
    return record
  }

  #note({ kind, at, envelope, domain, remote, text }: DeliveryOutcome): void {
    const { binding, history } = this.#record(domain, envelope, at)
    if (kind === 'delivery') {
      binding.delivered++
      history.delivered++
      history.failuresInARow = 0
      history.lastDelivery = at
      return
    }
    if (kind === 'transient-failure') history.deferred++
    else {
      binding.failed++
      history.failed++
    }
    history.failuresInARow++
    history.lastFailure = { at, messageId: envelope.id, remote, text: text.slice(0, MAX_TEXT) }
  }

  #record(domain: string, egress: Egress, at: number): Kept {
    const kept = this.#records.get(domain) ?? []
    this.#records.delete(domain)
    this.#records.set(domain, kept)
    const known = kept.find(({ binding }) => isOf(binding, egress))
    if (known !== undefined) return known
    const made = { domain, binding: this.#binding(egress), history: begun(at) }
    kept.push(made)
    this.#size++
    this.#forget()
    return made
  }

  #forget(): void {
    for (const [oldest, kept] of this.#records) {
      if (this.#size <= MAX_RECORDS) return
      this.#records.delete(oldest)
      this.#size -= kept.length
    }
  }
}

function isOf(record: Egress, { bindingGroup, binding }: Egress): boolean {
  return record.binding === binding && record.bindingGroup === bindingGroup
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
