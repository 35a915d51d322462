import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import type { FilePath, LoggerSettings } from '../config/settings.ts'
import type { Panic, Reception, Rejection, ServerEvent } from '../events/events.ts'
import { type Logs, openLogs } from './logs.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-logs-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let names = 0
const fresh = (name = 'log'): string => path.join(folder, `${name}-${++names}`)
const filePath = (file: string): FilePath => ({ path: file, text: file })
const read = (file: string): string => readFileSync(file, 'latin1')

const panic: Panic = { kind: 'panic', at: 1_000_000, level: 'error', module: 'tls', text: 'caf\u00e9' }
const endpoint = { address: '10.0.0.1', port: 25 }
const rejection: Rejection = {
  kind: 'rejection',
  at: 2_000_000,
  connectionId: 'c',
  remote: endpoint,
  local: endpoint,
  pathway: 'default',
  pathwayGroup: 'default',
  state: 'awaiting rcptto',
  code: 550,
  module: 'core',
  connectionContext: {},
  messageContext: {},
  text: 'relaying denied',
}
const reception: Reception = {
  kind: 'reception',
  at: 3_000_000,
  envelope: {
    id: 'm',
    batchId: 'b',
    connectionId: 'c',
    sender: undefined,
    recipient: { local: 'bob', domain: 'example.fict' },
    bodyType: '7BIT',
    receivedAt: 0,
    size: 1,
    client: endpoint,
    local: endpoint,
    bindingGroup: 'default',
    binding: 'default',
    connectionContext: {},
    messageContext: {},
  },
}

function logger(values: Partial<LoggerSettings>): LoggerSettings {
  return {
    name: 'ec_logger',
    mainlog: undefined,
    rejectlog: undefined,
    paniclog: undefined,
    acctlog: undefined,
    mainlog_json: undefined,
    rejectlog_json: undefined,
    paniclog_json: undefined,
    acctlog_json: undefined,
    mainlog_mode: 0o644,
    rejectlog_mode: 0o644,
    paniclog_mode: 0o644,
    acctlog_log_mode: 0o644,
    heartbeat: 0,
    log_receptions: true,
    log_deliveries: true,
    log_transient_failures: true,
    log_permanent_failures: true,
    log_rejections: true,
    log_errors: true,
    at: { file: 'gate.conf', line: 1, column: 1, length: 1 },
    ...values,
  }
}

function open(loggers: readonly LoggerSettings[]): { logs: Logs; errors: string[] } {
  const errors: string[] = []
  return {
    logs: openLogs({ loggers }, { clock: () => 5_000_000, onError: (message) => errors.push(message) }),
    errors,
  }
}

