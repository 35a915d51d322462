/** How a domain stands, in every process and binding (momentum: console-commands/domain). */

import { describeOrigin } from '../../config/diagnostic.ts'
import { evaluate } from '../../config/evaluate.ts'
import type { OutboundValues, Settings } from '../../config/settings.ts'
import type { DomainRecord } from '../../delivery/operator/domain-records.ts'
import type { DomainDetails } from '../../delivery/operator/orders.ts'
import type { Answer } from '../answer.ts'
import { fromBytes } from '../render.ts'
import { type AttemptData, attemptLine } from './attempts.ts'
import { addCounts } from './merge.ts'
import { gaps, isoTime } from './rows.ts'

interface Question {
  /** a byte string; undefined: all */
  readonly domain: string | undefined
  /** of each process by itself */
  readonly details: readonly DomainDetails[]
  readonly missing: readonly string[]
  readonly settings: Settings
  /** under way, the oldest first */
  readonly attempts: readonly AttemptData[]
  /** records that are kept */
  readonly mx: readonly string[]
}

export function domainAnswer({ domain, details, missing, settings, attempts, mx }: Question): Answer {
  const queues = merged(details)
  const data = queues.map((queue) => queueData(queue, settings))
  const none = domain === undefined ? 'The queue is empty.' : `${fromBytes(domain)} has had no mail lately.`
  return {
    kind: 'document',
    data: { domain: domain === undefined ? null : fromBytes(domain), queues: data, mx, attempts, missing },
    lines: [
      ...(data.length === 0 ? [none] : data.flatMap(linesOf)),
      ...(mx.length === 0 ? [] : ['MX records that are kept:', ...mx.map((record) => `  ${record}`)]),
      ...attempts.map(attemptLine),
      ...gaps(false, missing),
    ],
  }
}

/** One for each binding and domain. */
function merged(details: readonly DomainDetails[]): readonly DomainDetails[] {
  const found = new Map<string, DomainDetails>()
  for (const one of details) {
    const key = `${one.bindingGroup}/${one.binding}/${one.domain}`
    const before = found.get(key)
    found.set(key, before === undefined ? one : join(before, one))
  }
  return [...found.values()].toSorted((a, b) => (a.domain < b.domain ? -1 : a.domain > b.domain ? 1 : 0))
}

function join(a: DomainDetails, b: DomainDetails): DomainDetails {
  return {
    ...a,
    ...addCounts(a, b),
    // it waits as a whole only where it waits everywhere
    waitsUntil:
      a.waitsUntil === undefined || b.waitsUntil === undefined
        ? undefined
        : Math.min(a.waitsUntil, b.waitsUntil),
    lookupFailures: Math.max(a.lookupFailures, b.lookupFailures),
    reachedAt: latest(a.reachedAt, b.reachedAt),
    history: a.history && b.history ? joinHistory(a.history, b.history) : (a.history ?? b.history),
  }
}

function joinHistory(a: DomainRecord, b: DomainRecord): DomainRecord {
  const newer = (a.lastFailure?.at ?? 0) >= (b.lastFailure?.at ?? 0) ? a : b
  return {
    delivered: a.delivered + b.delivered,
    deferred: a.deferred + b.deferred,
    failed: a.failed + b.failed,
    failuresInARow: Math.min(a.failuresInARow, b.failuresInARow),
    since: Math.min(a.since, b.since),
    lastDelivery: latest(a.lastDelivery, b.lastDelivery),
    lastFailure: newer.lastFailure,
  }
}

function latest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? (a ?? b) : Math.max(a, b)
}

function queueData(queue: DomainDetails, settings: Settings) {
  const { bindingGroup, binding, domain, history } = queue
  return {
    bindingGroup,
    binding,
    domain: fromBytes(domain),
    state: stateOf(queue),
    waitsUntil: isoTime(queue.waitsUntil),
    active: queue.underWay + queue.ready,
    underWay: queue.underWay,
    ready: queue.ready,
    delayed: queue.delayed,
    ending: queue.ending,
    connections: queue.connections,
    route: queue.route.map(fromBytes),
    lookupFailures: queue.lookupFailures,
    lastReached: isoTime(queue.reachedAt),
    since: isoTime(history?.since),
    delivered: history?.delivered ?? 0,
    deferred: history?.deferred ?? 0,
    failed: history?.failed ?? 0,
    failuresInARow: history?.failuresInARow ?? 0,
    lastDelivery: isoTime(history?.lastDelivery),
    lastError: history?.lastFailure
      ? {
          at: isoTime(history.lastFailure.at),
          message: history.lastFailure.messageId,
          remote: history.lastFailure.remote === '' ? null : history.lastFailure.remote,
          text: fromBytes(history.lastFailure.text),
        }
      : null,
    limits: limitsOf(queue, settings),
    options: ownOptions(queue, settings),
  }
}

