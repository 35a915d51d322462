/** Mail that waits (momentum: console-commands/active, delayed, domain, showqueue, message-details, binding-summary). */

import type { DomainDetails, DomainRow, MessageReport, Selection } from '../../delivery/operator/orders.ts'
import { MAX_ROWS } from '../../delivery/operator/orders.ts'
import { type Answer, ConsoleError } from '../answer.ts'
import { type ConsoleCommand, takeCount } from '../command.ts'
import { fromBytes } from '../render.ts'
import type { ConsoleServices } from '../services.ts'
import { nothingElse, takeBinding, takeDomain } from './arguments.ts'
import { attemptsOf } from './attempts.ts'
import { domainAnswer } from './domain-answer.ts'
import { keptMx } from './kept-mx.ts'
import { mergeDomains, mergeLists } from './merge.ts'
import { gaps, isoTime, messageData, queueLines } from './rows.ts'

/** Momentum's */
const DEFAULT_LIMIT = 100
/** domains that `active` and the like show */
const MAX_SHOWN = 1000

/** attempts under way that `domain` shows */
const MAX_ATTEMPTS = 50

const SHOWQUEUE = '[binding BINDING|all] DOMAIN|all [LIMIT[,OFFSET]]'

export const queueCommands: readonly ConsoleCommand[] = [
  {
    name: 'active',
    arguments: 'N',
    help: 'domains with more than N messages ready or under way, by binding',
    run: async ([n, ...rest], services) => {
      nothingElse(rest, 'active N')
      return await thresholds(services, 'active', threshold(n))
    },
  },
  {
    name: 'delayed',
    arguments: 'N',
    help: 'domains with more than N messages that wait for their next attempt, by binding',
    run: async ([n, ...rest], services) => {
      nothingElse(rest, 'delayed N')
      return await thresholds(services, 'delayed', threshold(n))
    },
  },
  {
    name: 'binding active',
    arguments: 'BINDING N',
    help: 'as active, in one binding',
    run: async ([name, n, ...rest], services) => {
      nothingElse(rest, 'binding active BINDING N')
      const binding = takeBinding(name, 'binding active BINDING N')
      return await thresholds(services, 'active', threshold(n), binding)
    },
  },
  {
    name: 'binding delayed',
    arguments: 'BINDING N',
    help: 'as delayed, in one binding',
    run: async ([name, n, ...rest], services) => {
      nothingElse(rest, 'binding delayed BINDING N')
      const binding = takeBinding(name, 'binding delayed BINDING N')
      return await thresholds(services, 'delayed', threshold(n), binding)
    },
  },
  {
    name: 'domain',
    arguments: 'DOMAIN|all',
    help: 'how a domain stands in each binding: queues, route, limits of its own, what holds it back, what was delivered and failed, the last error',
    run: showDomain,
  },
  {
    name: 'showqueue',
    arguments: SHOWQUEUE,
    help: 'messages that wait, those that leave first first: 100, or LIMIT after OFFSET',
    run: showQueue,
  },
  {
    name: 'message details',
    arguments: '[full|headers|body] MESSAGE',
    help: 'one message: where it stands, its envelope, the last answer; with its header, its body, or both',
    run: showMessage,
  },
]

function threshold(word: string | undefined): number {
  if (word === undefined) throw new ConsoleError('say how many messages a domain must have more than')
  return takeCount(word)
}

// oxlint-disable-next-line max-params -- the services, and what is asked
async function thresholds(
  { queue }: ConsoleServices,
  having: 'active' | 'delayed',
  more: number,
  binding: Pick<Selection, 'binding' | 'bindingGroup'> = {},
): Promise<Answer> {
  const { reports, missing } = await queue.ask('domains', { ...binding, having })
  const { rows: all, leftOut, totals } = mergeDomains(reports)
  // a domain's messages may be with several processes: only the sum tells
  const rows = all.filter((row) => (having === 'active' ? row.underWay + row.ready : row.delayed) > more)
  const shown = rows.slice(0, MAX_SHOWN)
  const others = leftOut + rows.length - shown.length
  const data = { rows: shown.map(domainData), leftOut: others, totals: withActive(totals), missing }
  const lines = [
    ...shown.map((row) => countsLine(`Domain: ${fromBytes(row.domain).padStart(30)}`, row)),
    countsLine('Total:'.padStart(38), totals),
    ...(others > 0 ? [`${others} more are not shown.`] : []),
    ...gaps(false, missing),
  ]
  return { kind: 'document', data, lines }
}

type Counts = Omit<DomainRow, 'domain' | 'binding' | 'bindingGroup'>

/** Momentum's line: connections, active, delayed and sent. */
function countsLine(head: string, { connections, underWay, ready, delayed, delivered }: Counts): string {
  const cells = [
    `C: ${String(connections).padStart(3)}`,
    `A: ${String(underWay + ready).padStart(6)}`,
    `D: ${String(delayed).padStart(6)}`,
    `S: ${String(delivered).padStart(6)}`,
  ]
  return `${head}  ${cells.join('  ')}`
}

function withActive(counts: Counts) {
  const { underWay, ready, delayed, ending, connections, delivered } = counts
  return { active: underWay + ready, underWay, ready, delayed, ending, connections, delivered }
}

function domainData(row: DomainRow) {
  const { bindingGroup, binding, domain } = row
  return { bindingGroup, binding, domain: fromBytes(domain), ...withActive(row) }
}

