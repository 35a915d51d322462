/**
 * Whoever counts counts the same: logs, metrics, console, clients and next hops, over a run of mixed messages through a
 * node with two workers, to the last one. `POSTERN_MESSAGES` says how many messages (5000), `POSTERN_SEED` which, `POSTERN_WORKERS` by how
 * many workers (2, or 0: one process).
 */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Authority } from '../../src/tls/authority.ts'
import { makePki } from '../../src/tls/pki.ts'
import { cheapHash } from '../support/cheap-hash.ts'
import { chosenSeed } from '../support/seed.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import {
  type Account,
  byJson,
  byLogs,
  byMetrics,
  decisionsAgainstLogs,
  failuresBy,
  failuresByJson,
  mailboxes,
  outcomesByConsole,
  outcomesByLog,
  summaryOf,
  sumOf,
  verdictsByConsole,
  verdictsByLog,
  waitingByConsole,
  waitingByLog,
} from './accounts.ts'
import { PASSWORD, type Seen, sendAll } from './mixed-clients.ts'
import { drawVisits, type Visit } from './mixed-plan.ts'
import { type Data, OperatorNode, type Rows, type Samples, until } from './node.ts'
import { Tally } from './tally.ts'

const MESSAGES = Number(process.env['POSTERN_MESSAGES'] ?? 5000)
const WORKERS = Number(process.env['POSTERN_WORKERS'] ?? 2)
const SEED = chosenSeed(7)

const confFor = (port: number): string => `Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
DNS_Servers = ( "127.0.0.1:9" )
Idle_Timeout = 0
Retry_Interval = 1
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "ENHANCEDSTATUSCODES" "AUTH PLAIN" "DSN" "CHUNKING" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  TLS_Verify_Mode_Shadow = "require"
  Require_TLS_Shadow = true
  AuthPlainParameters = [ uri = "file://FOLDER/users" log_authentication = true ]
  Auth_Failure_Delay = 0
  Auth_Failure_Limit = 0
  Max_Message_Size = 20000
  Relay_Hosts = ( "127.0.0.1" )
  Listen "127.0.0.1:0" { Peer "127.0.0.77" { Listener_Sessions = 1 } }
  Listen "127.0.0.2:0" { Use_SSL = true TLS_Verify_Mode = "require" }
}
Partner "acme" { SAN_DNS = "client-valid.example" Issuer_Certificate = "pki/ca.pem" }
Control_Listener "ops" { Listen "FOLDER/control" { } }
HTTP_Listener "web" { Listen "127.0.0.1:0" { } }
scriptlet "scriptlet" { script "p" { source = "policy.ts" } }
ec_logger "l" {
  mainlog = "mainlog" rejectlog = "rejectlog" paniclog = "paniclog" acctlog = "acctlog" heartbeat = 0
  mainlog_json = "json-mainlog" rejectlog_json = "json-rejectlog" paniclog_json = "json-paniclog" acctlog_json = "json-acctlog"
}
bounce_logger "b" { bouncelog = "bouncelog" bouncelog_json = "json-bouncelog" heartbeat = 0 }
tls_log "t" { tlslog = "tlslog" heartbeat = 0 }
custom_logger "c" {
  mainlog = "custom"
  reception_format = "R|%i"
  delivery_format = "D|%i"
  transient_failure_format = "T|%i"
  permanent_failure_format = "P|%i"
  rejection_format = "X|%CI"
}
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
${['d0.hop', 'd1.hop', 'd2.hop', 'd3.hop', 'd4.hop', 'origin', 'later', 'held', 'brief', 'dead']
  .map(
    (name) =>
      `Domain "${name}.test" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${name === 'dead' ? 9 : port} ${ways[name] ?? ''} }`,
  )
  .join('\n')}
`

/** nobody listens on port 9 */
const ways: Readonly<Record<string, string>> = {
  later: 'Retry_Interval = 9000',
  held: 'Suspend_Delivery = true',
  brief: 'Message_Expiration = 3',
  dead: 'Message_Expiration = 3 Host_Failure_Retry = 1',
}

const POLICY = `import { definePolicy, discard, reject } from 'postern'

export const policy = definePolicy({
  accept: ({ remote }) => (remote.address === '127.0.0.66' ? reject(554, '5.7.1 not you') : undefined),
  ehlo: (_session, line) => (line.includes('bad.') ? reject(550, '5.7.1 not by that name') : undefined),
  auth: (_session, { user }) => (user === 'bob' ? reject(535, '5.7.1 not bob') : undefined),
  mailFrom(_session, sender) {
    if (sender?.local.startsWith('broken')) throw new Error('a fault of the policy')
    return sender?.local.startsWith('refused') ? reject(550, '5.7.1 not from you') : undefined
  },
  rcptTo: (_session, _message, { local }) => (local === 'nobody' ? reject(550, '5.1.1 nobody') : undefined),
  data(_session, { headers }) {
    if (headers.count('X-Refuse') > 0) return reject(554, '5.7.1 not that')
    return headers.count('X-Drop') > 0 ? discard('as it asks for') : undefined
  },
  dataSpoolEachRcpt: (_session, message) =>
    message.recipient.local === 'nocopy' ? reject(550, '5.7.1 not to them') : undefined,
})
`

