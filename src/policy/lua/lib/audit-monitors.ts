/**
 * Connections, receptions and rejections by client address in windows of time (momentum: modules/inbound-audit).
 *
 * A monitor begins to count when a script first asks for it; the server tells what happens.
 */

import { AuditSeries, type Span } from './audit-series.ts'
import type { WindowShape } from './windows.ts'

export const audited = ['connections', 'receptions', 'rejections'] as const
export type Audited = (typeof audited)[number]

const maxMonitors = 10

export class AuditMonitors {
  readonly #series = new AuditSeries()
  readonly #names = new Set<string>()

  /** Returns false when there are too many monitors. */
  open(monitor: string, shape: WindowShape): boolean {
    if (this.#names.has(monitor)) return true
    if (this.#names.size >= maxMonitors) return false
    this.#names.add(monitor)
    // addresses of both families are keys like any other
    for (const what of audited) this.#series.define(`${what} ${monitor}`, 'string', shape)
    return true
  }

  record(what: Audited, address: string, now: number): void {
    for (const monitor of this.#names) this.#series.add(`${what} ${monitor}`, address, { count: 1, now })
  }

  count(
    what: Audited,
    monitor: string,
    of: Span & { readonly block: string; readonly pace: () => void },
  ): number {
    return this.#series.countBlock(`${what} ${monitor}`, of.block, of, of.pace)
  }
}
