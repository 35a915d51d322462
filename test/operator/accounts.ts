/** The same accounts by whoever keeps them: the logs, the metrics, the console. Names of counts are the same in all. */

import { readdirSync } from 'node:fs'
import path from 'node:path'
import type { OperatorNode, Rows, Samples } from './node.ts'
import { Tally } from './tally.ts'

export type Account = Readonly<Record<string, number>>

type Decision = Readonly<Record<string, string | number | boolean | undefined>>

/** What mainlog, rejectlog, paniclog, acctlog and tls_log say, in the words of the metrics. */
export function byLogs(node: OperatorNode): Account {
  const sum = new Tally()
  const decisions = decisionsOf(node)
  const peers = new Map(decisions.map(({ connection, outcome }) => [connection, String(outcome)]))
  for (const fields of fieldsOf(node, 'mainlog')) {
    const [, , , connection = '', kind = ''] = fields
    if (kind === 'R') {
      const protocol = fields[11] ?? ''
      sum.add(`received ${protocol} ${protocol === 'internal' ? '' : (peers.get(connection) ?? 'plaintext')}`)
      sum.add('octets', Number(fields[10]))
    } else sum.add(`attempt ${{ D: 'delivered', T: 'transient', P: 'permanent' }[kind] ?? kind}`)
  }
  for (const line of node.log('rejectlog')) {
    const [, state = '', code = ''] = / P="([^"]*)" E=(\d+) /.exec(line) ?? []
    sum.add(`refused ${state} ${code}`)
  }
  for (const [, kind, , client, , good] of fieldsOf(node, 'acctlog'))
    if (kind === 'N' && client !== '') sum.add(`login ${good === '1' ? 'pass' : 'fail'}`)
  for (const line of node.log('paniclog')) sum.add(`panic ${line.split(':', 2)[1] ?? ''}`)
  for (const decision of decisions) addDecision(sum, decision)
  return sum.all
}

type JsonLine = Readonly<Record<string, string | number | boolean | undefined>>

/** The same, from their lines of JSON alone. */
export function byJson(node: OperatorNode): Account {
  const sum = new Tally()
  const outcomes = {
    delivery: 'delivered',
    'transient-failure': 'transient',
    'permanent-failure': 'permanent',
  }
  for (const line of jsonOf(node, 'mainlog')) {
    const { event, protocol, tls = '', size } = line
    if (event === 'reception') {
      sum.add(`received ${protocol} ${tls}`)
      sum.add('octets', Number(size))
    } else sum.add(`attempt ${outcomes[event as keyof typeof outcomes]}`)
  }
  for (const { state, code } of jsonOf(node, 'rejectlog')) sum.add(`refused ${state} ${code}`)
  for (const { event, status } of jsonOf(node, 'acctlog'))
    if (event === 'authentication') sum.add(`login ${status}`)
  for (const { module } of jsonOf(node, 'paniclog')) sum.add(`panic ${module}`)
  for (const decision of decisionsOf(node)) addDecision(sum, decision)
  return sum.all
}

/** Failures of deliveries, as `failuresBy` has them; of an answer in ASCII. */
export function failuresByJson(node: OperatorNode): readonly string[] {
  return jsonOf(node, 'bouncelog')
    .map(({ event, message, batch, outbound_connection: connection, text }) =>
      [message, batch, connection, event === 'transient-failure' ? 'T' : 'B', text].join('@'),
    )
    .toSorted()
}

function jsonOf(node: OperatorNode, log: string): readonly JsonLine[] {
  return node.log(`json-${log}`).map((line) => JSON.parse(line) as JsonLine)
}