const WITH_JSON = ['mainlog', 'rejectlog', 'paniclog', 'acctlog', 'bouncelog']
const LOGS = [...WITH_JSON, ...WITH_JSON.map((name) => `json-${name}`), 'tlslog', 'custom']

let visits: readonly Visit[]
let sink: SmtpSink
let node: OperatorNode
let seen: Seen
let logs: Account
let samples: Samples
let summary: Data

before(async () => {
  visits = drawVisits(SEED, MESSAGES)
  const known = new Set<string>()
  const rcpt = (line: string): string => {
    if (line.includes('<gone')) return '550 5.1.1 no such mailbox'
    if (/@(later|brief)\.test/.test(line)) return '451 4.7.1 not today'
    if (!line.includes('<grey') || known.has(line)) return '250 2.1.5 ok'
    known.add(line)
    return '451 4.7.1 greylisted'
  }
  sink = await SmtpSink.start({ rcpt })
  const pki = await makePki()
  node = await OperatorNode.start({
    pki,
    workers: WORKERS,
    conf: confFor(sink.port),
    files: {
      'policy.ts': POLICY,
      users: ['ann', 'bob'].map((name) => `${name}:${cheapHash('scrypt', PASSWORD)}\n`).join(''),
    },
  })
  const [open, strict] = node.gate.addresses
  assert.ok(open && strict)
  const began = Date.now()
  const hostile = Authority.root({ subject: 'Müller "&" \\ Söhne\r\nX: y\u202e' }).issue({ subject: 'x' })
  const clients = sendAll({ visits, pki, hostile, addresses: { open, strict }, atOnce: 16 })
  await Promise.all([clients, disturb()])
  seen = await clients
  const sent = Date.now()
  await settle()
  const ended = Date.now()
  await node.asked('reopen logs')
  logs = byLogs(node)
  samples = await node.samples()
  summary = await node.asked('summary')
  const [sending = 0, settling = 0] = [sent - began, ended - sent].map((each) => each / 1000)
  const { received, delivered, failed, rejected } = summaryOf(logs)
  console.log(
    `${MESSAGES} messages of seed ${SEED} in ${visits.length} connections, ${sending.toFixed(1)} s to send and ${settling.toFixed(1)} s to settle:`,
    `${received} received, ${delivered} delivered, ${failed} failed, ${rejected} rejected;`,
    `${sumOf(logs, 'handshake')} handshakes, ${sumOf(logs, 'attempt transient')} transient failures, ${sumOf(logs, 'login')} logins, ${sumOf(logs, 'panic')} panics`,
  )
})
after(async () => {
  await node.remove()
  await sink.close()
})

/** Whatever an operator may do in the midst of it, at each quarter: nobody may lose a count by it. */
async function disturb(): Promise<void> {
  for (const quarter of [1, 2, 3]) {
    const enough = (MESSAGES * quarter) / 4
    const hasCome = async (): Promise<boolean> =>
      Number((await node.asked('summary'))['receivedMessages']) > enough
    await until('so much has come in', hasCome, 60_000 + 50 * MESSAGES)
    await node.rotate(LOGS)
    await node.asked(`config set esmtp_listener banner_hostname q${quarter}.example`)
    await node.asked('tls flush cache')
    await node.asked('fail domain held.test')
    await node.asked('config reload')
  }
}

/** All is sent, and what is left waits for somebody. */
async function settle(): Promise<void> {
  await until('what can be delivered is delivered', async () => {
    const now = await node.asked('summary')
    const { inboundConcurrency, outboundConcurrency } = now
    const left = Object.keys(await waitingByConsole(node)).filter(
      (each) => !/^(later|held)\.test$/.test(each),
    )
    const queued = await node.asked('domain later.test')
    const tried = (queued['queues'] as Rows).every((row) => row['ready'] === 0)
    return inboundConcurrency === 0 && outboundConcurrency === 0 && left.length === 0 && tried
  })
}