describe('the files of a logger', () => {
  test('each event goes to its own file, octets as they are', async () => {
    const [mainlog, rejectlog, paniclog] = [fresh(), fresh(), fresh()].map(filePath) as [
      FilePath,
      FilePath,
      FilePath,
    ]
    const { logs, errors } = open([logger({ mainlog, rejectlog, paniclog })])
    for (const event of [reception, rejection, panic]) logs.handle(event)
    await logs.close()
    assert.match(
      read(mainlog.path),
      /^3000@m@b@c@R@bob@example\.fict@@@10\.0\.0\.1@1@esmtp@default@default\n$/,
    )
    assert.match(read(rejectlog.path), /^2000: R="10\.0\.0\.1:25" .* relaying denied\n$/)
    assert.deepEqual([...readFileSync(paniclog.path)], [...Buffer.from('1000:tls: caf\u00e9\n', 'latin1')])
    assert.deepEqual(errors, [])
  })

  test('what a stanza switches off is not written', async () => {
    const all = filePath(fresh())
    const off = { log_receptions: false, log_rejections: false, log_errors: false }
    const { logs } = open([logger({ mainlog: all, rejectlog: all, paniclog: all, ...off })])
    for (const event of [reception, rejection, panic]) logs.handle(event)
    await logs.close()
    assert.equal(read(all.path), '')
  })

  test('two stanzas that name one file share it, and neither line is broken', async () => {
    const both = filePath(fresh())
    const { logs } = open([logger({ paniclog: both }), logger({ name: 'second', paniclog: both })])
    logs.handle(panic)
    await logs.close()
    assert.equal(read(both.path), '1000:tls: caf\u00e9\n'.repeat(2))
  })

  test('events without a line of their own leave no trace', async () => {
    const all = filePath(fresh())
    const { logs } = open([logger({ mainlog: all, rejectlog: all, paniclog: all })])
    const event: ServerEvent = {
      kind: 'connected',
      at: 1,
      connectionId: 'c',
      remote: endpoint,
      local: endpoint,
    }
    logs.handle(event)
    await logs.close()
    assert.equal(read(all.path), '')
  })

  test('a heartbeat goes to mainlog and rejectlog', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const [mainlog, rejectlog] = [fresh(), fresh()].map(filePath) as [FilePath, FilePath]
    const { logs } = open([logger({ mainlog, rejectlog, heartbeat: 60 })])
    t.mock.timers.tick(59_999)
    t.mock.timers.tick(1)
    await logs.close()
    t.mock.timers.tick(60_000)
    assert.equal(read(mainlog.path), '5000@@@@M\n')
    assert.equal(read(rejectlog.path), '5000: Marker 1\n')
  })

  test('lines of JSON go beside the others or in their place, one for each line, heartbeats too', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] })
    const [mainlog, mainlog_json, rejectlog_json] = [fresh(), fresh(), fresh()].map(filePath) as [
      FilePath,
      FilePath,
      FilePath,
    ]
    const { logs } = open([
      logger({ mainlog, mainlog_json, rejectlog_json, heartbeat: 60, log_errors: false }),
    ])
    for (const event of [reception, rejection, panic]) logs.handle(event)
    t.mock.timers.tick(60_000)
    await logs.close()
    const json = (file: FilePath): unknown[][] =>
      read(file.path)
        .trimEnd()
        .split('\n')
        .map((line) => {
          const { event, time, log } = JSON.parse(line) as Record<string, unknown>
          return [event, time, log]
        })
    assert.deepEqual(json(mainlog_json), [
      ['reception', '1970-01-01T00:50:00.000Z', undefined],
      ['heartbeat', '1970-01-01T01:23:20.000Z', 'mainlog'],
    ])
    assert.deepEqual(
      json(rejectlog_json).map(([event]) => event),
      ['rejection', 'heartbeat'],
    )
    assert.equal(read(mainlog.path).split('\n').length, 3)
  })

  test('an event has one line of JSON in a file, however many logs share it; what is switched off has none', async () => {
    const all = filePath(fresh())
    const settings = {
      name: 'b',
      bouncelog: undefined,
      bouncelog_json: all,
      bouncelog_mode: 0o644,
      heartbeat: 0,
    }
    const switches = { log_inband_bounces: true, log_outofband_bounces: true, log_transient_failures: false }
    const stanzas = {
      loggers: [
        logger({ mainlog_json: all, paniclog_json: all, log_receptions: false }),
        logger({ name: 'second', mainlog_json: all, log_transient_failures: false }),
      ],
      bounceLoggers: [{ ...settings, ...switches, at: logger({}).at }],
    }
    const logs = openLogs(stanzas, { clock: () => 0, onError: assert.fail })
    const { envelope } = reception
    const rest = { connectionId: 'o', domain: 'd', bytes: 0, retries: 0, stage: 0, remote: '', text: '' }
    for (const kind of ['permanent-failure', 'transient-failure'] as const)
      logs.handle({ kind, at: 0, envelope, ...rest })
    for (const event of [reception, rejection, panic]) logs.handle(event)
    await logs.close()
    const lines = read(all.path).trimEnd().split('\n')
    assert.deepEqual(
      lines.map((line) => (JSON.parse(line) as { event: string }).event),
      ['permanent-failure', 'transient-failure', 'reception', 'panic'],
    )
  })

  test('lines of JSON that cannot be written are counted, and cost no others', async () => {
    writeFileSync(path.join(folder, 'full'), '')
    const paniclog = filePath(fresh())
    const { logs, errors } = open([
      logger({ paniclog, paniclog_json: filePath(path.join(folder, 'full', 'x')) }),
    ])
    for (let index = 0; index < 20; index++) logs.handle(panic)
    await logs.close()
    assert.equal(read(paniclog.path).split('\n').length, 21)
    assert.equal(logs.droppedLines, 20)
    assert.equal(errors.filter((error) => error.includes('cannot write')).length, 1)
  })

  test('new stanzas keep the files that they share with the old, and close the others', async () => {
    const [kept, gone, added] = [fresh(), fresh(), fresh()].map(filePath) as [FilePath, FilePath, FilePath]
    const { logs } = open([logger({ paniclog: kept, mainlog: gone })])
    logs.handle(panic)
    logs.handle(reception)
    await logs.replace({ loggers: [logger({ paniclog: kept, mainlog: added })] })
    assert.match(read(gone.path), /@R@/)
    logs.handle(panic)
    logs.handle(reception)
    await logs.close()
    assert.equal(read(kept.path), '1000:tls: caf\u00e9\n'.repeat(2))
    assert.equal(read(gone.path).split('\n').length, 2)
    assert.match(read(added.path), /@R@/)
  })

  test('reopening follows logrotate: what came before stays in the old file', async () => {
    const paniclog = filePath(fresh())
    const { logs } = open([logger({ paniclog })])
    logs.handle(panic)
    await logs.reopen()
    renameSync(paniclog.path, `${paniclog.path}.1`)
    logs.handle({ ...panic, text: 'late' })
    await logs.reopen()
    logs.handle({ ...panic, text: 'new' })
    await logs.close()
    assert.equal(read(`${paniclog.path}.1`), '1000:tls: caf\u00e9\n1000:tls: late\n')
    assert.equal(read(paniclog.path), '1000:tls: new\n')
  })
})
