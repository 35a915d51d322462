/** What one process can say of itself at this moment, as plain data: a worker's part of what the console shows. */

import type { CachedContext, ConsoleServices, Expiry } from '../console/services.ts'
import type { VerdictTable } from '../console/verdicts.ts'
import type { DomainCounts, QueueCounts } from '../delivery/queue-counts.ts'
import type { DecisionRecord } from '../events/decision.ts'
import type { Panic } from '../events/events.ts'
import type { LiveSession } from '../events/live.ts'
import type { PinUse, ServerOnlyCertificate } from '../events/partner-report.ts'
import type { ShadowTable } from '../logs/shadow-table.ts'

export interface Snapshot {
  readonly counters: Pick<ConsoleServices['counters'], 'since' | 'counts' | 'rates'>
  readonly panics: readonly Panic[]
  readonly sessions: readonly LiveSession[]
  readonly queue: { readonly counts: QueueCounts; readonly domains: readonly DomainCounts[] }
  readonly decisions: { readonly live: readonly DecisionRecord[]; readonly ended: readonly DecisionRecord[] }
  readonly shadow: ShadowTable
  readonly verdicts: VerdictTable
  readonly pins: readonly PinUse[]
  readonly serverOnly: readonly ServerOnlyCertificate[]
  readonly expiries: readonly Expiry[]
  readonly contexts: readonly CachedContext[]
  /** first words of scripts' commands; undefined without scripts */
  readonly scripts: readonly string[] | undefined
}

export type SnapshotPart = keyof Snapshot

/** what the commands of the console need, by their first word or their first two; the others get everything */
const needs: Readonly<Record<string, readonly SnapshotPart[]>> = {
  version: [],
  pid: [],
  sysinfo: [],
  reload: [],
  config: [],
  write: [],
  reopen: [],
  help: ['scripts'],
  summary: ['counters', 'sessions', 'queue'],
  paniclog: ['panics'],
  authz: [],
  // these ask the processes themselves
  ...Object.fromEntries(
    'dns_cache dig mta_sts threads module scriptlet shutdown counter cache trace'
      .split(' ')
      .map((name) => [name, []]),
  ),
  'show outbound': [],
  count: ['sessions'],
  // these ask the queues themselves
  ...Object.fromEntries(
    'mailq active delayed binding domain showqueue message flush fail delay reroute rebind refresh'
      .split(' ')
      .map((name) => [name, []]),
  ),
  show: ['sessions'],
  'tls sessions': ['decisions'],
  'tls why': ['decisions'],
  'tls shadow': ['shadow'],
  'tls verdicts': ['verdicts'],
  'tls expiring': ['expiries'],
  'tls pins': ['pins'],
  'tls server-only': ['serverOnly'],
}

/** @param words of a command */
export function partsFor(words: readonly string[]): readonly SnapshotPart[] {
  const [first = '', second = ''] = words.map((word) => word.toLowerCase())
  const known = [`${first} ${second}`, first].find((name) => Object.hasOwn(needs, name))
  return known === undefined ? everyPart : (needs[known] ?? everyPart)
}

/** The parts that are asked for. */
export function snapshotOf(services: ConsoleServices, parts: readonly SnapshotPart[]): Partial<Snapshot> {
  return Object.fromEntries(parts.map((part) => [part, readers[part](services)]))
}

const readers: { readonly [Part in SnapshotPart]: (services: ConsoleServices) => Snapshot[Part] } = {
  counters: ({ counters: { since, counts, rates } }) => ({ since, counts, rates }),
  panics: ({ panics }) => panics.entries,
  sessions: ({ sessions }) => sessions(),
  queue: ({ queue }) => ({ counts: queue.counts, domains: queue.byDomain() }),
  decisions: ({ decisions }) => ({ live: decisions.live(), ended: decisions.ended() }),
  shadow: ({ decisions }) => decisions.shadow(),
  verdicts: ({ verdicts }) => verdicts(),
  pins: ({ pins }) => pins(),
  serverOnly: ({ serverOnly }) => serverOnly(),
  expiries: ({ expiries }) => expiries(),
  contexts: ({ tls }) => tls.contexts(),
  scripts: ({ scripts }) => scripts()?.commands,
}

const everyPart = Object.keys(readers) as SnapshotPart[]