describe(`over ${MESSAGES} mixed messages`, () => {
  test('the metrics say what the logs say', () => {
    assert.deepEqual(byMetrics(samples), logs)
    assert.equal(samples.get('postern_log_lines_dropped'), 0)
    assert.equal(samples.get('postern_sessions'), 0)
  })

  test('summary, tls verdicts, domain, binding summary and threads say what the logs say', async () => {
    const { receivedMessages, successfullyDeliveredMessages, failedMessages, rejectedMessages } = summary
    assert.deepEqual(
      {
        received: receivedMessages,
        delivered: successfullyDeliveredMessages,
        failed: failedMessages,
        rejected: rejectedMessages,
      },
      summaryOf(logs),
    )
    assert.deepEqual(await verdictsByConsole(node), verdictsByLog(node))
    const outcomes = outcomesByLog(node)
    const domains = new Set(Object.keys(outcomes).map((name) => name.split(' ')[0] ?? ''))
    assert.deepEqual(await outcomesByConsole(node, domains), outcomes)
    const { received = 0, delivered = 0, failed = 0 } = summaryOf(logs)
    const bindings = (await node.asked('binding summary'))['bindings'] as Rows
    assert.deepEqual(
      bindings.map((row) => [
        row['receivedMessages'],
        row['successfullyDeliveredMessages'],
        row['failedMessages'],
      ]),
      [[received, delivered, failed]],
    )
    const processes = ((await node.asked('threads')) as unknown as { rows: Rows }).rows
    const sum = (key: string): number => processes.reduce((total, row) => total + Number(row[key] ?? 0), 0)
    assert.deepEqual([sum('received'), sum('delivered')], [received, delivered])
    const busy = processes.filter((row) => Number(row['received']) > 0).length
    assert.equal(busy, Math.max(1, WORKERS), 'all had mail')
  })

  test('tls shadow says what tls_log says of those that it is about', async () => {
    const rows = (await node.asked('tls shadow'))['rows'] as Rows
    const found = new Tally()
    for (const row of rows) found.add(`${row['verdict']} ${row['reason']}`, Number(row['count']))
    const told = new Tally()
    for (const [name, count] of Object.entries(logs)) {
      const [, verdict = '', reason = ''] = /^shadow (\S+) (\S+) /.exec(name) ?? []
      // nobody can do anything about the others
      if (verdict.startsWith('would-') && reason !== 'verified') told.add(`${verdict} ${reason}`, count)
    }
    assert.deepEqual(found.all, told.all)
  })

  test('what waits is what came in and did not leave, by the logs, the console and the metrics', async () => {
    const waiting = waitingByLog(node)
    const { 'held.test': held = 0, 'later.test': later = 0 } = waiting
    assert.deepEqual(await waitingByConsole(node), waiting)
    const total = Object.values(waiting).reduce((sum, count) => sum + count, 0)
    assert.equal(summary['totalQueueSize'], total)
    assert.deepEqual([summary['activeQueueSize'], summary['delayedQueueSize']], [held, later])
    const queue = ['ready', 'delayed', 'active', 'failed'].map((state) =>
      samples.get(`postern_queue_messages{state="${state}"}`),
    )
    assert.deepEqual(queue, [held, later, 0, 0])
    assert.equal((await node.asked('showqueue all 1'))['messages'], total)
  })

  test('bouncelog has the failures of mainlog, and custom_logger all that happened', () => {
    assert.deepEqual(failuresBy(node, 'bouncelog'), failuresBy(node, 'mainlog'))
    const kinds = node.log('custom').map((line) => line.slice(0, 1))
    const of = (kind: string): number => kinds.filter((each) => each === kind).length
    assert.deepEqual(
      [of('R'), of('D'), of('T'), of('P'), of('X')],
      ['received', 'attempt delivered', 'attempt transient', 'attempt permanent', 'refused'].map((name) =>
        sumOf(logs, name),
      ),
    )
  })

  test('lines of JSON say what the lines beside them say', () => {
    assert.deepEqual(byJson(node), logs)
    for (const name of WITH_JSON) assert.equal(node.log(`json-${name}`).length, node.log(name).length, name)
    assert.deepEqual(failuresByJson(node), failuresBy(node, 'bouncelog'))
  })

  test('each decision record has the refusals and messages that the other logs have of its connection', () => {
    assert.deepEqual(decisionsAgainstLogs(node), [])
  })

  test('clients and next hops saw what the logs say', () => {
    const { connections, kept, refusals, silent, handshakes, failedHandshakes, logins } = seen
    assert.equal(samples.get('postern_sessions_total'), connections)
    assert.equal(sumOf(logs, 'received esmtp'), kept)
    const refused = sumOf(logs, 'refused')
    assert.equal(refused, refusals.total + silent)
    assert.equal(
      sumOf(logs, 'handshake require failed') + sumOf(logs, 'handshake unset failed'),
      failedHandshakes,
    )
    const byOutcome = (outcome: string): number =>
      handshakes.of(`${outcome} full`) + handshakes.of(`${outcome} resumed`)
    for (const outcome of ['anonymous', 'unverified', 'verified'])
      assert.equal(sumOf(logs, `handshake unset ${outcome}`), byOutcome(outcome), outcome)
    const resumed = ['anonymous', 'unverified', 'verified'].map((each) => handshakes.of(`${each} resumed`))
    assert.equal(sumOf(logs, 'handshake require verified'), handshakes.of('strict'))
    assert.equal(
      (logs['protocol TLSv1.3 yes'] ?? 0) + (logs['protocol TLSv1.2 yes'] ?? 0),
      resumed.reduce((sum, count) => sum + count, 0),
    )
    assert.deepEqual([logs['login pass'], logs['login fail']], [logins.of('pass'), logins.of('fail')])
    const arrived = sink.received.flatMap(({ rcpt }) => rcpt)
    assert.equal(arrived.length + mailboxes(node), logs['attempt delivered'])
    const units = arrived.filter((line) => !line.includes('@origin.test'))
    assert.equal(new Set(units.map((line) => line.split(' ')[1])).size, units.length, 'nothing arrived twice')
  })
})
