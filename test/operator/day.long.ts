/**
 * A day of an operator with a node of two workers, while clients send without a pause: what is done acts in both workers
 * and disturbs nobody, and in the evening every message that was answered 250 has arrived, once.
 */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { cheapHash } from '../support/cheap-hash.ts'
import { ask, told } from '../support/console-client.ts'
import { PageClient } from '../support/page-client.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { DayLoad } from './day-load.ts'
import { freePort, OperatorNode, type Rows, until } from './node.ts'

const PASSWORD = 'correct horse'
const POLICY = `import { definePolicy, reject } from 'postern'

export const policy = definePolicy({
  mailFrom({ peer }) {
    if (peer.kind !== 'unverified') return undefined
    return reject(550, \`5.7.1 your certificate is \${peer.cause}\`)
  },
})
`

let pki: Pki
let ports: { readonly open: number; readonly strict: number; readonly web: number }
let node: OperatorNode
let hop: SmtpSink
let slow: SmtpSink
let load: DayLoad

function conf(): string {
  return `# the operator’s own words
Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
DNS_Servers = ( "127.0.0.1:9" )
Idle_Timeout = 0
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "ENHANCEDSTATUSCODES" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Relay_Hosts = ( "127.0.0.0/8" )
  Listen "127.0.0.1:${ports.open}" {
    Max_Message_Size = 2000 # for a while
  }
  Listen "127.0.0.2:${ports.strict}" {
    Use_SSL = true
    TLS_Verify_Mode = "require"
  }
}
Control_Listener "ops" { Listen "FOLDER/control" { } }
HTTP_Listener "page" {
  Page = true
  AuthLoginParameters [ uri = "file://FOLDER/operators" ]
  Page_Operators = ( "alice" )
  Listen "127.0.0.1:${ports.web}" { }
}
scriptlet "scriptlet" { script "p" { source = "policy.ts" } }
ec_logger "l" { mainlog = "mainlog" rejectlog = "rejectlog" paniclog = "paniclog" acctlog = "acctlog" heartbeat = 0 }
tls_log "t" { tlslog = "tlslog" heartbeat = 0 }
Domain "hop.test" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${hop.port} }
Domain "slow.test" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${slow.port} Retry_Interval = 900 }
`
}

before(async () => {
  pki = await makePki()
  ports = { open: await freePort(), strict: await freePort(), web: await freePort() }
  hop = await SmtpSink.start()
  slow = await SmtpSink.start({ rcpt: '451 4.7.1 greylisted' })
  node = await OperatorNode.start({
    pki,
    conf: conf(),
    files: { 'policy.ts': POLICY, operators: `alice:${cheapHash('scrypt', PASSWORD)}\n` },
  })
  const credential = pki.authority.issue({ subject: 'load.example' })
  load = new DayLoad({ address: open, credential, domains: ['hop.test', 'hop.test', 'slow.test'] })
  await load.more(100)
})
after(async () => {
  await load.end()
  await node.remove()
  await Promise.all([hop.close(), slow.close()])
})

const open = (): Address => ({ host: '127.0.0.1', port: ports.open })
const inConsole = (line: string): Promise<string> => told(node.control, line)
const listen = (): string => `esmtp_listener listen 127.0.0.1:${ports.open}`

/** The line of a file, counted from 1, that holds a text. */
function lineOf(file: string, text: string): number {
  return (
    readFileSync(path.join(node.folder, file), 'utf8')
      .split('\n')
      .findIndex((line) => line.includes(text)) + 1
  )
}

/** Puts a file in the place of another, as whatever renews certificates does. */
function replace(name: string, text: string): void {
  const file = path.join(node.folder, name)
  writeFileSync(`${file}.new`, text)
  renameSync(`${file}.new`, file)
}

interface Found {
  readonly client: SmtpClient
  readonly extensions: readonly string[]
}

