/** How much there is for each domain in each binding, and how one of them stands. */

import type { Egress } from '../../config/settings-queue.ts'
import type { DomainQueue, DomainQueues } from '../domain-queues.ts'
import type { Route, Router } from '../route.ts'
import type { DomainRecords, KnownDomain } from './domain-records.ts'
import {
  type BindingRow,
  type BindingsOrder,
  type BindingsReport,
  type DomainDetails,
  type DomainOrder,
  type DomainReport,
  type DomainRow,
  type DomainsOrder,
  type DomainsReport,
  MAX_DETAILS,
  MAX_DOMAINS,
} from './orders.ts'
import { fitsQueue } from './select.ts'
import type { Pace } from './walk.ts'

interface DomainsHost {
  readonly queues: DomainQueues
  readonly records: Pick<DomainRecords, 'of' | 'all' | 'bindings'>
  readonly router: () => Router
  readonly now: () => number
}

/** Every domain that has a message, in every binding. @throws StoppedError */
export async function domainRows(
  host: DomainsHost,
  { having, ...wanted }: DomainsOrder,
  pace: Pace,
): Promise<DomainsReport> {
  const totals = { underWay: 0, ready: 0, delayed: 0, ending: 0, connections: 0, delivered: 0 }
  let rows: DomainRow[] = []
  let leftOut = 0
  const cut = (): void => {
    rows = rows.toSorted(byFullness)
    leftOut += Math.max(0, rows.length - MAX_DOMAINS)
    rows.length = Math.min(rows.length, MAX_DOMAINS)
  }
  for (const queue of host.queues.all()) {
    await pace.turn()
    if (!fitsQueue(definedOf(wanted), queue)) continue
    const row = rowOf(host, queue)
    for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += row[key]
    if (having === 'active' && row.underWay + row.ready === 0) continue
    if (having === 'delayed' && row.delayed === 0) continue
    rows.push(row)
    if (rows.length >= 2 * MAX_DOMAINS) cut()
  }
  cut()
  return { rows, leftOut, totals }
}

/** @throws StoppedError */
export async function domainDetails(
  host: DomainsHost,
  { domain }: DomainOrder,
  pace: Pace,
): Promise<DomainReport> {
  const bindings: DomainDetails[] = []
  for (const queue of host.queues.all()) {
    await pace.turn()
    if (bindings.length === MAX_DETAILS) break
    if (fitsQueue(definedOf({ domain }), queue)) bindings.push(detailsOf(host, queue))
  }
  const isHere = (egress: Egress): boolean =>
    bindings.some((each) => each.binding === egress.binding && each.bindingGroup === egress.bindingGroup)
  for (const known of domain === undefined ? [] : host.records.all()) {
    await pace.turn()
    if (known.domain === domain && !isHere(known)) bindings.push(idleDetails(host, known))
  }
  return { bindings }
}

/** Every binding that has or had mail. @throws StoppedError */
export async function bindingRows(
  { queues, records }: Pick<DomainsHost, 'queues' | 'records'>,
  wanted: BindingsOrder,
  pace: Pace,
): Promise<BindingsReport> {
  const none = { connections: 0, underWay: 0, ready: 0, delayed: 0, ending: 0, resident: 0 }
  const rows = new Map<string, { -readonly [K in keyof BindingRow]: BindingRow[K] }>()
  for (const record of records.bindings()) {
    const { bindingGroup, binding } = record
    if (fitsQueue(definedOf(wanted), { domain: '', bindingGroup, binding }))
      rows.set(`${bindingGroup}/${binding}`, { ...record, ...none })
  }
  for (const queue of queues.all()) {
    await pace.turn()
    const row = rows.get(`${queue.bindingGroup}/${queue.binding}`)
    if (row === undefined) continue
    row.connections += queue.attempts
    row.underWay += queue.active + queue.held
    row.ready += queue.waiting
    row.delayed += queue.delayed
    row.ending += queue.failed
    row.resident += queue.resident
  }
  return { rows: [...rows.values()] }
}

export function byFullness(a: DomainRow, b: DomainRow): number {
  return sizeOf(b) - sizeOf(a) || (a.domain < b.domain ? -1 : 1)
}

function sizeOf({ underWay, ready, delayed, ending }: DomainRow): number {
  return underWay + ready + delayed + ending
}

function rowOf({ records }: DomainsHost, queue: DomainQueue): DomainRow {
  const { bindingGroup, binding, domain, active, waiting, delayed, failed, held, attempts } = queue
  return {
    bindingGroup,
    binding,
    domain,
    underWay: active + held,
    ready: waiting,
    delayed,
    ending: failed,
    connections: attempts,
    delivered: records.of(bindingGroup, binding, domain)?.delivered ?? 0,
  }
}

/** A domain that has no message now. */
function idleDetails({ router }: DomainsHost, { history, ...known }: KnownDomain): DomainDetails {
  const { domain, bindingGroup, binding } = known
  const counts = { underWay: 0, ready: 0, delayed: 0, ending: 0, connections: 0 }
  const { options } = router().scope(domain, { bindingGroup, binding })
  return {
    ...known,
    ...counts,
    delivered: history.delivered,
    suspended: false,
    waitsUntil: undefined,
    lookupFailures: 0,
    reachedAt: undefined,
    route: describeRoute(router().route({ local: 'postmaster', domain }, options)),
    history,
  }
}

function detailsOf(host: DomainsHost, queue: DomainQueue): DomainDetails {
  const { queues, records, router, now } = host
  const { bindingGroup, binding, domain, blockedUntil, lookupFailures, reachedAt } = queue
  const { options } = queues.scope(queue)
  const route = router().route({ local: 'postmaster', domain }, options)
  return {
    ...rowOf(host, queue),
    suspended: queues.isSuspended(queue),
    waitsUntil: blockedUntil > now() ? blockedUntil : undefined,
    lookupFailures,
    reachedAt: reachedAt === 0 ? undefined : reachedAt,
    route: describeRoute(route),
    history: records.of(bindingGroup, binding, domain),
  }
}

function describeRoute(route: Route): readonly string[] {
  switch (route.kind) {
    case 'maildir':
      return ['a maildir']
    case 'pipe':
      return [`pipe_transport ${route.pipe.name}`]
    case 'webhook':
      return [`webhook ${route.webhook.name}`]
    case 'none':
      return [route.problem]
    case 'smtp':
  }
  return route.hosts.map(({ host, port, mx }) => {
    if (host.startsWith('/')) return `unix:${host}`
    return mx === true ? `MX of ${host}, port ${port}` : `${host.includes(':') ? `[${host}]` : host}:${port}`
  })
}

/** What is undefined restricts nothing. */
function definedOf(wanted: {
  readonly domain?: string | undefined
  readonly binding?: string | undefined
  readonly bindingGroup?: string | undefined
}): Partial<Egress> & { readonly domain?: string } {
  return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
}
