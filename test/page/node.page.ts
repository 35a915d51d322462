/** The page of a node with two workers: about all of them, also while one does not answer or is replaced. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { writePki } from '../../src/tls/pki.ts'
import { type GateProcess, pauseProcess, startGateProcess } from '../support/gate-process.ts'
import { PageClient } from '../support/page-client.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR } from '../support/test-gate.ts'

const CONF = `Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
DNS_Servers = ( "127.0.0.1:9" )
ESMTP_Listener {
  TLS_Certificate = "pki/server.pem" TLS_Key = "pki/server.key" TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.0.1:0" { Use_SSL = true }
}
HTTP_Listener "page" {
  Page = true
  AuthLoginParameters [ uri = "file://FOLDER/users" ]
  Page_Operators = ( "alice" )
  Listen "127.0.0.1:0" { }
}
ec_logger "l" { acctlog = "log/acctlog" heartbeat = 0 }
${MAILDIR}`

let folder: string
let gate: GateProcess

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-page-node-'))
  await writePki(path.join(folder, 'pki'), await testPki())
  writeFileSync(path.join(folder, 'users'), 'alice:secret\n')
  writeFileSync(path.join(folder, 'gate.conf'), CONF.replaceAll('FOLDER', folder))
  gate = await startGateProcess(path.join(folder, 'gate.conf'), [], ['--workers', '2'])
})
after(async () => {
  await gate.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

interface Row {
  readonly client: string
  readonly tls: string
  readonly process: string
  readonly pid: number
  readonly sessions: number
}

test('sessions of all workers are in one table, a worker that is silent is named, and a killed one is replaced', async () => {
  const [mail, web] = gate.addresses
  const client = new PageClient(`${web?.host.replace('http=', '')}:${web?.port}`)
  assert.equal((await client.login('alice', 'secret')).status, 200)
  const view = async (name: string, query = {}) => (await client.view(name, query)).data
  const { clients } = await testPki()
  const { cert, key } = clients.valid
  const sessions: SmtpClient[] = []
  const spread = async (): Promise<readonly Row[]> =>
    ((await view('processes'))['rows'] as readonly Row[]).filter(({ sessions: open }) => open > 0)
  // the kernel spreads connections as it likes
  for (let count = 0; count < 40 && (sessions.length < 6 || (await spread()).length < 2); count++) {
    const session = await SmtpClient.connectTls(mail ?? { host: '', port: 0 }, { cert, key })
    await session.reply()
    sessions.push(session)
  }
  const workers = await spread()
  assert.equal(workers.length, 2, JSON.stringify(workers))
  const all = await view('sessions', { only: 'tls:verified' })
  assert.equal(all['found'], sessions.length)
  assert.deepEqual((await view('verdicts', { minutes: '60' }))['totals'], {
    verified: sessions.length,
    unverified: 0,
    anonymous: 0,
    failed: 0,
  })
  const victim = workers[0]?.pid ?? 0
  await pauseProcess(victim)
  const part = await view('summary')
  assert.match(String(part['missing']), new RegExp(`process ${victim}\\) has not answered`))
  process.kill(victim, 'SIGKILL')
  const until = Date.now() + 20_000
  while (Date.now() < until && String((await view('summary'))['missing']) !== '')
    await new Promise((r) => setTimeout(r, 100))
  assert.deepEqual((await view('summary'))['missing'], [])
  const acted = await client.post('act/flush', { binding: 'default/default', domain: 'nowhere.example' })
  assert.equal(acted.status, 200, acted.text)
  for (const session of sessions) session.destroy()
  // what it has to write it has written by then
  await gate.end('SIGTERM')
  assert.match(
    readFileSync(path.join(folder, 'log', 'acctlog'), 'utf8'),
    /@Z@[^\n]*@alice@1@binding flush domain default\/default nowhere\.example@Page_Operators/,
  )
})
