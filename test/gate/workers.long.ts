/** A node of two workers: what they share, what one of them may do to the others, and what an operator sees. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Pki, writePki } from '../../src/tls/pki.ts'
import { ask, data, told } from '../support/console-client.ts'
import { type GateProcess, pauseProcess, startGateProcess } from '../support/gate-process.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR } from '../support/test-gate.ts'
import { ticketVisit } from '../support/ticket-visit.ts'

const TLS =
  'TLS_Certificate = "pki/server.pem" TLS_Key = "pki/server.key" TLS_Client_CA = "pki/ca.pem" Use_SSL = true'
const LOGIN = `SMTP_Extensions = ( "AUTH PLAIN" ) AuthPlainParameters = [ uri = "file://FOLDER/users" ]
    Auth_Failure_Delay = 0 Auth_Failure_Limit = 3`
const CONF = `Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
DNS_Servers = ( "127.0.0.1:9" )
ESMTP_Listener {
  Listen "127.0.0.1:0" { }
  Listen "127.0.0.2:0" { Listener_Sessions = 3 }
  Listen "127.0.0.3:0" { ${TLS} }
  Listen "127.0.0.4:0" { ${TLS} TLS_Verify_Mode = "require" }
  Listen "127.0.0.5:0" { ${TLS} ${LOGIN} }
  Listen "FOLDER/mail.sock" { File_Mode = 0600 }
}
Control_Listener "ops" { Listen "FOLDER/control" { File_Mode = 0600 } }
HTTP_Listener "web" { Script_Endpoints = true Listen "127.0.0.1:0" { } }
ec_logger "l" { mainlog = "log/mainlog" rejectlog = "log/rejectlog" paniclog = "log/paniclog" heartbeat = 0 }
scriptlet "scriptlet" { script "p" { source = "policy.ts" } script "endpoints" { source = "endpoints.lua" } }
${MAILDIR}`
const ENDPOINTS = `require("msys.core") require("msys.httpsrv")
local mod = {}
function mod:rsrc_setup()
  msys.httpsrv.register("GET", "/wait", function() print("waiting") msys.sleep(300) end)
  msys.httpsrv.register("GET", "/now", function() end)
  return true
end
msys.registerModule("endpoints", mod)
`
/** @param victim the process that cannot load it */
const policy = (victim: number): string => `
if (process.pid === ${victim}) throw new Error('not in this process')
export const policy = { connect: () => undefined }
`

let folder: string
let control: string
let gate: GateProcess
let pki: Pki

before(async () => {
  pki = await testPki()
  folder = mkdtempSync(path.join(tmpdir(), 'postern-workers-'))
  control = path.join(folder, 'control')
  await writePki(path.join(folder, 'pki'), pki)
  writeFileSync(path.join(folder, 'gate.conf'), CONF.replaceAll('FOLDER', folder))
  writeFileSync(path.join(folder, 'policy.ts'), policy(0))
  writeFileSync(path.join(folder, 'endpoints.lua'), ENDPOINTS)
  writeFileSync(path.join(folder, 'users'), 'ann:secret\n')
  gate = await startGateProcess(path.join(folder, 'gate.conf'), [], ['--workers', '2'])
})
afterEach(() => {
  for (const pid of workers()) process.kill(pid, 'SIGCONT')
})
after(async () => {
  assert.equal(await gate.end('SIGTERM'), 0)
  for (const pid of known) assert.throws(() => process.kill(pid, 0), `worker ${pid} has ended`)
  rmSync(folder, { recursive: true, force: true })
})

const known = new Set<number>()

/** process ids of the workers, the oldest first */
function workers(): number[] {
  const text = readFileSync(`/proc/${gate.child.pid}/task/${gate.child.pid}/children`, 'latin1')
  const pids = text
    .trim()
    .split(' ')
    .filter((each) => each !== '')
    .map(Number)
  const found = pids.filter((pid) => commandLine(pid).includes('workers'))
  for (const pid of found) known.add(pid)
  return found
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1')
  } catch {
    return ''
  }
}

function address(index: number): Address {
  const found = gate.addresses[index]
  assert.ok(found)
  return found
}

