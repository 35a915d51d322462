/** Signals, reloads and logs of a gate that runs as a process of its own, through bin/postern. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { makePki, type Pki, writePki } from '../../src/tls/pki.ts'
import { bin, type GateProcess, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'

let folder: string
let file: string
let pki: Pki
let gate: GateProcess

const conf = (inside: string): string => `
Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Listen "127.0.0.1:0" { ${inside} }
}
scriptlet "scriptlet" { script "greeter" { source = "./greeter.lua" } }
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
ec_logger "l" { mainlog = "logs/main.ec" paniclog = "logs/panic.ec" }
`

const script = (note: string): string => `
require("msys.core")
local mod = {}
function mod:validate_ehlo(line, ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "note", "${note}")
  return msys.core.VALIDATE_CONT
end
msys.registerModule("greeter", mod)
`

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-reload-'))
  pki = await makePki()
  await writePki(path.join(folder, 'pki'), pki)
  file = path.join(folder, 'gate.conf')
  writeFileSync(file, conf('TLS_Verify_Mode = none'))
  writeFileSync(path.join(folder, 'greeter.lua'), script('first'))
  gate = await startGateProcess(file)
})
after(async () => {
  assert.equal(await gate.end('SIGTERM'), 0)
  rmSync(folder, { recursive: true, force: true })
})

async function connect(): Promise<SmtpClient> {
  const client = await SmtpClient.connect(gate.addresses[0] ?? { host: '', port: 0 })
  await client.reply()
  await client.ehlo()
  return client
}

/** Sends SIGHUP and waits for the line that says what came of it. */
async function hangUp(outcome: 'reloaded' | 'stays in force'): Promise<string> {
  const before = gate.complaints().length
  gate.child.kill('SIGHUP')
  for (let waited = 0; waited < 10_000; waited += 20) {
    const said = gate.complaints().slice(before)
    if (said.includes(outcome)) return said
    await delay(20)
  }
  throw new Error(`no answer to SIGHUP: ${gate.complaints().slice(before)}`)
}

test('a reload is in force for new connections; a session under way is asked to come back', async () => {
  const old = await connect()
  assert.equal((await old.context()).get('connection.note'), 'first')
  writeFileSync(file, conf('TLS_Verify_Mode = require'))
  writeFileSync(path.join(folder, 'greeter.lua'), script('second'))
  await hangUp('reloaded')
  const fresh = await connect()
  assert.equal((await fresh.context()).get('connection.note'), 'second')
  await fresh.command('STARTTLS')
  await fresh.secure({ cert: pki.clients.valid.cert, key: pki.clients.valid.key })
  assert.equal((await fresh.context()).get('connection.tls_verify_mode'), 'require')
  fresh.destroy()
  assert.equal(await old.command('MAIL FROM:<a@b.example>'), '421 4.3.2 Reconfiguration in progress')
  assert.equal((await old.closed()).code, 'CLOSED')
})

test('a reload that fails says why, with file, line and suggestion, and changes nothing', async () => {
  writeFileSync(file, conf('TLS_Verify_Mode = requre'))
  const said = await hangUp('stays in force')
  assert.match(
    said,
    /gate\.conf:11:\d+: error: TLS_Verify_Mode is "require" or "none", not "requre"; did you mean "require"\?/,
  )
  // for whoever sees no stderr
  const panics = (): string => readFileSync(path.join(folder, 'logs', 'panic.ec'), 'utf8')
  const told =
    /config: reload failed, and nothing has changed: \S*gate\.conf:11: TLS_Verify_Mode is "require" or "none"/
  await waitFor(() => told.test(panics()))
  writeFileSync(file, conf('TLS_Verify_Mode = require'))
  writeFileSync(path.join(folder, 'greeter.lua'), 'this is no Lua')
  assert.match(await hangUp('stays in force'), /greeter\.lua:1/)
  writeFileSync(path.join(folder, 'greeter.lua'), script('third'))
  const client = await connect()
  assert.equal((await client.context()).get('connection.note'), 'second')
  client.destroy()
  await hangUp('reloaded')
})