function addDecision(sum: Tally, decision: Decision): void {
  const { verify_mode: mode, outcome, listen, cause, protocol, resumed, issuer } = decision
  if (decision['require_tls_shadow'] !== undefined) sum.add(`shadow would-refuse no-tls ${listen}`)
  if (outcome === 'plaintext') return
  sum.add(`timed ${outcome}`)
  if (outcome === 'verified') sum.add(`partner ${decision['partner'] ?? ''}`)
  sum.add(`handshake ${mode} ${outcome} ${listen}`)
  if (cause !== undefined) sum.add(`cause ${outcome} ${cause}`)
  if (protocol !== undefined) sum.add(`protocol ${protocol} ${resumed === true ? 'yes' : 'no'}`)
  if (issuer !== undefined) sum.add(`issuer ${issuer} ${outcome}`)
  const { shadow_verdict: verdict, shadow_reason: reason } = decision
  if (verdict !== undefined) sum.add(`shadow ${verdict} ${reason} ${listen}`)
}

/** What /metrics says. */
export function byMetrics(samples: Samples): Account {
  const sum = new Tally()
  const names: readonly (readonly [metric: string, name: string, ...labels: string[]])[] = [
    ['postern_receptions_total', 'received', 'protocol', 'tls'],
    ['postern_received_octets_total', 'octets'],
    ['postern_delivery_attempts_total', 'attempt', 'outcome'],
    ['postern_rejections_total', 'refused', 'state', 'code'],
    ['postern_authentications_total', 'login', 'status'],
    ['postern_panics_total', 'panic', 'module'],
    ['postern_tls_handshakes_total', 'handshake', 'mode', 'outcome', 'listen'],
    ['postern_tls_handshake_seconds_count', 'timed', 'outcome'],
    ['postern_tls_partner_handshakes_total', 'partner', 'partner'],
    ['postern_tls_causes_total', 'cause', 'outcome', 'cause'],
    ['postern_tls_protocols_total', 'protocol', 'protocol', 'resumed'],
    ['postern_tls_issuers_total', 'issuer', 'issuer', 'outcome'],
    ['postern_tls_shadow_total', 'shadow', 'verdict', 'reason', 'listen'],
  ]
  for (const [key, value] of samples) {
    const [, metric = '', written = ''] = /^(\w+)(?:\{(.*)\})?$/.exec(key) ?? []
    const labels = new Map(
      [...written.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', value = '']) => [
        label,
        value.replaceAll(/\\(.)/g, (_, sign: string) => (sign === 'n' ? '\n' : sign)),
      ]),
    )
    for (const [of, name, ...parts] of names)
      if (of === metric) sum.add([name, ...parts.map((part) => labels.get(part) ?? '')].join(' '), value)
  }
  return sum.all
}

/** The same sums as `summary` has them. */
export function summaryOf(account: Account): Account {
  return {
    received: sumOf(account, 'received'),
    delivered: sumOf(account, 'attempt delivered'),
    failed: sumOf(account, 'attempt permanent'),
    rejected: sumOf(account, 'refused'),
  }
}

/** Of all whose name begins so. */
export function sumOf(account: Account, name: string): number {
  return Object.entries(account).reduce(
    (sum, [each, count]) => (each === name || each.startsWith(`${name} `) ? sum + count : sum),
    0,
  )
}

/** Handshakes by outcome, Listen and issuer: tls_log. */
export function verdictsByLog(node: OperatorNode): Account {
  const sum = new Tally()
  for (const { outcome, listen, issuer } of decisionsOf(node))
    if (outcome !== 'plaintext') sum.add(`${outcome} ${listen} ${issuer ?? ''}`)
  return sum.all
}

/** The same: `tls verdicts`. */
export async function verdictsByConsole(node: OperatorNode): Promise<Account> {
  const sum = new Tally()
  for (const row of (await node.asked('tls verdicts 1440'))['series'] as Rows)
    sum.add(`${row['outcome']} ${row['listen']} ${row['issuer']}`, Number(row['total']))
  return sum.all
}