/** Everybody else is stopped meanwhile: so what connects gets to this one. */
async function at<T>(worker: number, work: () => Promise<T>): Promise<T> {
  const others = workers().filter((pid) => pid !== worker)
  for (const pid of others) await pauseProcess(pid)
  try {
    return await work()
  } finally {
    for (const pid of others) process.kill(pid, 'SIGCONT')
  }
}

async function visit(index: number): Promise<{ readonly client: SmtpClient; readonly greeting: string }> {
  const client = await SmtpClient.connect(address(index))
  return { client, greeting: await client.reply() }
}

async function leave(...clients: readonly SmtpClient[]): Promise<void> {
  for (const client of clients) {
    client.send('QUIT')
    await client.closed()
    client.destroy()
  }
}

/** Waits until the replacement of a worker serves. */
async function serving(instead: number): Promise<void> {
  await until(() => workers().length === 2 && !workers().includes(instead))
  await until(async () => !(await ask(control, 'summary')).text.includes('being replaced'))
}

/** @returns what it is answered with */
async function wrongLogin(): Promise<string> {
  const client = await SmtpClient.connectTls(address(4), { rejectUnauthorized: false })
  const greeting = await client.reply()
  if (!greeting.startsWith('220')) return greeting
  await client.ehlo()
  const reply = await client.command(`AUTH PLAIN ${Buffer.from('\0ann\0wrong').toString('base64')}`)
  client.destroy()
  return reply
}

/** the name with which a worker greets */
async function named(worker: number): Promise<string> {
  const { client, greeting } = await at(worker, () => visit(0))
  await leave(client)
  return greeting.split(' ')[1] ?? ''
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000
  while (!(await what())) {
    assert.ok(Date.now() < end, 'in time')
    await delay(5)
  }
}

async function summary(): Promise<Record<string, number>> {
  return (await data(control, 'summary')) as Record<string, number>
}

function url(page: string): string {
  const [web] = gate.addresses.slice(-1)
  return `http://${web?.host.replace('http=', '')}:${web?.port}${page}`
}

/** scripts that have begun to wait */
function waiting(): number {
  return readFileSync(path.join(folder, 'log', 'paniclog'), 'latin1').split('waiting').length - 1
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(url('/metrics'))).text()
  const values = text.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