test('a client that was revoked by a reload is revoked, with its old ticket too; a broken CRL keeps the last good one', async () => {
  const credential = { cert: pki.clients.valid.cert, key: pki.clients.valid.key }
  const secure = async (session?: Buffer): Promise<SmtpClient> => {
    const client = await connect()
    await client.command('STARTTLS')
    await client.secure({ ...credential, ...(session && { session }) })
    return client
  }
  const trusted = await secure()
  assert.equal((await trusted.context()).get('connection.tls_client_verified'), 'yes')
  const session = trusted.session
  trusted.destroy()
  const serials = [pki.clients.valid.serial, pki.clients.revoked.serial]
  const now = Date.now()
  writeFileSync(
    path.join(folder, 'pki', 'crl.pem'),
    pki.authority.crl({ revoked: serials, now, nextUpdate: now + 86_400_000 }),
  )
  await hangUp('reloaded')
  for (const stage of ['revoked', 'with the last good CRL']) {
    const client = await secure(session)
    assert.equal(client.tls.isSessionReused(), false, stage)
    assert.equal((await client.context()).get('connection.tls_client_verify_error'), 'revoked', stage)
    client.destroy()
    writeFileSync(path.join(folder, 'pki', 'crl.pem'), 'garbage')
    const said = await hangUp('reloaded')
    assert.match(said, /crl\.pem.*stays in force/)
  }
  await writePki(path.join(folder, 'pki'), pki)
})

test('what only a start can change is told at each reload, with its place', async () => {
  const other = path.join(folder, 'restart.conf')
  const text = 'ESMTP_Listener { Listen "127.0.0.1:0" { } }\n'
  writeFileSync(other, `Spoolbase = "spool5"\n${text}`)
  const server = await startGateProcess(other)
  writeFileSync(other, `${text}Spoolbase = "spool6"\nReception_Memory = 1M\n`)
  for (const time of [1, 2]) {
    server.child.kill('SIGHUP')
    await waitFor(() => server.complaints().split('was reloaded').length > time)
    const told = server.complaints().split('was reloaded')[time - 1] ?? ''
    assert.match(
      told,
      /restart\.conf:2:13: warning: a change of Spoolbase is in force only after the next start/,
    )
    assert.match(told, /restart\.conf:3:20: warning: a change of Reception_Memory/)
  }
  assert.equal(await server.end('SIGTERM'), 0)
})

test('SIGHUP reopens the logs', async () => {
  const log = path.join(folder, 'logs', 'main.ec')
  await send()
  await waitFor(() => read(log).includes('@D@'))
  renameSync(log, `${log}.1`)
  await hangUp('reloaded')
  await send()
  await waitFor(() => read(log).includes('@D@'))
  assert.match(read(`${log}.1`), /@R@box@gate\.example@a@b\.example@127\.0\.0\.1@/)
})

test('a second serve on the same spool refuses to start', () => {
  const other = path.join(folder, 'other.conf')
  writeFileSync(other, conf(''))
  const run = spawnSync(bin, ['serve', '-c', other], { encoding: 'utf8', timeout: 15_000 })
  assert.equal(run.status, 1)
  assert.match(run.stderr, new RegExp(`\\b${gate.child.pid}\\b`), 'names the process that has it')
  assert.ok(!/\n\s+at /.test(run.stderr), 'no stack trace')
})

