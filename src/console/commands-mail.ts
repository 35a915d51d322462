/** Mail under way: sessions and queues (momentum: console-commands/mailq, show-inbound). */

import type { LiveSession } from '../events/live.ts'
import type { Answer } from './answer.ts'
import { type ConsoleCommand, takeCount, takeOptions } from './command.ts'
import { clientAddress } from './places.ts'
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

function mailq(args: readonly string[], { queue }: ConsoleServices): Answer {
  const options = takeOptions(args, ['-d', '-b', '-l'])
  const wanted = options.get('-d')?.map((name) => name.toLowerCase())
  const bindings = options.get('-b')
  const limit = takeCount(options.get('-l')?.at(-1) ?? String(DEFAULT_DOMAINS))
  const all = queue.byDomain()
  const found = all
    .filter(({ domain }) => wanted === undefined || wanted.includes(fromBytes(domain)))
    .filter(({ binding }) => bindings === undefined || bindings.includes(binding))
    .toSorted((a, b) => b.active + b.delayed - (a.active + a.delayed) || (a.domain < b.domain ? -1 : 1))
  return {
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
    empty: all.length === 0 ? 'The queue is empty.' : 'Nothing waits in these queues.',
    leftOut: Math.max(0, found.length - limit),
  }
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
