/** The files of tls_log stanzas: written, moved away and opened anew, marked, replaced; and they stop nobody. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import type { TlsLogSettings } from '../config/settings.ts'
import { decision } from './decision.fixture.ts'
import { type Logs, openLogs } from './logs.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-tls-log-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function stanza(name: string, heartbeat = 0): TlsLogSettings {
  const file = path.join(folder, name)
  return {
    name,
    tlslog: { path: file, text: name },
    tlslog_mode: 0o600,
    heartbeat,
    at: { file: 'gate.conf', line: 1, column: 1, length: 1 },
  }
}

function open(tlsLogs: readonly TlsLogSettings[], errors: string[] = []): Logs {
  return openLogs({ loggers: [], tlsLogs }, { clock: () => 5000, onError: (message) => errors.push(message) })
}

/** The connections in a file's lines. */
function connections(name: string): unknown[] {
  const lines = readFileSync(path.join(folder, name), 'latin1').split('\n').slice(0, -1)
  return lines.map((line) => (JSON.parse(line) as { connection?: string }).connection)
}

test('a file that was moved away is written to until it is opened anew; permissions are the stanza’s', async () => {
  const logs = open([stanza('moved')])
  logs.handle(decision({ connectionId: 'a' }))
  await logs.reopen()
  assert.equal(statSync(path.join(folder, 'moved')).mode & 0o777, 0o600)
  renameSync(path.join(folder, 'moved'), path.join(folder, 'moved.1'))
  logs.handle(decision({ connectionId: 'b' }))
  await logs.reopen()
  logs.handle(decision({ connectionId: 'c' }))
  await logs.close()
  assert.deepEqual([connections('moved.1'), connections('moved')], [['a', 'b'], ['c']])
})

test('a reload closes a file that is no longer named and goes on with the others', async () => {
  const logs = open([stanza('stays'), stanza('goes')])
  logs.handle(decision({ connectionId: 'a' }))
  await logs.replace({ loggers: [], tlsLogs: [stanza('stays')] })
  logs.handle(decision({ connectionId: 'b' }))
  await logs.close()
  assert.deepEqual([connections('stays'), connections('goes')], [['a', 'b'], ['a']])
})

test('a heartbeat is a line of its own kind', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const logs = open([stanza('beats', 30)])
  t.mock.timers.tick(30_000)
  await logs.close()
  t.mock.timers.tick(30_000)
  const text = readFileSync(path.join(folder, 'beats'), 'utf8')
  assert.equal(text, '{"event":"heartbeat","time":"1970-01-01T00:00:05.000Z","log":"tlslog"}\n')
})

test('a file that cannot be written is reported once, and costs its own lines alone', async () => {
  writeFileSync(path.join(folder, 'no-folder'), '')
  const errors: string[] = []
  const logs = open([stanza('no-folder/log'), stanza('works')], errors)
  for (let index = 0; index < 20; index++) logs.handle(decision({ connectionId: `c${index}` }))
  await logs.close()
  assert.equal(connections('works').length, 20)
  assert.equal(errors.filter((error) => error.includes('cannot write')).length, 1)
  assert.equal(logs.droppedLines, 20)
})
