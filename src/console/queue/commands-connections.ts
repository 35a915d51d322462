/** Connections: those to next hops, counts by address, and bindings (momentum: show-outbound, count, binding-summary). */

import type { BindingRow } from '../../delivery/operator/orders.ts'
import { MAX_ROWS } from '../../delivery/operator/orders.ts'
import { type Answer, ConsoleError } from '../answer.ts'
import { type ConsoleCommand, takeCount } from '../command.ts'
import type { ConsoleServices } from '../services.ts'
import { duration } from '../times.ts'
import { type AddressCount, countByAddress, parseSpan, type Span } from './address-counts.ts'
import { nothingElse, takeBinding } from './arguments.ts'
import { attemptLine, attemptsOf } from './attempts.ts'
import { mergeBindings } from './merge.ts'
import { gaps } from './rows.ts'

/** attempts that `show outbound` has unless told otherwise, as `show inbound` */
const DEFAULT_SHOWN = 1000
/** lines of `count` */
const MAX_LINES = 2000

const COUNT = 'SMTP|outbound|outbound/BINDING ADDRESS|CIDR|BITS|BITS-BITS'
const SUMMARY = '[BINDING|GROUP/BINDING|group:GROUP]'

export const connectionCommands: readonly ConsoleCommand[] = [
  {
    name: 'show outbound',
    arguments: '[N]',
    help: 'deliveries under way and how far they are, the oldest first',
    run: showOutbound,
  },
  {
    name: 'count',
    arguments: COUNT,
    help: 'connections by the address of the other side: those in a network, or all by networks of so many bits',
    run: count,
  },
  {
    name: 'binding summary',
    arguments: SUMMARY,
    help: 'what each binding has and has done since the start',
    run: bindingSummary,
  },
]

async function showOutbound([n, ...rest]: readonly string[], services: ConsoleServices): Promise<Answer> {
  nothingElse(rest, 'show outbound [N]')
  const wanted = Math.min(n === undefined ? DEFAULT_SHOWN : takeCount(n), MAX_ROWS)
  const { reports, missing } = await services.queue.ask('outbound', { rows: wanted })
  const { shown, attempts } = attemptsOf(reports, wanted, services.clock())
  const left = attempts - shown.length
  return {
    kind: 'document',
    data: { rows: shown, attempts, leftOut: left, missing },
    lines: [
      ...(attempts === 0 ? ['Nothing is being delivered.'] : []),
      ...shown.map(attemptLine),
      ...(left > 0 ? [`${left} more are not shown.`] : []),
      ...gaps(false, missing),
    ],
  }
}

async function count([type, place, ...rest]: readonly string[], services: ConsoleServices): Promise<Answer> {
  nothingElse(rest, `count ${COUNT}`)
  if (type === undefined || place === undefined) throw new ConsoleError(`count ${COUNT}`)
  const span = parseSpan(place)
  if (span === undefined)
    throw new ConsoleError(`${JSON.stringify(place)} is no address, network or number of bits`)
  const { addresses, missing } = await addressesOf(type, services)
  const counts = countByAddress(addresses, span)
  const shown = counts.slice(0, MAX_LINES)
  const sessions =
    span.kind === 'network'
      ? (counts[0]?.sessions ?? 0)
      : addresses.filter((address) => address !== '').length
  const left = counts.length - shown.length
  return {
    kind: 'document',
    data: { type, sessions, rows: shown, leftOut: left, missing },
    lines: [
      ...countLines(type, span, shown),
      ...(left > 0 ? [`${left} more are not shown.`] : []),
      ...gaps(false, missing),
    ],
  }
}

/** Momentum's: a deeper network stands further to the right. */
function countLines(type: string, span: Span, counts: readonly AddressCount[]): readonly string[] {
  if (span.kind === 'network') return [`${counts[0]?.sessions ?? 0} sessions`]
  const { from, to } = span
  return [
    `Displaying '${type}' from /${from} to /${to}`,
    ...counts.map(
      ({ sessions, network, bits }) =>
        `${String(sessions).padStart(7)}  ${bits === from && from !== to ? '' : ' '.repeat(16)}${network}`,
    ),
  ]
}