describe('a node of two workers', () => {
  test('has two processes, each with a partition of the spool; console and metrics see both', async () => {
    const pids = workers()
    assert.equal(pids.length, 2)
    assert.match(gate.complaints(), /warning: with 2 workers each has the scripts for itself/)
    for (const pid of pids)
      await at(pid, async () => {
        const { client } = await visit(0)
        await client.ehlo()
        const reply = await client.deliver('a@b.example', 'box@gate.example', 'Subject: x\n\nhi\n')
        assert.match(reply, new RegExp(`-0*${pid % 65_536}-`))
        await leave(client)
      })
    await until(async () => (await summary())['successfullyDeliveredMessages'] === 2)
    assert.equal((await summary())['receivedMessages'], 2)
    assert.equal(await metric('postern_receptions_total'), 2)
    assert.equal(await metric('postern_sessions_total'), 2)
    assert.equal(readdirSync(path.join(folder, 'mail', 'box', 'new')).length, 2)
    assert.deepEqual(
      readdirSync(path.join(folder, 'spool')).filter((name) => /^\d+$/.test(name)),
      ['0', '1'],
    )
    await until(() => {
      const lines = readFileSync(path.join(folder, 'log', 'mainlog'), 'latin1').split('\n')
      return lines.filter((line) => line.includes('@R@')).length === 2
    })
    assert.equal(await told(control, 'pid'), `${gate.child.pid}\n`)
  })

  test('the console asks and traces every process', async () => {
    const file = path.join(folder, 'trace.log')
    const { rows } = (await data(control, 'threads')) as {
      readonly rows: readonly { readonly pid: number }[]
    }
    assert.deepEqual(new Set(rows.map(({ pid }) => pid)), new Set([gate.child.pid, ...workers()]))
    await told(control, 'counter add /a 2')
    assert.equal(await told(control, 'counter get /a'), '2\n', 'once, and not in each worker')
    await told(control, `trace smtp inbound 127.0.0.0/8 ${file}`)
    for (const pid of workers())
      await at(pid, async () => {
        const { client } = await visit(0)
        await client.ehlo()
        await client.command(`NOOP ${pid}`)
        await leave(client)
      })
    await until(() => readFileSync(file, 'latin1').split('* closed').length === 3)
    assert.equal(await told(control, 'trace smtp off'), 'Removed 1 smtp tracers\n')
    for (const pid of workers()) assert.match(readFileSync(file, 'latin1'), new RegExp(`C: NOOP ${pid}\n`))
  })

  test('a script that waits for a client of HTTP ends in its worker when that client leaves', async () => {
    // as many as may be under way, half of them of each address: there is room again only when they have ended
    const requests = Array.from({ length: 64 }, (_, index) =>
      request(url('/wait'), { localAddress: `127.0.0.${2 + (index % 2)}` })
        .on('error', () => undefined)
        .end(),
    )
    await until(() => waiting() === 64)
    const gone = requests.map((each) => new Promise((resolve) => each.once('close', resolve)))
    for (const each of requests) each.destroy()
    await Promise.all(gone)
    await until(async () => (await fetch(url('/now')).catch(() => undefined))?.status === 200)
  })

  test('a UNIX socket is shared, with the mode that it was given', async () => {
    for (const pid of workers())
      await at(pid, async () => {
        const client = await SmtpClient.connectUnix(path.join(folder, 'mail.sock'))
        assert.match(await client.reply(), /^220/)
        await leave(client)
      })
  })

  test('a limit of sessions holds for the node, and show inbound has all of them', async () => {
    const [one = 0, two = 0] = workers()
    const clients = [
      await at(one, () => visit(1)),
      await at(one, () => visit(1)),
      await at(two, () => visit(1)),
    ]
    for (const { greeting } of clients) assert.match(greeting, /^220/)
    for (const pid of [one, two]) {
      const { client, greeting } = await at(pid, () => visit(1))
      assert.match(greeting, /^421 4\.4\.5/)
      client.destroy()
    }
    const { rows } = (await data(control, 'show inbound')) as { readonly rows: readonly unknown[] }
    assert.equal(rows.length, 3)
    await leave(...clients.map(({ client }) => client))
    const { client, greeting } = await at(two, () => visit(1))
    assert.match(greeting, /^220/)
    await leave(client)
  })

  test('failed logins count in every worker, in one that begins later too', async () => {
    const [one = 0, two = 0] = workers()
    assert.match(await at(one, wrongLogin), /^535/)
    assert.match(await at(two, wrongLogin), /^535/)
    assert.match(await at(two, wrongLogin), /^535|^421/)
    // told from one process to the other
    await until(async () => (await at(one, wrongLogin)).startsWith('421'))
    process.kill(two, 'SIGKILL')
    await serving(two)
    assert.match(await at(workers()[1] ?? 0, wrongLogin), /^421/)
  })

  test('a ticket of one worker is good in the other in the same scope, and in no other scope', async () => {
    const [one = 0, two = 0] = workers()
    const first = await at(one, () => ticketVisit(address(2), pki.clients.valid))
    assert.equal(first.resumed, false)
    assert.equal(
      (await at(two, () => ticketVisit(address(2), pki.clients.valid, first.session))).resumed,
      true,
    )
    assert.equal(
      (await at(two, () => ticketVisit(address(3), pki.clients.valid, first.session))).resumed,
      false,
    )
  })

  test('a worker that is killed is replaced, and what it held is free; totals do not go back', async () => {
    const [one = 0, two = 0] = workers()
    const held = [await at(one, () => visit(1)), await at(one, () => visit(1)), await at(one, () => visit(1))]
    const before = await metric('postern_sessions_total')
    process.kill(one, 'SIGKILL')
    await Promise.all(held.map(({ client }) => client.closed()))
    await serving(one)
    const [, fresh = 0] = workers()
    assert.notEqual(fresh, two)
    const again = [
      await at(fresh, () => visit(1)),
      await at(two, () => visit(1)),
      await at(fresh, () => visit(1)),
    ]
    for (const { greeting } of again) assert.match(greeting, /^220/)
    await leave(...again.map(({ client }) => client))
    assert.equal(await metric('postern_sessions_total'), before + 3)
    assert.match(
      await told(control, 'paniclog'),
      /worker \d \(process \d+\) has ended \(SIGKILL\) and is replaced/,
    )
  })

  test('a reload is in force in every worker, or in none', async () => {
    const conf = path.join(folder, 'gate.conf')
    const text = readFileSync(conf, 'utf8')
    const [one = 0, two = 0] = workers()
    writeFileSync(conf, text.replace('gate.example"\nSpool', 'other.example"\nSpool'))
    writeFileSync(path.join(folder, 'policy.ts'), policy(two))
    const failed = await ask(control, 'reload')
    assert.equal(failed.status, 'error')
    assert.match(failed.text, /not in this process/)
    assert.deepEqual([await named(one), await named(two)], ['gate.example', 'gate.example'])
    writeFileSync(path.join(folder, 'policy.ts'), policy(1))
    assert.match(await told(control, 'reload'), /The configuration was reloaded/)
    assert.deepEqual([await named(one), await named(two)], ['other.example', 'other.example'])
    writeFileSync(conf, 'nonsense')
    // the logs are opened anew all the same, by all
    const mainlog = path.join(folder, 'log', 'mainlog')
    renameSync(mainlog, `${mainlog}.1`)
    assert.equal((await ask(control, 'reload')).status, 'error')
    for (const pid of [one, two])
      await at(pid, async () => {
        const { client } = await visit(0)
        await client.ehlo()
        await client.deliver('a@b.example', 'box@gate.example', 'Subject: x\n\nhi\n')
        await leave(client)
      })
    await until(() => readFileSync(mainlog, 'latin1').split('@R@').length === 3)
    // who begins now begins with what is in force, not with what the disk has
    process.kill(one, 'SIGKILL')
    await serving(one)
    assert.equal(await named(workers()[1] ?? 0), 'other.example')
    writeFileSync(conf, text)
    await told(control, 'reload')
  })

  test('a change from the console is in force in every worker, or in none, and in one that begins anew', async () => {
    const [one = 0, two = 0] = workers()
    writeFileSync(path.join(folder, 'policy.ts'), policy(two))
    const failed = await ask(control, 'config set esmtp_listener banner_hostname new.example')
    assert.equal(failed.status, 'error')
    assert.match(failed.text, /not in this process/)
    assert.deepEqual([await named(one), await named(two)], ['gate.example', 'gate.example'])
    writeFileSync(path.join(folder, 'policy.ts'), policy(1))
    await told(control, 'config set esmtp_listener banner_hostname new.example')
    assert.deepEqual([await named(one), await named(two)], ['new.example', 'new.example'])
    process.kill(one, 'SIGKILL')
    await serving(one)
    assert.equal(await named(workers()[1] ?? 0), 'new.example')
    assert.match(await told(control, 'config writeback'), /gate\.conf was written: 1 change/)
    assert.match(await told(control, 'config unset esmtp_listener banner_hostname'), /has been unset/)
    assert.match(await told(control, 'config writeback'), /gate\.conf was written: 1 change/)
    assert.equal(await named(two), 'gate.example')
  })

  test('a worker that does not answer is named, in text and to programs', async () => {
    const [one = 0] = workers()
    process.kill(one, 'SIGSTOP')
    const [text, json, why] = await Promise.all(
      ['summary', 'json summary', 'tls why 192.0.2.1'].map((line) => ask(control, line)),
    )
    assert.ok(text && json && why)
    process.kill(one, 'SIGCONT')
    assert.equal(text.status, 'ok')
    assert.match(text.text, new RegExp(`^worker \\d \\(process ${one}\\) has not answered within`, 'm'))
    assert.equal(json.status, 'error')
    assert.match(why.text, /is remembered[^]*has not answered within/)
  })
})
