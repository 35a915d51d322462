/** Who is on the other end, and what that rests on (momentum: console-commands/tls; the rest are extensions). */

import { formatAddress, parseAddress } from '../config/address.ts'
import type { DecisionOutcome, DecisionRecord } from '../events/decision.ts'
import { type Answer, ConsoleError } from './answer.ts'
import { type ConsoleCommand, takeCount, takeOptions } from './command.ts'
import { expiryTable, pinTable, serverOnlyTable, shadowTable } from './commands-tls-tables.ts'
import { verdictAnswer } from './commands-tls-verdicts.ts'
import { decisionLines } from './decision-lines.ts'
import { withDiagnostics } from './diagnostics.ts'
import { clientAddress } from './places.ts'
import { fromBytes } from './render.ts'
import type { CachedContext, ConsoleServices } from './services.ts'
import { dateTime } from './times.ts'

const DEFAULT_SESSIONS = 50
const outcomes: readonly DecisionOutcome[] = ['failed', 'anonymous', 'unverified', 'verified', 'plaintext']

export const tlsCommands: readonly ConsoleCommand[] = [
  {
    name: 'tls sessions',
    arguments: '[-o OUTCOME] [-l N]',
    help: `connections with TLS and who they are, those under way first; the last ${DEFAULT_SESSIONS}, or N; OUTCOME is ${outcomes.join(', ')}`,
    run: sessions,
  },
  {
    name: 'tls why',
    arguments: 'CONNECTION-OR-ADDRESS',
    help: 'what a connection with TLS, or the last one of a client’s address, was judged by, what came of it, and what policy answered',
    run: why,
  },
  {
    name: 'tls shadow',
    arguments: '',
    help: 'whom TLS_Verify_Mode_Shadow and Require_TLS_Shadow would refuse, by client network and certificate',
    run: (_args, { decisions }) => shadowTable(decisions.shadow()),
  },
  {
    name: 'tls verdicts',
    arguments: '[MINUTES]',
    help: 'handshakes of the last hour, or of MINUTES, a day at most, by outcome, Listen and issuer; in JSON by minute',
    run: ([minutes, ...rest], { verdicts }) => {
      if (rest.length > 0) throw new ConsoleError('tls verdicts takes a number of minutes and nothing else')
      return verdictAnswer(verdicts, minutes === undefined ? 60 : takeCount(minutes))
    },
  },
  {
    name: 'tls expiring',
    arguments: '[DAYS]',
    help: 'certificates, CAs and revocation lists by the days that are left; all, or those with at most DAYS',
    run: ([days], { expiries }) => expiryTable(expiries(), days === undefined ? undefined : takeCount(days)),
  },
  {
    name: 'tls pins',
    arguments: '',
    help: 'the pins of partners and which of them are in use',
    run: (_args, { pins }) => pinTable(pins()),
  },
  {
    name: 'tls server-only',
    arguments: '',
    help: 'certificates that verify as a server’s and not as a client’s (TLS_Client_EKU = any or report)',
    run: (_args, { serverOnly }) => serverOnlyTable(serverOnly()),
  },
  {
    name: 'tls show cache',
    arguments: '',
    help: 'the contexts of OpenSSL that are kept: age, sessions, certificate, CAs, ciphers',
    run: (_args, { tls, clock }) => showCache(tls.contexts(), clock()),
  },
  {
    name: 'tls flush cache',
    arguments: '',
    help: 'reads every certificate, key, CA and revocation list anew, by the rules of a reload, for handshakes from now on',
    run: (_args, services) => flush(services),
  },
]