async function addressesOf(
  type: string,
  { queue, sessions }: ConsoleServices,
): Promise<{ readonly addresses: readonly string[]; readonly missing: readonly string[] }> {
  const kind = type.toLowerCase()
  if (kind === 'smtp' || kind === 'esmtp' || kind === 'inbound')
    return { addresses: sessions().map(({ remote }) => remote.address), missing: [] }
  if (kind !== 'outbound' && !kind.startsWith('outbound/'))
    throw new ConsoleError(`there are SMTP, outbound and outbound/BINDING, not ${JSON.stringify(type)}`)
  const binding = type.includes('/') ? type.slice(type.indexOf('/') + 1) : undefined
  const { reports, missing } = await queue.ask('outbound', { rows: MAX_ROWS, binding })
  return { addresses: reports.flatMap(({ rows }) => rows.map(({ address }) => address)), missing }
}

async function bindingSummary(
  [word, ...rest]: readonly string[],
  { queue, clock, started, settings }: ConsoleServices,
): Promise<Answer> {
  nothingElse(rest, `binding summary ${SUMMARY}`)
  const wanted =
    word === undefined
      ? {}
      : word.startsWith('group:')
        ? { bindingGroup: word.slice('group:'.length) }
        : takeBinding(word, `binding summary ${SUMMARY}`)
  const { reports, missing } = await queue.ask('bindings', wanted)
  const rows = mergeBindings(reports)
  if (
    rows.length === 0 &&
    word !== undefined &&
    settings().findBinding(word.split('/').at(-1) ?? '') === undefined
  )
    throw new ConsoleError(`there is no binding ${JSON.stringify(word)}`)
  const uptime = clock() - started
  const data = rows.map((row) => summaryOf(row, uptime))
  return {
    kind: 'document',
    data: { bindings: data, uptime: Math.floor(uptime / 1000), missing },
    lines: [
      ...(data.length === 0 ? ['No mail has come for it since the start.'] : []),
      ...data.flatMap((each) => summaryLines(each, uptime)),
      ...gaps(false, missing),
    ],
  }
}

function summaryOf(row: BindingRow, uptime: number) {
  const { bindingGroup, binding, connections, underWay, ready, delayed, ending, resident } = row
  const rate = (number: number): number => Math.round((number * 100_000) / Math.max(uptime, 1000)) / 100
  return {
    bindingGroup,
    binding,
    openConnections: connections,
    activeQueueSize: underWay + ready,
    delayedQueueSize: delayed,
    totalQueueSize: underWay + ready + delayed + ending,
    successfullyDeliveredMessages: row.delivered,
    failedMessages: row.failed,
    receivedMessages: row.received,
    residentMessages: resident,
    deliveryRate: rate(row.delivered),
    receptionRate: rate(row.received),
  }
}

function summaryLines(row: ReturnType<typeof summaryOf>, uptime: number): readonly string[] {
  const group = row.bindingGroup === 'default' ? '' : ` in Binding Group ${row.bindingGroup}`
  const facts: readonly (readonly [string, string | number])[] = [
    ['Open Connections', row.openConnections],
    ['Active Queue Size', row.activeQueueSize],
    ['Total Queue Size', row.totalQueueSize],
    ['Successfully Delivered Messages', row.successfullyDeliveredMessages],
    ['Failed Messages', row.failedMessages],
    ['Received Messages', row.receivedMessages],
    ['Resident Messages', row.residentMessages],
    ['Delivery Rate', `${row.deliveryRate.toFixed(2)} messages/second`],
    ['Reception Rate', `${row.receptionRate.toFixed(2)} messages/second`],
    ['Uptime', duration(uptime)],
  ]
  return [
    `Summary Statistics For Binding ${row.binding}${group}`,
    ...facts.map(([label, value]) => `        ${label}: ${value}`),
  ]
}
