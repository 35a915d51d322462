/**
 * What is ready to go, by domain, and whose turn it is.
 *
 * Domains take turns, one message each; a domain that has as many attempts under way as it may have, or that is
 * suspended, is passed over, so a slow one delays only itself. What is urgent goes first in its domain, not before others. A domain is known only while it has something here.
 */

import type { OutboundValues } from '../config/settings.ts'
import { Fifo } from './fifo.ts'

type DomainOptions = Pick<OutboundValues, 'max_outbound_connections' | 'suspend_delivery'>

interface DomainQueue<T> {
  readonly name: string
  readonly ready: Fifo<T>
  /** these go before those in `ready` */
  readonly urgent: Fifo<T>
  options: DomainOptions
  active: number
  inRotation: boolean
}

export class DomainQueues<T> {
  readonly #domains = new Map<string, DomainQueue<T>>()
  readonly #rotation = new Fifo<DomainQueue<T>>()
  #optionsOf: (domain: string) => DomainOptions
  #ready = 0

  constructor(optionsOf: (domain: string) => DomainOptions) {
    this.#optionsOf = optionsOf
  }

  /** domains that have something ready or under way */
  get domains(): number {
    return this.#domains.size
  }

  /** items that wait for their turn, suspended ones included */
  get ready(): number {
    return this.#ready
  }

  /** Every domain, with what waits and what is under way. */
  *each(): Iterable<{ readonly name: string; readonly waiting: number; readonly active: number }> {
    for (const domain of this.#domains.values())
      yield { name: domain.name, waiting: waiting(domain), active: domain.active }
  }

  push(name: string, item: T, lane: 'ready' | 'urgent' = 'ready'): void {
    const domain = this.#domains.get(name) ?? this.#add(name)
    domain[lane].push(item)
    this.#ready++
    this.#rotate(domain)
  }

  /** The next item whose turn it is; it counts as under way until `done` is called for its domain. */
  take(): T | undefined {
    for (let domain = this.#rotation.shift(); domain !== undefined; domain = this.#rotation.shift()) {
      domain.inRotation = false
      // its options may have changed since it got in line
      if (!mayGo(domain)) continue
      const item = domain.urgent.shift() ?? domain.ready.shift()
      if (item === undefined) continue
      domain.active++
      this.#ready--
      this.#rotate(domain)
      return item
    }
    return undefined
  }

  done(name: string): void {
    const domain = this.#domains.get(name)
    if (domain === undefined) return
    domain.active--
    if (domain.active === 0 && waiting(domain) === 0) this.#domains.delete(name)
    else this.#rotate(domain)
  }

  /** New options for every domain. */
  reload(optionsOf: (domain: string) => DomainOptions): void {
    this.#optionsOf = optionsOf
    for (const domain of this.#domains.values()) {
      domain.options = optionsOf(domain.name)
      this.#rotate(domain)
    }
  }

  #add(name: string): DomainQueue<T> {
    const options = this.#optionsOf(name)
    const domain = {
      name,
      ready: new Fifo<T>(),
      urgent: new Fifo<T>(),
      options,
      active: 0,
      inRotation: false,
    }
    this.#domains.set(name, domain)
    return domain
  }

  #rotate(domain: DomainQueue<T>): void {
    if (domain.inRotation || !mayGo(domain)) return
    domain.inRotation = true
    this.#rotation.push(domain)
  }
}

function waiting({ ready, urgent }: DomainQueue<unknown>): number {
  return ready.size + urgent.size
}

function mayGo(domain: DomainQueue<unknown>): boolean {
  const { max_outbound_connections: limit, suspend_delivery } = domain.options
  return waiting(domain) > 0 && !suspend_delivery && (limit === 0 || domain.active < limit)
}
