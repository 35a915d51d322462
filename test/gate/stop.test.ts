/** The end of service: clients that finish are served to the end, those that do not cannot hold the gate. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { ServerEvent } from '../../src/events/events.ts'
import { Server } from '../../src/server.ts'
import { makePki, writePki } from '../../src/tls/pki.ts'
import { bin } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'

const CONF = `
Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  Listen "127.0.0.1:0" {}
}
scriptlet "scriptlet" { script "slow" { source = "./slow.lua" } }
maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
`

const SCRIPT = `
require("msys.core")
local mod = {}
function mod:validate_ehlo(line, ac, vctx)
  if line:find("sleeper") then msys.sleep(3) end
  if line:find("tarpit") then vctx:tarpit(20) end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("slow", mod)
`

let folder: string
let file: string

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-stop-'))
  file = path.join(folder, 'gate.conf')
  writeFileSync(file, CONF)
  writeFileSync(path.join(folder, 'slow.lua'), SCRIPT)
  await writePki(path.join(folder, 'pki'), await makePki())
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

async function connect(server: Server): Promise<SmtpClient> {
  const [, host = '', port] = /^(.*):(\d+)$/.exec(server.addresses[0] ?? '') ?? []
  const client = await SmtpClient.connect({ host, port: Number(port) })
  assert.match(await client.reply(), /^220 /)
  return client
}

async function openTransaction(client: SmtpClient): Promise<void> {
  assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250/)
  assert.match(await client.command('RCPT TO:<box@gate.example>'), /^250/)
}

async function openData(client: SmtpClient): Promise<void> {
  await openTransaction(client)
  assert.match(await client.command('DATA'), /^354/)
  client.sendRaw('Subject: never ends\r\n')
}

async function beginHandshake(client: SmtpClient): Promise<void> {
  assert.match(await client.command('STARTTLS'), /^220/)
}

async function readNothing(client: SmtpClient): Promise<void> {
  client.pause()
  client.sendRaw('XDUMPCONTEXT\r\n'.repeat(300_000))
}

async function letScriptSleep(client: SmtpClient): Promise<void> {
  client.send('EHLO sleeper.example')
}

/** What each client does while the gate wants to stop; none of them ends by itself. */
const STALLED = [openTransaction, openData, beginHandshake, readNothing, letScriptSleep]

test('no client can hold a gate that ends', { timeout: 20_000 }, async () => {
  let open = 0
  const onEvent = ({ kind }: ServerEvent): void => {
    if (kind === 'connected') open += 1
    if (kind === 'disconnected') open -= 1
  }
  const server = await Server.start({ file, version: 'test', drainTime: 300, onEvent })
  const clients: SmtpClient[] = []
  for (const stall of STALLED) {
    const client = await connect(server)
    clients.push(client)
    await stall(client)
  }
  const tarpitted = await connect(server)
  tarpitted.send('EHLO tarpit.example')
  await delay(100)
  const started = performance.now()
  await Promise.all([server.stop(), server.stop()])
  assert.ok(performance.now() - started < 10_000, `${performance.now() - started} ms`)
  assert.equal(open, 0, 'connections are left')
  assert.match(await tarpitted.reply(), /^250-/)
  assert.match(await tarpitted.reply(), /^421 4\.4\.5 /)
  for (const client of [tarpitted, ...clients]) client.destroy()
  // the spool is free again, and nothing that was half said is in it
  const next = await Server.start({ file, version: 'test', drainTime: 300 })
  await next.stop()
})

test('a transaction that is under way is served to its end', async () => {
  const server = await Server.start({ file, version: 'test' })
  const idle = await connect(server)
  const client = await connect(server)
  await openTransaction(client)
  const stopped = server.stop()
  assert.equal(await idle.reply(), '421 4.4.5 Service unavailable')
  assert.match(await client.command('DATA'), /^354/)
  assert.match(await client.command('Subject: last\r\n\r\nlast\r\n.'), /^250 /)
  assert.equal(await client.reply(), '421 4.4.5 Service unavailable')
  await stopped
})

test('a gate lives on when nobody reads its output any more', async () => {
  const child = spawn(bin, ['serve', '-c', file], { stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = once(child, 'exit')
  let ready = ''
  while (!ready.includes('\n')) ready += String((await once(child.stdout, 'data'))[0])
  const port = Number(/:(\d+)/.exec(ready)?.[1])
  child.stdout.destroy()
  child.stderr.destroy()
  // a reload is told on stderr
  child.kill('SIGHUP')
  await delay(500)
  const client = await SmtpClient.connect({ host: '127.0.0.1', port })
  assert.match(await client.reply(), /^220 /)
  assert.match(await client.command('QUIT'), /^221 /)
  client.destroy()
  child.kill('SIGTERM')
  assert.deepEqual(await exited, [0, null])
})