test('a port that is taken is exit code 2, with the Listen’s place', async () => {
  const blocker = createServer().listen(0, '127.0.0.1')
  await once(blocker, 'listening')
  const address = blocker.address()
  assert.ok(typeof address === 'object' && address !== null)
  const taken = path.join(folder, 'taken.conf')
  writeFileSync(
    taken,
    `Spoolbase = "spool2"\nESMTP_Listener {\n  Listen "127.0.0.1:${address.port}" { }\n}\n`,
  )
  // not spawnSync: the blocker lives in this process
  const child = spawn(bin, ['serve', '-c', taken], { stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const [code] = (await once(child, 'close')) as [number]
  blocker.close()
  assert.equal(code, 2)
  assert.match(stderr, /taken\.conf:3:\d+: error: .*in use/)
})

test('a configuration error is exit code 1 and names every mistake', () => {
  const wrong = path.join(folder, 'wrong.conf')
  writeFileSync(wrong, 'Spoolbse = "x"\nESMTP_Listener {\n  Listen ":25" { TLS_Verify_Mode = "requre" }\n')
  const run = spawnSync(bin, ['serve', '-c', wrong], { encoding: 'utf8', timeout: 15_000 })
  assert.equal(run.status, 1)
  assert.match(run.stderr, /wrong\.conf:1:1: error: .*did you mean "?Spoolbase/)
  assert.match(run.stderr, /wrong\.conf:3:\d+: error: TLS_Verify_Mode/)
  assert.match(run.stderr, /wrong\.conf:4:\d+: error: .*\n[^]*wrong\.conf:2:1: note/)
})

test('a spool that cannot be made is exit code 1, at Spoolbase', () => {
  const wrong = path.join(folder, 'no-spool.conf')
  writeFileSync(wrong, 'Spoolbase = "no-spool.conf"\nESMTP_Listener { Listen "127.0.0.1:0" { } }\n')
  const run = spawnSync(bin, ['serve', '-c', wrong], { encoding: 'utf8', timeout: 15_000 })
  assert.equal(run.status, 1)
  assert.match(run.stderr, /no-spool\.conf:1:13: error: Spoolbase "no-spool\.conf" cannot be used: ENOTDIR/)
  writeFileSync(wrong, 'Spoolbase = "/proc/none/spool"\n')
  const nowhere = spawnSync(bin, ['serve', '-c', wrong], { encoding: 'utf8', timeout: 15_000 })
  assert.match(nowhere.stderr, /no-spool\.conf:1:13: error: Spoolbase "\/proc\/none\/spool" cannot be used: /)
})

test('a gate that listens on nothing says so, lives on until it is told to end, and can be given a Listen', async () => {
  const silent = path.join(folder, 'silent.conf')
  writeFileSync(silent, 'Spoolbase = "spool4"\n')
  const other = await startGateProcess(silent)
  assert.match(other.complaints(), /warning: nothing is listened on: there is no Listen/)
  writeFileSync(silent, 'Spoolbase = "spool4"\nESMTP_Listener { Listen "127.0.0.1:0" { } }\n')
  other.child.kill('SIGHUP')
  await waitFor(() => other.complaints().includes('was reloaded'))
  assert.equal(await other.end('SIGTERM'), 0)
})

async function send(): Promise<void> {
  const client = await connect()
  assert.match(await client.deliver('a@b.example', 'box@gate.example', 'Subject: x\n\nx'), /^250/)
  client.destroy()
}

function read(name: string): string {
  try {
    return readFileSync(name, 'latin1')
  } catch {
    return ''
  }
}

async function waitFor(fits: () => boolean): Promise<void> {
  for (let waited = 0; waited < 10_000; waited += 20) {
    if (fits()) return
    await delay(20)
  }
  throw new Error('it did not come about')
}

test('SIGHUP while the server starts does not end it, and what it was for is read when it has started', async () => {
  const own = path.join(folder, 'early.conf')
  writeFileSync(
    own,
    `Hostname = "gate.example"\nSpoolbase = "early"\nESMTP_Listener { Listen "127.0.0.1:0" {} }\n`,
  )
  const child = spawn(bin, ['serve', '-c', own], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  while (!hearsHangUps(child.pid)) await delay(2)
  const lives = (): boolean => child.exitCode === null && child.signalCode === null
  // the configuration has been read when there is a spool
  while (!existsSync(path.join(folder, 'early')) && lives()) {
    child.kill('SIGHUP')
    await delay(5)
  }
  for (let waits = 0; !said.includes('was reloaded') && lives() && waits < 1000; waits += 1) await delay(10)
  assert.match(said, /postern ready[^]*was reloaded/)
  child.kill('SIGTERM')
  assert.deepEqual(await exit, [0, null])
})

/** Whether a process has a handler for SIGHUP, the first signal (proc(5), SigCgt). */
function hearsHangUps(pid: number | undefined): boolean {
  const caught = /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? '0'
  return (BigInt(`0x${caught}`) & 1n) === 1n
}
