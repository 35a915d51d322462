/** What an operator's act makes of one message: what becomes durable, and where the message goes then. */

import type { EventSink } from '../../events/events.ts'
import { type Envelope, routingDomain } from '../../mail/envelope.ts'
import { EMPTY_ID } from '../../mail/message-id.ts'
import type { DeliveryState, StoredMessage } from '../../spool/spool.ts'
import type { DomainQueue, DomainQueues } from '../domain-queues.ts'
import type { MessageTable } from '../message-table.ts'
import { expiry } from '../outcome.ts'
import { stages } from '../transport.ts'
import type { Act } from './orders.ts'

/** A message that was taken out, and where it was. */
export interface Held {
  readonly number: number
  readonly id: string
  readonly queue: DomainQueue
  /** undefined: it was ready */
  readonly due: number | undefined
}

/** What becomes durable of one message, and where it goes then. */
export interface Change {
  /** undefined: the spool forgets it */
  readonly state: DeliveryState | undefined
  readonly envelope?: Envelope
  readonly settle: () => void
}

export interface ChangesHost {
  readonly table: MessageTable
  readonly queues: DomainQueues
  readonly events: EventSink
  readonly now: () => number
  /** takes a message that waits for its time */
  readonly delay: (number: number, until: number) => void
  /** takes a message that failed for good, as the spool knows already, and whose failure was told */
  readonly fail: (number: number) => void
  /** the message has come to its end: what was told of it is true all the same */
  readonly ended: (id: string) => void
}

export class Changes {
  readonly #host: ChangesHost

  constructor(host: ChangesHost) {
    this.#host = host
  }

  /** @param message as the spool has it now */
  of(act: Act, held: Held, message: StoredMessage): Change {
    const { number, queue, due } = held
    const { table, queues, delay, now } = this.#host
    const { state } = message
    const { notBefore: _, routingDomain: chosen, ...envelope } = message.envelope
    switch (act.kind) {
      case 'fail':
        return this.#failing(act, number, message)
      case 'flush': {
        const settle = (): void => {
          table.unmark(number, 'pinned')
          queues.push(number)
        }
        return { state, envelope: routed(envelope, chosen), settle }
      }
      case 'delay': {
        const wait = Math.max(now(), expiry(message, queues.scope(queue).options))
        const until = Math.min(now() + act.seconds * 1000, wait)
        const settle = (): void => {
          table.mark(number, 'pinned')
          delay(number, until)
        }
        const waiting = { ...message.envelope, notBefore: until }
        return { state: { ...state, nextAttempt: until }, envelope: waiting, settle }
      }
      case 'reroute': {
        const { notBefore } = message.envelope
        const rest = notBefore === undefined ? envelope : { ...envelope, notBefore }
        const settle = (): void => this.#move(number, due, queues.open(act.domain, queue))
        return { state, envelope: routed(rest, act.domain), settle }
      }
      case 'rebind':
    }
    const { bindingGroup, binding } = act.egress
    const settle = (): void => this.#move(number, due, queues.open(queue.domain, act.egress))
    return { state, envelope: { ...message.envelope, bindingGroup, binding }, settle }
  }

  #failing(act: Act & { readonly kind: 'fail' }, number: number, message: StoredMessage): Change {
    const { table, fail, ended } = this.#host
    const { attempts } = message.state
    const { id } = message.envelope
    const end = (): void => {
      this.#tell(message, act.text)
      ended(id)
    }
    if (act.quiet) {
      const settle = (): void => {
        end()
        table.remove(number)
      }
      return { state: undefined, settle }
    }
    const settle = (): void => {
      end()
      fail(number)
    }
    return { state: { attempts, nextAttempt: 0, failed: true, lastText: act.text }, settle }
  }

  #tell({ envelope, state }: StoredMessage, text: string): void {
    const { events, now } = this.#host
    const nothing = { connectionId: EMPTY_ID, bytes: 0, stage: stages.notConnected, remote: '' }
    const facts = { envelope, domain: routingDomain(envelope), retries: state.attempts, text }
    events.emit({ kind: 'permanent-failure', at: now(), ...facts, ...nothing })
  }

  #move(number: number, due: number | undefined, to: DomainQueue): void {
    const { table, queues, delay } = this.#host
    table.setQueue(number, to.index)
    if (due === undefined) queues.push(number)
    else delay(number, due)
  }
}

/** An envelope whose message goes by this domain; by its recipient's where that is the same. */
function routed(envelope: Envelope, domain: string | undefined): Envelope {
  return domain === undefined || domain === envelope.recipient.domain
    ? envelope
    : { ...envelope, routingDomain: domain }
}
