/**
 * Explaining acts on nothing: whatever a policy tries to do to the world is withheld and named, no file changes, and a
 * gate that runs on the same configuration does not notice.
 */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { ExplainOptions } from '../../src/cli/explain/client.ts'
import { explainProcess } from '../../src/cli/explain/command.ts'
import type { Explanation } from '../../src/cli/explain/document.ts'
import { explain } from '../../src/cli/explain/explain.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'postern')

/** Counts everything that reaches it, over TCP and over UDP, on one port. */
const reached = { tcp: 0, udp: 0 }
const tcp = createServer((socket) => {
  reached.tcp += 1
  socket.destroy()
})
const udp = createSocket('udp4', () => {
  reached.udp += 1
})
const state: { gate?: TestGate; port: number } = { port: 0 }

before(async () => {
  tcp.listen(0, '127.0.0.1')
  await once(tcp, 'listening')
  state.port = (tcp.address() as AddressInfo).port
  udp.bind(state.port, '127.0.0.1')
  await once(udp, 'listening')
  state.gate = await startTestGate({
    pki: await testPki(),
    conf: `${CONF.replaceAll('PORT', String(state.port))}${MAILDIR}`,
    files: { 'judge.lua': LUA.replaceAll('PORT', String(state.port)) },
  })
})

after(async () => {
  await state.gate?.stop()
  tcp.close()
  udp.close()
})

const CONF = `DNS_Servers = ( "127.0.0.1:PORT" )
TLS_Certificate = "pki/server.pem"
TLS_Key = "pki/server.key"
ESMTP_Listener { SMTP_Extensions = ( "STARTTLS" ) TLS_Client_CA = "pki/ca.pem" Listen "127.0.0.1:0" { } }
datasource "facts" { uri = ( "sqlite:facts.db" ) }
ec_logger "logs" { mainlog = "logs/main" rejectlog = "logs/reject" paniclog = "logs/panic" }
scriptlet "scriptlet" { script "judge" { source = "./judge.lua" } }
`

const LUA = `require("msys.core")
require("msys.http.client")
require("msys.counter")
require("msys.gauge_cache")
require("msys.audit_series")
require("msys.timer")
require("msys.db")
local m = {}
msys.gauge_cache.define("seen", 10, 60)
msys.audit_series.define("senders", "string", 60, 5)
function m:validate_mailfrom(str, ac, vctx)
  local client = msys.http.client.new()
  local ok, problem = client:do_request("POST", "http://127.0.0.1:PORT/notify", "a\\27[2Jb")
  local hosts = msys.dnsLookup("example.com", "MX")
  local counter = msys.counter.open("/seen")
  counter:add(1)
  msys.gauge_cache.inc("seen", "x")
  msys.audit_series.add("senders", { key = "x" })
  self.timer = msys.timer.after(0, function() msys.http.client.new():do_request("GET", "http://127.0.0.1:PORT/late") end)
  msys.runInPool("io", function() msys.http.client.new():do_request("GET", "http://127.0.0.1:PORT/pool") end)
  local row = msys.db.fetch_row("facts", "SELECT * FROM t WHERE a = ?", { "secret" })
  msys.db.execute("facts", "DELETE FROM t")
  msys.sleep(200)
  vctx:set_code(250, "2.0.0 " .. tostring(ok) .. " " .. tostring(hosts) .. " " .. tostring(row) .. " " .. counter:read())
  return msys.core.VALIDATE_CONT
end
msys.registerModule("judge", m)
`

const EFFECTS = [
  'client:do_request',
  'msys.audit_series.add',
  'msys.counter.read',
  'msys.counter.set',
  'msys.db.execute',
  'msys.db.query',
  'msys.dnsLookup',
  'msys.gauge_cache.add',
  'msys.gauge_cache.get',
  'msys.sleep',
  'timer',
]

const MODULE = `import { definePolicy } from 'postern'
import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { lookup, promises as dns, Resolver } from 'node:dns'
import { appendFileSync, openSync, writeFileSync } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { get } from 'node:http'
import { connect, createServer } from 'node:net'
import { DatabaseSync } from 'node:sqlite'
import { connect as connectTls } from 'node:tls'
import { Worker } from 'node:worker_threads'
console.log('chatter')
setInterval(() => undefined, 1000)
const attempts = {
  fetch: () => fetch('http://127.0.0.1:PORT/'),
  http: () => get('http://127.0.0.1:PORT/'),
  tcp: () => connect(PORT, '127.0.0.1'),
  tls: () => connectTls(PORT, '127.0.0.1'),
  udp: () => createSocket('udp4').send('x', PORT, '127.0.0.1'),
  lookup: () => lookup('example.com', () => undefined),
  resolve: () => dns.resolve4('example.com'),
  resolver: () => { const r = new Resolver(); r.setServers(['127.0.0.1:PORT']); r.resolve4('example.com', () => undefined) },
  listen: () => createServer().listen(0),
  write: () => writeFileSync('FOLDER/leak', 'x'),
  append: () => appendFileSync('FOLDER/gate.conf', '#'),
  open: () => openSync('FOLDER/leak', 'w'),
  handle: () => open('FOLDER/leak', 'w'),
  database: () => new DatabaseSync('FOLDER/leak').exec('CREATE TABLE leak (x)'),
  attach: () => new DatabaseSync(':memory:').exec("ATTACH 'FOLDER/leak' AS leak; CREATE TABLE leak.leak (x)"),
  remove: () => rm('FOLDER/spool', { recursive: true }),
  process: () => spawnSync('/bin/sh', ['-c', 'touch FOLDER/leak']),
  worker: () => new Worker('0', { eval: true }),
  kill: () => process.kill(process.ppid, 'SIGTERM'),
  exit: () => process.exit(0),
}
export const policy = definePolicy({
  async ehlo(session) {
    const got = []
    for (const [name, attempt] of Object.entries(attempts)) {
      try { await attempt(); got.push(name) } catch { /* withheld */ }
    }
    session.context.set('connection', 'got_away', got.join(' '))
    return undefined
  },
  mailFrom(session) {
    return { kind: 'reject', code: 550, text: '5.7.1 got away: ' + session.context.get('connection', 'got_away') }
  },
})
`

