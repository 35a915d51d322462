/** Mail under way: sessions and queues (momentum: console-commands/mailq, show-inbound). */

import type { LiveSession } from '../events/live.ts'
import type { Answer, TableAnswer } from './answer.ts'
import { type ConsoleCommand, takeCount, takeOptions } from './command.ts'
import { together } from './inside/ask.ts'
import { clientAddress } from './places.ts'
import { toBytes } from './queue/arguments.ts'
import { mergeDomains } from './queue/merge.ts'
import { fromBytes } from './render.ts'
import type { ConsoleServices } from './services.ts'

/** queues that mailq shows unless told otherwise (Momentum) */
const DEFAULT_DOMAINS = 20
/** sessions that are shown unless told otherwise */
const MAX_SESSIONS = 1000

export const mailCommands: readonly ConsoleCommand[] = [
  {
    name: 'mailq',
    arguments: '[-d DOMAIN]… [-b BINDING]… [-l N]',
    help: 'messages that wait, by binding and domain: AQ ready or under way, DQ delayed; the 20 fullest queues, or N',
    run: mailq,
  },
  {
    name: 'show inbound',
    arguments: '[-l N]',
    help: `the sessions of clients, the oldest first; the first ${MAX_SESSIONS}, or N`,
    run: (args, { sessions, clock }) => {
      const limit = takeOptions(args, ['-l']).get('-l')?.at(-1)
      return sessionTable(sessions(), clock(), limit === undefined ? MAX_SESSIONS : takeCount(limit))
    },
  },
]

async function mailq(args: readonly string[], { queue }: ConsoleServices): Promise<Answer> {
  const options = takeOptions(args, ['-d', '-b', '-l'])
  const wanted = options.get('-d')?.map((name) => toBytes(name.toLowerCase()))
  const bindings = options.get('-b')
  const limit = takeCount(options.get('-l')?.at(-1) ?? String(DEFAULT_DOMAINS))
  const orders = wanted === undefined ? [{}] : [...new Set(wanted)].map((domain) => ({ domain }))
  const asked = await Promise.all(orders.map(async (order) => await queue.ask('domains', order)))
  const merged = asked.map(({ reports }) => mergeDomains(reports))
  const found = merged
    .flatMap(({ rows }) => rows)
    .filter(({ binding }) => bindings === undefined || bindings.includes(binding))
    .map((row) => ({ ...row, active: row.underWay + row.ready + row.ending }))
    .toSorted((a, b) => b.active + b.delayed - (a.active + a.delayed) || (a.domain < b.domain ? -1 : 1))
  const beyond = merged.reduce((sum, { leftOut }) => sum + leftOut, 0)
  const isAll = wanted === undefined && bindings === undefined
  const answer: TableAnswer = {
    kind: 'table',
    columns: [
      { key: 'binding', head: 'Group/Binding' },
      { key: 'domain', head: 'Domain' },
      { key: 'active', head: 'AQ' },
      { key: 'delayed', head: 'DQ' },
    ],
    rows: found.slice(0, limit).map(({ bindingGroup, binding, domain, active, delayed }) => ({
      binding: `${bindingGroup}/${binding}`,
      domain: fromBytes(domain),
      active,
      delayed,
    })),
    empty: isAll ? 'The queue is empty.' : 'Nothing waits in these queues.',
    leftOut: Math.max(0, found.length - limit) + beyond,
  }
  return together(answer, [...new Set(asked.flatMap(({ missing }) => missing))])
}

function sessionTable(sessions: readonly LiveSession[], now: number, limit: number): Answer {
  return {
    kind: 'table',
    columns: [
      { key: 'connection', head: 'Connection' },
      { key: 'client', head: 'Client' },
      { key: 'listen', head: 'Listen' },
      { key: 'state', head: 'State' },
      { key: 'seconds', head: 'Seconds' },
      { key: 'hello', head: 'EHLO' },
      { key: 'tls', head: 'TLS' },
      { key: 'subject', head: 'Certificate' },
      { key: 'user', head: 'User' },
      { key: 'receptions', head: 'Messages' },
    ],
    rows: sessions.slice(0, limit).map((session) => ({
      connection: session.connectionId,
      client: clientAddress(session.remote),
      listen: session.listen,
      state: session.state,
      seconds: Math.round((now - session.since) / 100) / 10,
      hello: fromBytes(session.hello),
      tls: session.tls,
      subject: fromBytes(session.subject),
      user: fromBytes(session.user),
      receptions: session.receptions,
    })),
    empty: 'There are no inbound sessions.',
    leftOut: Math.max(0, sessions.length - limit),
  }
}