/** A session with each of the two workers: the connection's id has the number of its process. */
async function withEach(
  options: ConnectionOptions | undefined,
  look: (found: Found) => Promise<void>,
): Promise<void> {
  const found = new Map<string, Found>()
  const others: SmtpClient[] = []
  try {
    while (found.size < 2) {
      assert.ok(others.length < 100, 'both workers take connections')
      const client = await SmtpClient.connect(open())
      others.push(client)
      await client.reply()
      let extensions = await client.ehlo('operator.example')
      if (options !== undefined) {
        assert.match(await client.command('STARTTLS'), /^220/)
        await client.secure(options)
        extensions = await client.ehlo('operator.example')
      }
      found.set(await workerOf(client), { client, extensions })
    }
    for (const each of found.values()) await look(each)
  } finally {
    for (const client of others) client.destroy()
  }
}

async function workerOf({ localPort }: SmtpClient): Promise<string> {
  const rows = (await node.asked('show inbound'))['rows'] as Rows
  const row = rows.find(({ client }) => client === `127.0.0.1:${localPort}`)
  const [, process] = /^[^-]*-(\d+)-/.exec(String(row?.['connection'])) ?? []
  assert.ok(process !== undefined, `the session is in show inbound: ${JSON.stringify(rows[0])}`)
  return process
}

const large = `Subject: large\n\n${'x'.repeat(70)}\n`.padEnd(5000, 'y\n')