async function showDomain([word, ...rest]: readonly string[], services: ConsoleServices): Promise<Answer> {
  const usage = 'domain DOMAIN|all'
  const domain = takeDomain(word, usage)
  nothingElse(rest, usage)
  const { queue, settings, clock } = services
  const { reports, missing } = await queue.ask('domain', { domain })
  const details: readonly DomainDetails[] = reports.flatMap(({ bindings }) => bindings)
  const outbound = await queue.ask('outbound', { rows: MAX_ATTEMPTS, domain })
  return domainAnswer({
    domain,
    details,
    missing,
    settings: settings(),
    attempts: attemptsOf(outbound.reports, MAX_ATTEMPTS, clock()).shown,
    mx: domain === undefined ? [] : await keptMx(fromBytes(domain), services),
  })
}

async function showQueue(args: readonly string[], { queue }: ConsoleServices): Promise<Answer> {
  const usage = `showqueue ${SHOWQUEUE}`
  const words = [...args]
  let selection: Selection = {}
  if (words[0]?.toLowerCase() === 'binding' && words.length > 2) {
    words.shift()
    selection = takeBinding(words.shift(), usage)
  }
  const domain = takeDomain(words.shift(), usage)
  if (domain !== undefined) selection = { ...selection, domain }
  const [, limitText, offsetText = '0'] =
    /^(\d+)(?:,(\d+))?$/.exec(words.shift() ?? `${DEFAULT_LIMIT},0`) ?? []
  nothingElse(words, usage)
  if (limitText === undefined) throw new ConsoleError(`LIMIT,OFFSET are numbers: ${usage}`)
  const [limit, offset] = [takeCount(limitText), takeCount(offsetText)]
  if (limit + offset > MAX_ROWS)
    throw new ConsoleError(
      `${MAX_ROWS} messages can be listed, those that leave first: choose a domain or binding`,
    )
  const { reports, missing } = await queue.ask('list', { selection, rows: limit + offset })
  const { rows, messages, incomplete } = mergeLists(reports, limit + offset)
  const shown = rows.slice(offset)
  const lines =
    messages === 0 ? ['No message fits.'] : shown.length === 0 ? [`There are ${messages} messages.`] : []
  const rest = messages - offset - shown.length
  return {
    kind: 'document',
    data: { rows: shown.map(messageData), messages, limit, offset, incomplete, missing },
    lines: [
      ...lines,
      ...shown.flatMap(queueLines),
      ...(rest > 0 && shown.length > 0 ? [`${rest} more are not shown.`] : []),
      ...gaps(incomplete, missing),
    ],
  }
}

async function showMessage(args: readonly string[], { queue }: ConsoleServices): Promise<Answer> {
  const usage = 'message details [full|headers|body] MESSAGE'
  const words = [...args]
  const id = words.pop()
  const [part, ...rest] = words
  nothingElse(rest, usage)
  if (id === undefined) throw new ConsoleError(`say which message: ${usage}`)
  if (part !== undefined && !['full', 'headers', 'body'].includes(part)) throw new ConsoleError(usage)
  const content = part === undefined ? 'none' : part === 'headers' ? 'header' : 'all'
  const { reports, missing } = await queue.ask('message', { id, content })
  const found = reports.find((report) => report !== undefined)
  if (found === undefined)
    throw new ConsoleError([`there is no message ${JSON.stringify(id)} in the queue`, ...missing].join('\n'))
  const contentLines = [found.header ?? '', found.body ?? ''].join('').split('\r\n').map(fromBytes)
  const cut = found.cut > 0 ? [`… ${found.cut} octets are not shown.`] : []
  return {
    kind: 'document',
    data: detailsData(found),
    lines: [
      ...(part === 'body' ? [] : detailLines(found)),
      ...(part === undefined ? [] : [...contentLines, ...cut]),
    ],
  }
}

type Found = NonNullable<MessageReport>

function detailsData(found: Found) {
  const { batchId, connectionId, client, bodyType, smtpUtf8, urgent, delayNotices, header, body, cut } = found
  return {
    ...messageData(found),
    batchId,
    connectionId,
    client: client === '' ? null : client,
    bodyType,
    smtpUtf8,
    urgent,
    delayNotices,
    header: header === undefined ? null : fromBytes(header),
    body: body === undefined ? null : fromBytes(body),
    cut,
  }
}

/** Momentum's block. */
function detailLines(found: Found): readonly string[] {
  const state = {
    underWay: 'under way',
    ready: 'ready',
    delayed: 'delayed',
    ending: 'failed or delivered; its sender is being told',
  }[found.stand]
  const facts: readonly (readonly [string, string])[] = [
    ['State', state],
    ['Queue', `${found.bindingGroup}/${found.binding} ${fromBytes(found.domain)}`],
    ['Created', isoTime(found.created) ?? ''],
    ['Next Attempt', isoTime(found.nextAttempt) ?? '-'],
    ['Retries', String(found.attempts)],
    ['Received Via', found.client === '' ? 'this server itself' : `SMTP ${found.client}`],
    ['Sender', found.sender === '' ? '<>' : fromBytes(found.sender)],
    ['Recipient', fromBytes(found.recipient)],
    ['Code', found.lastReply === '' ? '-' : fromBytes(found.lastReply)],
    ['Size', String(found.size)],
    ['Batch', found.batchId],
  ]
  return [`Message: ${found.id}`, ...facts.map(([label, value]) => `${label.padStart(22)}: ${value}`)]
}