type QueueData = ReturnType<typeof queueData>

/** `suspended`: the configuration says so. `waiting`: nothing is tried before `waitsUntil`. */
function stateOf({ suspended, waitsUntil, underWay, ready, delayed, ending }: DomainDetails) {
  if (suspended) return 'suspended'
  if (waitsUntil !== undefined) return 'waiting'
  if (underWay > 0) return 'delivering'
  if (ready > 0) return 'ready'
  if (delayed > 0) return 'delayed'
  return ending > 0 ? 'ending' : 'idle'
}

function limitsOf({ domain, bindingGroup, binding }: DomainDetails, settings: Settings) {
  const { options } = settings.resolveOutbound(domain, { bindingGroup, binding })
  const rate = (of: 'outbound_throttle_messages' | 'outbound_throttle_connections'): string | null => {
    const throttle = options[of]
    return throttle === undefined ? null : `${throttle.count}/${throttle.seconds}`
  }
  return {
    maxOutboundConnections: options.max_outbound_connections,
    outboundThrottleMessages: rate('outbound_throttle_messages'),
    outboundThrottleConnections: rate('outbound_throttle_connections'),
    retryInterval: options.retry_interval,
    messageExpiration: options.message_expiration,
  }
}

/** Options that a Domain stanza, or one of the binding, sets for it. */
function ownOptions({ domain, bindingGroup, binding }: DomainDetails, settings: Settings) {
  // a reload may have taken it away
  if (settings.bindingsOf(bindingGroup)?.includes(binding) !== true) return []
  const scope = settings.resolveOutbound(domain, { bindingGroup, binding })
  const place = { domain, binding: `${bindingGroup}/${binding}` }
  const names = Object.keys(scope.options) as (keyof OutboundValues)[]
  return names.flatMap((option) => {
    // written in a stanza of that name, inside another one or not
    if (!/(?:^|\s)(?:binding_group|binding|domain) "/i.test(scope.definition(option))) return []
    const { name, text = '', origin } = evaluate(settings, option, place)
    return [{ option: name, value: text, from: describeOrigin(origin) }]
  })
}

function linesOf(queue: QueueData): readonly string[] {
  const { lastError, limits } = queue
  const waits = queue.waitsUntil === null ? '' : ` until ${queue.waitsUntil}`
  const facts: readonly (readonly [string, string | number])[] = [
    ['State', `${queue.state}${waits}`],
    ['Route', queue.route.join(', ')],
    ['Active', `${queue.active} (${queue.underWay} under way)`],
    ['Delayed', queue.delayed],
    ...(queue.ending > 0 ? [['Ending', queue.ending] as const] : []),
    ['Connections', `${queue.connections} of ${limits.maxOutboundConnections || 'any number'}`],
    ...(limits.outboundThrottleMessages === null
      ? []
      : [['Messages', `${limits.outboundThrottleMessages} seconds`] as const]),
    ...(limits.outboundThrottleConnections === null
      ? []
      : [['New connections', `${limits.outboundThrottleConnections} seconds`] as const]),
    ['Deliveries', queue.delivered],
    ['Failures', `${queue.failed} for good, ${queue.deferred} for a while, ${queue.failuresInARow} in a row`],
    ...(queue.lookupFailures > 0 ? [['Look-ups failed', queue.lookupFailures] as const] : []),
    ['Last reached', queue.lastReached ?? '-'],
    ['Last error', lastError === null ? '-' : `${lastError.at} ${lastError.remote ?? ''} ${lastError.text}`],
  ]
  return [
    `Domain ${queue.domain} in ${queue.bindingGroup}/${queue.binding}`,
    ...queue.options.map(({ option, value, from }) => `  ${option} = ${value}  (${from})`),
    ...facts.map(([label, value]) => `${label.padStart(18)}: ${value}`),
  ]
}