async function explainBy(...args: readonly string[]): Promise<Explained> {
  return await outputOf(spawn(program, ['explain', ...args], { stdio: ['ignore', 'pipe', 'pipe'] }))
}

/** The same without the program before it that reads the command line. */
async function explainIn(file: string, options: ExplainOptions): Promise<Explained> {
  return await outputOf(explainProcess({ file, options, terminal: false }))
}

interface Explained {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

async function outputOf(child: ReturnType<typeof explainProcess>): Promise<Explained> {
  const text = { out: '', err: '' }
  child.stdout.on('data', (chunk: Buffer) => (text.out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text.err += chunk.toString()))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...text }
}

/** Every file with its size and times. */
function stateOf(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const { size, mtimeMs, ctimeMs } = lstatSync(path.join(folder, name))
      return `${name} ${size} ${mtimeMs} ${ctimeMs}`
    })
}

suite('beside a gate that runs', () => {
  test('scripts in Lua: every effect is named, none comes about, and no file changes', async () => {
    const { gate } = state
    assert.ok(gate !== undefined)
    const file = path.join(gate.folder, 'gate.conf')
    const before = stateOf(gate.folder)
    const args = [
      '-c',
      file,
      '--peer',
      '127.0.0.1',
      '--from',
      'a@b.example',
      '--to',
      'bob@gate.example',
      '--json',
    ]
    const { code, out, err } = await explainBy(...args)
    assert.equal(err, '')
    assert.equal(code, 0)
    assert.deepEqual(stateOf(gate.folder), before)
    const told = JSON.parse(out) as Explanation
    assert.deepEqual(
      told.steps.flatMap(({ alarms }) => alarms),
      [],
    )
    const named = [...new Set(told.withheld.map(({ effect }) => effect))].toSorted()
    assert.deepEqual(named, EFFECTS)
    const mail = told.steps.find(({ step }) => step === 'mail')
    assert.deepEqual(mail?.dialogue[0]?.server, ['250 2.0.0 nil nil nil 1'])
    assert.equal(mail.conditional, true)
    assert.equal(told.steps.find(({ step }) => step === 'hello')?.conditional, false)
    assert.ok(!out.includes('secret') && !out.includes('\u001b'))
    assert.deepEqual(reached, { tcp: 0, udp: 0 })
    assert.equal(gate.events.filter(({ kind }) => kind === 'connected').length, 0)
  })

  test('policies in TypeScript: what nothing in them holds back is held back for them', async () => {
    const { gate, port } = state
    assert.ok(gate !== undefined)
    const fill = (text: string): string =>
      text.replaceAll('PORT', String(port)).replaceAll('FOLDER', gate.folder)
    writeFileSync(path.join(gate.folder, 'judge.ts'), fill(MODULE))
    const other = readFileSync(path.join(gate.folder, 'gate.conf'), 'utf8').replaceAll(
      'judge.lua',
      'judge.ts',
    )
    const file = path.join(gate.folder, 'other.conf')
    writeFileSync(file, other)
    const before = stateOf(gate.folder)
    const { code, out, err } = await explainIn(file, {
      peer: '127.0.0.1',
      from: 'a@b.example',
      tls: false,
    })
    assert.equal(err, 'chatter\n')
    assert.equal(code, 0)
    assert.deepEqual(stateOf(gate.folder), before)
    assert.match(out, /with 550 5\.7\.1 got away: *by script "judge" \(mailFrom/)
    for (const effect of [
      'net.connect',
      'dgram.send',
      'net.listen',
      'fs.writeFileSync',
      'sqlite.DatabaseSync',
      'child_process.spawnSync',
    ]) {
      assert.ok(out.includes(`withheld: ${effect}(`), `${effect} is not named in:\n${out}`)
    }
    assert.deepEqual(reached, { tcp: 0, udp: 0 })
  })

  test('DNS is asked when that is wanted', async () => {
    const { gate } = state
    assert.ok(gate !== undefined)
    udp.once('message', (query, { port: from }) => {
      // the question comes back as "there is no such name"
      const answer = Buffer.from(query)
      answer.writeUInt16BE(0x8183, 2)
      udp.send(answer, from, '127.0.0.1')
    })
    const file = path.join(gate.folder, 'gate.conf')
    const { withheld } = await explain(file, { peer: '127.0.0.1', from: 'a@b.example', dns: true })
    assert.ok(reached.udp > 0)
    const effects = [...new Set(withheld.map(({ effect }) => effect))].toSorted()
    assert.deepEqual(
      effects,
      EFFECTS.filter((effect) => effect !== 'msys.dnsLookup'),
    )
    reached.udp = 0
  })

  test('wrong usage exits 64, a configuration error 1', async () => {
    const { gate } = state
    assert.ok(gate !== undefined)
    const usage = await explainBy('-c', path.join(gate.folder, 'gate.conf'))
    assert.deepEqual(
      [usage.code, usage.err],
      [64, 'error: say with --peer which address the client comes from\n'],
    )
    const bad = path.join(gate.folder, 'bad.conf')
    writeFileSync(bad, 'TLS_Verify_Mode = "requre"\n')
    const error = await explainIn(bad, { peer: '127.0.0.1' })
    assert.equal(error.code, 1)
    assert.match(error.err, /bad\.conf:1:/)
  })
})
