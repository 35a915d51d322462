/**
 * What holds back connections and messages to hosts: Host stanzas, in addition to what holds for domains, and the
 * throttle of connections of either (Momentum: config/ref-host, ref-outbound-throttle-connections,
 * ref-max-outbound-connections).
 *
 * A host is known by its name. Connections under way count, not those that are kept for a next message. Who finds a host
 * full is told to come back a little after those who were told before.
 */

import { type LimitCounts, LocalCounts } from '../config/limit-counts.ts'
import type { OutboundScope } from '../config/settings.ts'
import type { Egress, HostScope } from '../config/settings-queue.ts'
import type { Throttles } from './throttle.ts'
import type { HostGate } from './transport.ts'

/** what Host stanzas say of a host; undefined: nothing */
type HostScopes = (names: readonly string[], egress: Egress) => HostScope | undefined

interface Busy {
  connections: number
  /** the last time that somebody was told to come back */
  promised: number
}

/** before a full host is asked for again, and between two who do */
const FULL_MS = 200
const BETWEEN_MS = 20

export class HostGates {
  readonly #throttles: Throttles
  readonly #now: () => number
  readonly #counts: LimitCounts
  /** hosts with a connection under way, by name */
  readonly #busy = new Map<string, Busy>()

  /** @param counts what connections are counted by; of this process alone unless given */
  constructor(throttles: Throttles, now: () => number, counts: LimitCounts = new LocalCounts()) {
    this.#throttles = throttles
    this.#now = now
    this.#counts = counts
  }

  /** The gate for an attempt of one domain in one binding. */
  gate(scope: OutboundScope, egress: Egress, hosts: HostScopes): HostGate {
    const scopeOf = ({ name, address }: { readonly name: string; readonly address: string }) =>
      hosts([...new Set([name.toLowerCase(), address])], egress)
    return {
      enter: (host, messages) => {
        const found = scopeOf(host)
        return found === undefined
          ? { kind: 'go', messages, leave: () => undefined }
          : this.#enter(host.name, messages, found)
      },
      connect: (host) => {
        const now = this.#now()
        const found = scopeOf(host)
        const option = 'outbound_throttle_connections'
        const windows = [
          this.#throttles.of(scope, option),
          found && this.#throttles.of(found, option),
        ].filter((window) => window !== undefined)
        const full = windows.find((window) => window.available(now) === 0)
        if (full !== undefined) return { kind: 'deferred', until: full.promise(now) }
        for (const window of windows) window.take(now, 1)
        return undefined
      },
    }
  }

  #enter(name: string, messages: number, scope: HostScope): ReturnType<HostGate['enter']> {
    const now = this.#now()
    const limit = scope.options.max_outbound_connections ?? Number.POSITIVE_INFINITY
    const busy = this.#busy.get(name) ?? { connections: 0, promised: 0 }
    const window = this.#throttles.of(scope, 'outbound_throttle_messages')
    const allowed = Math.min(messages, window?.available(now) ?? messages)
    const counter = `host ${name}`
    if (busy.connections >= limit || (allowed > 0 && !this.#counts.take([{ counter, limit }]))) {
      busy.promised = Math.max(now + FULL_MS, busy.promised + BETWEEN_MS)
      return { kind: 'deferred', until: busy.promised }
    }
    if (allowed === 0 && window !== undefined) return { kind: 'deferred', until: window.promise(now) }
    window?.take(now, allowed)
    busy.connections++
    this.#busy.set(name, busy)
    const leave = (): void => {
      this.#counts.give([counter])
      busy.connections--
      if (busy.connections === 0) this.#busy.delete(name)
    }
    return { kind: 'go', messages: allowed, leave }
  }
}