/** Messages that wait, by the domain that they are routed to: what came in and has not come to its end. */
export function waitingByLog(node: OperatorNode): Account {
  const sum = new Tally()
  for (const fields of fieldsOf(node, 'mainlog')) {
    if (fields[4] === 'R') sum.add(fields[6] ?? '')
    else if (fields[4] !== 'T') sum.add(fields[5] ?? '', -1)
  }
  return Object.fromEntries(Object.entries(sum.all).filter(([, count]) => count !== 0))
}

/** The same: `mailq` of the console. */
export async function waitingByConsole(node: OperatorNode): Promise<Account> {
  const sum = new Tally()
  for (const row of (await node.asked('mailq -l 1000'))['rows'] as Rows)
    sum.add(String(row['domain']), Number(row['active']) + Number(row['delayed']))
  return sum.all
}

/** Attempts by domain and outcome: mainlog. */
export function outcomesByLog(node: OperatorNode): Account {
  const sum = new Tally()
  for (const [, , , , kind = '', domain = ''] of fieldsOf(node, 'mainlog'))
    if (kind !== 'R') sum.add(`${domain} ${kind}`)
  return sum.all
}

/** The same: `domain` of the console, of each of these. */
export async function outcomesByConsole(node: OperatorNode, domains: Iterable<string>): Promise<Account> {
  const sum = new Tally()
  for (const domain of domains) {
    for (const row of (await node.asked(`domain ${domain}`))['queues'] as Rows) {
      sum.add(`${domain} D`, Number(row['delivered']))
      sum.add(`${domain} T`, Number(row['deferred']))
      sum.add(`${domain} P`, Number(row['failed']))
    }
  }
  return sum.all
}

/** Failures of deliveries, line by line without their class: mainlog's and bouncelog's. */
export function failuresBy(node: OperatorNode, log: 'mainlog' | 'bouncelog'): readonly string[] {
  const kinds = new Map(
    log === 'mainlog'
      ? [
          ['T', 'T'],
          ['P', 'B'],
        ]
      : [
          ['T', 'T'],
          ['B', 'B'],
        ],
  )
  return fieldsOf(node, log)
    .flatMap((fields) => {
      const kind = kinds.get(fields[4] ?? '')
      return kind === undefined ? [] : [[fields[1], fields[2], fields[3], kind, fields.at(-1)].join('@')]
    })
    .toSorted()
}

/** Connections with TLS of which tls_log and the two others do not say the same; what is refused, and what is taken. */
export function decisionsAgainstLogs(node: OperatorNode): readonly string[] {
  const refused = new Tally()
  for (const line of node.log('rejectlog')) refused.add(/ C="([^"]*)"/.exec(line)?.[1] ?? '')
  const taken = new Map<string, Set<string>>()
  for (const [, , batch = '', connection = '', kind] of fieldsOf(node, 'mainlog')) {
    if (kind !== 'R') continue
    const batches = taken.get(connection) ?? new Set()
    taken.set(connection, batches.add(batch))
  }
  return decisionsOf(node).flatMap((decision) => {
    const connection = String(decision['connection'])
    const logs = [refused.of(connection), taken.get(connection)?.size ?? 0]
    const own = [decision['refused'], decision['accepted']]
    return logs.join() === own.join()
      ? []
      : [`${connection}: ${own.join()} in tls_log, ${logs.join()} in the logs`]
  })
}

/** Messages in mailboxes. */
export function mailboxes(node: OperatorNode): number {
  const folder = path.join(node.folder, 'mail')
  return readdirSync(folder).reduce((sum, box) => sum + readdirSync(path.join(folder, box, 'new')).length, 0)
}

function decisionsOf(node: OperatorNode): readonly Decision[] {
  return node.log('tlslog').map((line) => JSON.parse(line) as Decision)
}

/** Fields are separated by `@`; one inside a field has a backslash before it. */
function fieldsOf(node: OperatorNode, log: string): readonly (readonly string[])[] {
  return node.log(log).map((line) => line.split(/(?<!\\)@/))
}
