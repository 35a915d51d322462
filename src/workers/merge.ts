/** The parts of several processes → one account of the node. */

import type { CachedContext, Expiry } from '../console/services.ts'
import type { DomainCounts, QueueCounts } from '../delivery/queue-counts.ts'
import type { DecisionRecord } from '../events/decision.ts'
import type { PinUse, ServerOnlyCertificate } from '../events/partner-report.ts'
import { ShadowCounts, type ShadowRow, type ShadowTable } from '../logs/shadow-table.ts'
import type { Snapshot } from './snapshot.ts'

type Counts = Snapshot['counters']['counts']

export function addCounts(all: readonly Counts[]): Counts {
  const sum = (key: keyof Counts): number => all.reduce((total, each) => total + each[key], 0)
  return {
    delivered: sum('delivered'),
    failed: sum('failed'),
    rejected: sum('rejected'),
    received: sum('received'),
  }
}

export function mergeQueues(parts: readonly Snapshot['queue'][]): Snapshot['queue'] {
  const domains = merged<DomainCounts>(
    parts.flatMap((part) => part.domains),
    ({ bindingGroup, binding, domain }) => `${bindingGroup}/${binding}/${domain}`,
    (a, b) => ({ ...a, active: a.active + b.active, delayed: a.delayed + b.delayed }),
  )
  const sum = (key: keyof QueueCounts): number => parts.reduce((total, { counts }) => total + counts[key], 0)
  const counts = {
    ready: sum('ready'),
    active: sum('active'),
    delayed: sum('delayed'),
    failed: sum('failed'),
    resident: sum('resident'),
    // a domain may have something in several processes
    domains: domains.filter(({ active }) => active > 0).length,
  }
  return { counts, domains }
}

/** The newest first. */
export function mergeEnded(parts: readonly (readonly DecisionRecord[])[]): DecisionRecord[] {
  return parts.flat().toSorted((a, b) => (b.end?.at ?? b.at) - (a.end?.at ?? a.at))
}

export function mergeShadows(parts: readonly ShadowTable[]): ShadowTable {
  const rows = merged<ShadowRow>(
    parts.flatMap((part) => part.rows),
    ({ network, certificate, verdict, reason, cause }) =>
      JSON.stringify([network, certificate, verdict, reason, cause]),
    (a, b) => ({
      ...a,
      count: a.count + b.count,
      first: Math.min(a.first, b.first),
      last: Math.max(a.last, b.last),
    }),
  ).toSorted((a, b) => b.count - a.count || b.last - a.last)
  const others = parts.flatMap((part) => part.others ?? [])
  return {
    rows,
    others:
      others.length === 0
        ? undefined
        : others.reduce((a, b) => ({
            rows: a.rows + b.rows,
            count: a.count + b.count,
            first: Math.min(a.first, b.first),
            last: Math.max(a.last, b.last),
          })),
    totals: parts.reduce((sums, { totals }) => addTotals(sums, totals), new ShadowCounts().table().totals),
  }
}

function addTotals(a: ShadowTable['totals'], b: ShadowTable['totals']): ShadowTable['totals'] {
  const sums = { ...a }
  for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += b[key]
  return sums
}

/** In the order of the configuration, which all have. */
export function mergePins(parts: readonly (readonly PinUse[])[]): PinUse[] {
  return merged<PinUse>(
    parts.flat(),
    ({ partner, option, place, digest }) => JSON.stringify([partner, option, place, digest]),
    (a, b) => ({
      ...((a.lastSeen ?? 0) >= (b.lastSeen ?? 0) ? a : b),
      handshakes: a.handshakes + b.handshakes,
      firstSeen: least(a.firstSeen, b.firstSeen),
    }),
  )
}

/** Those that were seen last come first. */
export function mergeServerOnly(
  parts: readonly (readonly ServerOnlyCertificate[])[],
): ServerOnlyCertificate[] {
  return merged<ServerOnlyCertificate>(
    parts.flat(),
    ({ fingerprint }) => fingerprint,
    (a, b) => ({
      ...(a.lastSeen >= b.lastSeen ? a : b),
      handshakes: a.handshakes + b.handshakes,
      firstSeen: Math.min(a.firstSeen, b.firstSeen),
    }),
  ).toSorted((a, b) => b.lastSeen - a.lastSeen)
}

/** What ends first first. */
export function mergeExpiries(parts: readonly (readonly Expiry[])[]): Expiry[] {
  return merged<Expiry>(
    parts.flat(),
    ({ what, source, fingerprint }) => `${what} ${source} ${fingerprint}`,
    (a, b) => ({
      ...((a.lastSeen ?? 0) >= (b.lastSeen ?? 0) ? a : b),
      renewed: a.renewed || b.renewed,
    }),
  ).toSorted((a, b) => a.notAfter - b.notAfter)
}

export function mergeContexts(parts: readonly (readonly CachedContext[])[]): CachedContext[] {
  return merged<CachedContext>(
    parts.flat(),
    ({ certificate, notAfter, clientCa, crl, ciphers }) =>
      JSON.stringify([certificate, notAfter, clientCa, crl, ciphers]),
    (a, b) => ({ ...a, made: Math.min(a.made, b.made), sessions: a.sessions + b.sessions }),
  )
}

function merged<T>(all: readonly T[], key: (each: T) => string, join: (a: T, b: T) => T): T[] {
  const found = new Map<string, T>()
  for (const each of all) {
    const name = key(each)
    const before = found.get(name)
    found.set(name, before === undefined ? each : join(before, each))
  }
  return [...found.values()]
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.min(a, b)
}