function sessions(args: readonly string[], { decisions }: ConsoleServices): Answer {
  const options = takeOptions(args, ['-o', '-l'])
  const wanted = options.get('-o')?.at(-1)
  const outcome = outcomes.find((each) => each === wanted)
  if (wanted !== undefined && outcome === undefined)
    throw new ConsoleError(`${JSON.stringify(wanted)} is none of ${outcomes.join(', ')}`)
  const limit = takeCount(options.get('-l')?.at(-1) ?? String(DEFAULT_SESSIONS))
  const live = decisions.live().filter((record) => outcome === undefined || record.outcome === outcome)
  const found = [...live.toReversed(), ...decisions.ended(outcome)]
  return {
    kind: 'table',
    columns: [
      { key: 'connection', head: 'Connection' },
      { key: 'at', head: 'Handshake' },
      { key: 'client', head: 'Client' },
      { key: 'listen', head: 'Listen' },
      { key: 'mode', head: 'Mode' },
      { key: 'outcome', head: 'Outcome' },
      { key: 'cause', head: 'Cause' },
      { key: 'subject', head: 'Certificate' },
      { key: 'partner', head: 'Partner' },
      { key: 'protocol', head: 'Protocol' },
      { key: 'resumed', head: 'Resumed' },
      { key: 'end', head: 'End' },
    ],
    rows: found.slice(0, limit).map(sessionRow),
    empty: 'No connection with TLS is remembered.',
    leftOut: Math.max(0, found.length - limit),
  }
}

function sessionRow(record: DecisionRecord): Record<string, string | number | boolean | undefined> {
  return {
    connection: record.connectionId,
    at: dateTime(record.at),
    client: clientAddress(record.remote),
    listen: record.scope.listen,
    mode: record.mode,
    outcome: record.outcome,
    cause: fromBytes(record.cause),
    subject: record.identity === undefined ? undefined : fromBytes(record.identity.subject),
    partner: record.partner === undefined ? undefined : fromBytes(record.partner),
    protocol: record.protocol,
    resumed: record.resumed,
    end: record.end === undefined ? 'under way' : record.end.how,
  }
}

function why([id, ...rest]: readonly string[], { decisions }: ConsoleServices): Answer {
  if (id === undefined || rest.length > 0)
    throw new ConsoleError(
      'say which connection, or whose last one: tls why CONNECTION-OR-ADDRESS; tls sessions and the rejectlog name them',
    )
  const address = parseAddress(id)
  const record = address === undefined ? decisions.find(id) : lastOf(formatAddress(address), decisions)
  if (record === undefined)
    throw new ConsoleError(
      `no TLS connection ${address === undefined ? '' : 'of '}${JSON.stringify(id)} is remembered: it had no TLS, or it is no longer among the last ones`,
    )
  return { kind: 'document', data: record, lines: decisionLines(record) }
}

/** The last connection of a client, under way or ended. */
function lastOf(address: string, decisions: ConsoleServices['decisions']): DecisionRecord | undefined {
  const all = [...decisions.live(), ...decisions.ended()].filter(({ remote }) => remote.address === address)
  return all.reduce<DecisionRecord | undefined>(
    (last, each) => (last === undefined || each.at > last.at ? each : last),
    undefined,
  )
}

/** Momentum's lines, with the certificate in the place of its path. */
function showCache(contexts: readonly CachedContext[], now: number): Answer {
  const data = contexts.map((each) => ({
    age: Math.max(0, Math.floor((now - each.made) / 1000)),
    sessions: each.sessions,
    certificate: fromBytes(each.certificate),
    notAfter: dateTime(each.notAfter),
    clientCa: each.clientCa ?? null,
    crl: each.crl ?? null,
    ciphers: each.ciphers ?? 'default',
  }))
  return {
    kind: 'document',
    data,
    lines:
      data.length === 0
        ? ['No context has been made yet.']
        : data.flatMap((each, index) => [
            `${index + 1}) server context`,
            `    age: ${each.age} seconds old`,
            `    in use by: ${each.sessions} sessions`,
            `    certificate: ${each.certificate}, until ${each.notAfter}`,
            `    ca list: ${each.clientCa ?? 'none'}`,
            ...(each.crl === null ? [] : [`    revocation lists: ${each.crl}`]),
            `    ciphers: ${each.ciphers}`,
          ]),
  }
}

async function flush({ tls }: ConsoleServices): Promise<Answer> {
  await withDiagnostics(() => tls.flush(), 'Nothing was flushed; what was loaded before stays in force.')
  return { kind: 'value', key: 'done', value: 'Cache flushed; files were read anew.' }
}