describe('a day of an operator', () => {
  test('a limit that is raised at the console acts in both workers, and is kept in the file', async () => {
    await withEach(undefined, async ({ client, extensions }) => {
      assert.ok(extensions.includes('SIZE 2000'))
      assert.match(await client.deliver('a@origin.test', 'large@hop.test', large), /^552 5\.3\.4/)
    })
    await withEach(undefined, async ({ client }) => {
      // a session that is under way when the limit changes is asked to come back
      if (!/2000/.test(await inConsole(`config get ${listen()} max_message_size`))) return
      assert.match(
        await inConsole(`config set ${listen()} max_message_size 200000`),
        /Max_Message_Size = 200000/,
      )
      assert.match(await client.command('RSET'), /^421 4\.3\.2/)
    })
    await withEach(undefined, async ({ client, extensions }) => {
      assert.ok(extensions.includes('SIZE 200000'))
      assert.match(await client.deliver('a@origin.test', 'large@hop.test', large), /^250/)
    })
    const where = `config eval listen 127.0.0.1:${ports.open} max_message_size`
    assert.match(await inConsole(where), /200000\n {2}from console, by \S+, at /)
    assert.match(await inConsole('config writeback'), /gate\.conf was written: 1 change/)
    const at = lineOf('gate.conf', 'Max_Message_Size')
    assert.match(await inConsole(where), new RegExp(`200000\\n {2}from .*gate\\.conf:${at}\\b`))
    const text = readFileSync(node.file, 'utf8')
    assert.equal(
      text,
      conf().replaceAll('FOLDER', node.folder).replace('Size = 2000 #', 'Size = 200000 #'),
      'nothing else in the file has changed',
    )
    await load.more(100)
  })

  test('a file that is broken changes nothing, and the place is told', async () => {
    const good = readFileSync(node.file, 'utf8')
    await inConsole('config set esmtp_listener banner_hostname unsaved.example')
    appendFileSync(node.file, 'ESMTP_Listener { Max_Mesage_Size = 1 }\n')
    const at = lineOf('gate.conf', 'Max_Mesage_Size')
    const { status, text } = await ask(node.control, 'config reload')
    assert.equal(status, 'error')
    assert.match(text, new RegExp(`gate\\.conf:${at}:.*Max_Mesage_Size`))
    node.gate.child.kill('SIGHUP')
    await until('who sends SIGHUP finds it on stderr', () =>
      node.gate.complaints().includes(`gate.conf:${at}:`),
    )
    await withEach(undefined, async ({ extensions }) => assert.ok(extensions.includes('SIZE 200000')))
    assert.match(
      await inConsole(`config eval listen 127.0.0.1:${ports.open} banner_hostname`),
      /unsaved\.example/,
    )
    const saved = await ask(node.control, 'config writeback')
    assert.deepEqual([saved.status, /has changed since it was read/.test(saved.text)], ['error', true])
    await load.more(100)
    writeFileSync(node.file, good)
    assert.match(await inConsole('config reload'), /no longer in force:[^]*banner_hostname[^]*was reloaded/i)
  })

  test('a new certificate of the server is shown to who connects from now on', async () => {
    const shown = new Set<string>()
    const note = async ({ client }: Found): Promise<void> => {
      shown.add(client.tls.getPeerX509Certificate()?.fingerprint256 ?? '')
    }
    await withEach({}, note)
    assert.equal(shown.size, 1)
    const early = await SmtpClient.connect(open())
    await early.reply()
    await early.ehlo()
    assert.match(await early.command('STARTTLS'), /^220/)
    await early.secure({})
    await early.ehlo()
    const next = pki.authority.issue({ subject: 'localhost', usage: 'server' })
    replace('pki/server.key', next.key)
    replace('pki/server.pem', next.cert)
    await inConsole('tls flush cache')
    shown.clear()
    await withEach({}, note)
    assert.equal(shown.size, 1, 'both workers show the same')
    assert.match(await inConsole('tls expiring 400'), /localhost/)
    assert.match(
      await early.deliver('a@origin.test', 'early@hop.test', 'Subject: early\n\n.'),
      /^250/,
      'a session from before goes on',
    )
    early.destroy()
    await load.more(100)
  })

  test('a certificate that is revoked is refused within seconds, by both workers, with its old tickets too', async () => {
    const { valid, revoked } = pki.clients
    const partner = { cert: valid.cert, key: valid.key }
    const { session, reused } = await secured(partner)
    assert.equal(reused, false)
    const again = await secured({ ...partner, session })
    assert.deepEqual([again.reused, again.reply], [true, '250 2.1.0 MAIL FROM accepted'])
    const list = pki.authority.crl({ revoked: [revoked.serial, valid.serial] })
    replace('pki/crl.pem', list)
    const began = Date.now()
    const refused = 'full handshake, 550 5.7.1 your certificate is revoked'
    await until('both workers refuse it', async () => {
      const answers: string[] = []
      await withEach({ ...partner, session: again.session }, async ({ client }) => {
        const how = client.tls.isSessionReused() ? 'resumed' : 'full handshake'
        answers.push(`${how}, ${await client.command('MAIL FROM:<a@origin.test>')}`)
      })
      return answers.every((answer) => answer === refused)
    })
    assert.ok(Date.now() - began < 15_000, 'within seconds, of a machine that others use too')
    // whose certificates are as good as before sends on
    await load.more(100)
  })

  test('a client that was refused is followed from the page to the line that decided', async () => {
    await assert.rejects(async () => {
      const client = await SmtpClient.connectTls({ host: '127.0.0.2', port: ports.strict }, {})
      await client.reply()
    })
    const page = new PageClient(`127.0.0.1:${ports.web}`)
    assert.equal((await page.view('summary')).status, 401)
    assert.equal((await page.login('alice', PASSWORD)).status, 200)
    const failed = async (): Promise<Rows> =>
      (await page.view('handshakes', { only: 'outcome:failed' })).data['rows'] as Rows
    await until('it is on the page', async () => (await failed()).length > 0)
    const [row] = await failed()
    const why = await page.view('why', { of: String(row?.['connection']) })
    const at = lineOf('gate.conf', 'TLS_Verify_Mode = "require"')
    const text = (why.data['lines'] as readonly string[]).join('\n')
    assert.match(text, new RegExp(`require.*gate\\.conf:${at}\\b`))
    assert.match(text, /peer did not return a certificate/)
    const scope = `esmtp_listener listen 127.0.0.2:${ports.strict}`
    const effective = await page.view('effective', { scope, find: 'TLS_Verify_Mode' })
    const values = effective.data['rows'] as Rows
    const mode = values.find(({ option }) => option === 'TLS_Verify_Mode')
    assert.match(JSON.stringify(mode), new RegExp(`require.*gate\\.conf:${at}\\b`))
    // and the one whose certificate was revoked, to the line of the script
    const refused = node.log('rejectlog').findLast((line) => line.endsWith('your certificate is revoked'))
    const told = await page.view('why', { of: / C="([^"]*)"/.exec(refused ?? '')?.[1] ?? '' })
    assert.match(
      (told.data['lines'] as readonly string[]).join('\n'),
      /verdict: +unverified: revoked\b[^]*your certificate is revoked.*policy\.ts:\d/,
    )
  })

  test('mail for a next hop that greylisted goes out when its domain is flushed', async () => {
    const delayed = async (): Promise<number> =>
      Number(
        ((await node.asked('mailq -d slow.test')) as unknown as { rows: Rows }).rows[0]?.['delayed'] ?? 0,
      )
    await until('some of it is delayed', async () => (await delayed()) > 5)
    assert.equal(slow.received.length, 0)
    slow.script = () => ({})
    const page = new PageClient(`127.0.0.1:${ports.web}`)
    await page.login('alice', PASSWORD)
    const waiting = await delayed()
    const queue = (await page.view('queue', { find: 'slow.test' })).data['rows'] as Rows
    assert.deepEqual([queue.length, Number(queue[0]?.['delayed']) >= waiting], [1, true])
    const reply = await page.post('act/flush', { binding: 'default/default', domain: 'slow.test' })
    assert.equal(reply.status, 200, reply.text)
    await slow.until(({ received }) => received.length >= waiting)
    await until('nothing is delayed any more', async () => (await delayed()) === 0)
    const account = node.log('acctlog').filter((line) => line.includes('@A@') && line.includes('slow.test'))
    assert.equal(account.length, 1)
    assert.match(account[0] ?? '', /@alice@\d+@\d+@binding flush domain default\/default slow\.test/)
  })

  test('it drains and starts again under load, by the console and by SIGTERM', async () => {
    const { child } = node.gate
    assert.match(await inConsole('shutdown'), /Shutting down/)
    if (child.exitCode === null) await once(child, 'exit')
    assert.equal(child.exitCode, 0)
    await node.start()
    await withEach(undefined, async ({ extensions }) =>
      assert.ok(extensions.includes('SIZE 200000'), 'what was written back is in force'),
    )
    await load.more(200)
    assert.equal(await node.stop(), 0)
    await node.start()
    await load.more(200)
    await load.end()
    assert.deepEqual(load.surprises, [])
    assert.ok(load.interruptions > 0, 'somebody was sending at that time')
    assert.equal(load.unanswered.size, 0, 'who has sent a message hears what became of it')
    await until('all has gone out', async () => {
      const { totalQueueSize, inboundConcurrency } = await node.asked('summary')
      return totalQueueSize === 0 && inboundConcurrency === 0
    })
    assert.equal(await node.stop(), 0)
  })

  test('every message that was answered 250 has arrived, once', () => {
    const arrived = [...hop.received, ...slow.received].map(
      ({ content }) => /^Subject: (.*)\r$/m.exec(content)?.[1],
    )
    const there = new Set<string | undefined>()
    for (const id of arrived) {
      assert.ok(id === 'large' || !there.has(id), `${id} is there twice`)
      there.add(id)
    }
    assert.deepEqual(
      [...load.kept].filter((id) => !there.has(id)),
      [],
      'none is lost',
    )
    const unexpected = [...there].filter((id = '') => !load.kept.has(id) && !['large', 'early'].includes(id))
    assert.deepEqual(unexpected, [], 'none that nobody sent, or that was refused')
    const outcomes = node.log('mainlog').map((line) => line.split(/(?<!\\)@/)[4])
    const count = (kind: string): number => outcomes.filter((each) => each === kind).length
    assert.deepEqual([count('R'), count('D'), count('P')], [arrived.length, arrived.length, 0])
    console.log(
      `${load.kept.size} messages kept and delivered once, ${load.interruptions} sessions interrupted, ${count('T')} attempts greylisted`,
    )
  })
})

/** A handshake, and what MAIL is answered. */
async function secured(options: ConnectionOptions): Promise<{
  readonly session: Buffer | undefined
  readonly reused: boolean
  readonly reply: string
}> {
  const client = await SmtpClient.connect(open())
  try {
    await client.reply()
    await client.ehlo('partner.example')
    assert.match(await client.command('STARTTLS'), /^220/)
    await client.secure(options)
    await client.ehlo('partner.example')
    const reply = await client.command('MAIL FROM:<a@origin.test>')
    return { session: client.session, reused: client.tls.isSessionReused(), reply }
  } finally {
    client.destroy()
  }
}
