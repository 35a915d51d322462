/** What the console tells of the insides of a running gate, and traces of what its sessions say. */

import assert from 'node:assert/strict'
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, data, openConsole, told } from '../support/console-client.ts'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const SCRIPT = `require("msys.core")
local mod = {}
function mod:validate_ehlo(name)
  msys.counter.open("/seen/ehlo", msys.counter.RELAXED):add(1)
  return msys.core.VALIDATE_CONT
end
msys.registerModule("mod", mod)
`

let gate: TestGate
let dns: TestDnsServer
let sink: SmtpSink
let control: string

before(async () => {
  dns = await TestDnsServer.start({ 'MX there.example': [{ preference: 10, exchange: 'mx.there.example' }] })
  sink = await SmtpSink.start()
  gate = await startTestGate({
    conf: `
DNS_Servers = ( "127.0.0.1:${dns.port}" )
Trace_SMTP_Mode = 0600
ESMTP_Listener { Listen "127.0.0.1:0" { Open_Relay = true SMTP_Extensions = ( "AUTH PLAIN" "8BITMIME" ) Allow_Plaintext_Auth = true
  AuthPlainParameters = [ uri = "file://FOLDER/users" ] Auth_Failure_Delay = 0 } }
Domain "sink.example" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${sink.port} }
scriptlet "scriptlet" { script "mod" { source = "mod.lua" } }
Control_Listener "ops" { Listen "FOLDER/control" { } }
`,
    files: { 'mod.lua': SCRIPT, users: 'ann:hunter2\n' },
  })
  control = path.join(gate.folder, 'control')
})
after(async () => {
  await gate.stop()
  await sink.close()
  await dns.close()
})

async function rows(line: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return ((await data(control, line)) as { readonly rows: readonly Readonly<Record<string, unknown>>[] }).rows
}

/** A whole session with a login and a message. */
async function visit(recipient: string): Promise<void> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  await client.command('EHLO client.example')
  await client.command(`AUTH PLAIN ${Buffer.from('\0ann\0hunter2').toString('base64')}`)
  await client.deliver('a@b.example', recipient, 'Subject: hidden\n\nnobody reads this\n')
  await client.command('QUIT')
  await client.closed()
  client.destroy()
}

async function until(fits: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000
  while (!fits()) {
    assert.ok(Date.now() < deadline, 'in time')
    await delay(20)
  }
}

test('an answer of the DNS is asked for, kept, shown and flushed', async () => {
  assert.match((await ask(control, 'dns_cache lookup there.example MX')).text, /not found, try a submit/)
  const [answer] = await rows('dig there.example')
  assert.equal(answer?.['data'], '10 mx.there.example')
  assert.deepEqual(
    (await rows('dns_cache lookup THERE.example mx')).map(({ data: found }) => found),
    ['10 mx.there.example'],
  )
  assert.equal((await rows('dns_cache list -l 1')).length, 1)
  const [delivery] = await rows('dns_cache stats')
  assert.deepEqual([delivery?.['cache'], delivery?.['entries'], delivery?.['asked']], ['delivery', 1, 1])
  assert.equal(await told(control, 'dns_cache flush other.example'), '0 answers flushed.\n')
  assert.equal(await told(control, 'dns_cache flush there.example'), '1 answers flushed.\n')
  assert.equal((await rows('dns_cache list')).length, 0)
  assert.equal((await ask(control, 'dns_cache submit x NONSENSE')).status, 'error')
  assert.equal((await ask(control, 'dns_cache submit "a b" MX')).status, 'error')
  dns.odd = () => ({ rcode: 2 })
  assert.match((await ask(control, 'dig broken.example')).text, /MX of broken\.example/)
  dns.odd = () => undefined
})

test('MTA-STS policies are listed, shown and forgotten', async () => {
  assert.equal(await told(control, 'mta_sts list all'), 'Total domains: 0\n')
  assert.match((await ask(control, 'mta_sts show domain there.example')).text, /no MTA-STS policy/)
  const stored = { id: '1', mode: 'enforce', mx: ['mx.kept.example'], maxAge: 86_400, fetchedAt: Date.now() }
  writeFileSync(path.join(gate.folder, 'spool', 'mtasts', 'kept.example'), JSON.stringify(stored))
  assert.deepEqual(
    (await rows('mta_sts list all')).map(({ domain, mode }) => [domain, mode]),
    [['kept.example', 'enforce']],
  )
  assert.match(await told(control, 'mta_sts show domain KEPT.example'), /mxlist: mx\.kept\.example/)
  // nobody publishes another one: what is known stays
  assert.match(await told(control, 'mta_sts refresh policy kept.example'), /mode: enforce/)
  assert.equal((await ask(control, 'mta_sts show domain ../../gate.conf')).status, 'error')
  assert.equal((await ask(control, 'mta_sts flush ../../gate.conf')).text, '0 policies flushed.\n')
  assert.equal(await told(control, 'mta_sts flush kept.example'), '1 policies flushed.\n')
  assert.ok(existsSync(path.join(gate.folder, 'gate.conf')))
  assert.equal((await rows('mta_sts list all')).length, 0)
})

test('counters of scripts, their functions, modules and processes', async () => {
  await visit('u@sink.example')
  assert.deepEqual(
    (await rows('counter list')).map(({ counter, value }) => [counter, value]),
    [['/seen/ehlo', 1]],
  )
  await told(control, 'counter add /seen/ehlo 4')
  assert.equal(await told(control, 'counter get /seen/ehlo'), '5\n')
  await told(control, 'counter reset /seen/ehlo')
  await told(control, 'counter increment /seen/other')
  assert.equal(await told(control, 'counter get /seen/other'), '1\n')
  await told(control, 'counter unlink /seen/other')
  for (const wrong of [
    'counter get /seen/other',
    'counter add /x y',
    'counter add x 1',
    'counter reset /none',
  ])
    assert.equal((await ask(control, wrong)).status, 'error', wrong)
  assert.deepEqual(await rows('scriptlet functions'), [
    { script: 'mod', callout: 'validate_ehlo', at: 'mod.lua:3' },
  ])
  assert.deepEqual(
    (await rows('module list')).map(({ module, place }) => [module, String(place).split(':').pop()]),
    [['scriptlet:mod', '10']],
  )
  const [process_] = await rows('threads')
  assert.deepEqual([process_?.['process'], process_?.['pid']], ['server', process.pid])
  assert.equal((await ask(control, 'shutdown')).status, 'error', 'a test is not ended by its gate')
})

test('a trace tells commands and replies of both sides to new files, and no secret or content', async () => {
  const inbound = path.join(gate.folder, 'in.log')
  const outbound = path.join(gate.folder, 'out.log')
  assert.match(await told(control, `trace smtp inbound 127.0.0.0/8 ${inbound}`), /Registered smtp tracer #\d/)
  await told(control, `trace smtp add * sink.example ${outbound}`)
  await told(control, `trace smtp inbound 192.0.2.0/24 ${gate.folder}/nobody.log`)
  await visit('u@sink.example')
  await until(() => / C: MAIL FROM.*\n(?:.*\n)*.* S: 250/.test(readFileSync(outbound, 'latin1')))
  await until(() => readFileSync(inbound, 'latin1').includes('* closed'))
  await told(control, 'trace smtp off')
  await until(() => readFileSync(outbound, 'latin1').includes('the trace has ended'))
  const [client, hop] = [readFileSync(inbound, 'latin1'), readFileSync(outbound, 'latin1')]
  assert.match(client, / C: EHLO client\.example\n(?:.*\n)*.* C: AUTH PLAIN \*\*\*\n.* S: 235 /)
  assert.match(client, / C: MAIL FROM:<a@b\.example>\n/)
  assert.match(hop, /outbound 127\.0\.0\.1 .* C: MAIL FROM:<a@b\.example>/)
  for (const text of [client, hop]) {
    assert.ok(!text.includes('hidden') && !text.includes('nobody reads'))
    assert.ok(!text.includes(Buffer.from('\0ann\0hunter2').toString('base64')))
  }
  assert.equal(lstatSync(inbound).mode & 0o777, 0o600)
  assert.ok(!readFileSync(path.join(gate.folder, 'nobody.log'), 'latin1').includes('EHLO'))
  for (const wrong of [
    `trace smtp inbound * ${inbound}`,
    'trace smtp inbound * relative.log',
    'trace smtp inbound example.com',
    'trace smtp inbound -l 0 *',
    'trace smtp remove 99',
    'trace smtp add * x',
    'trace smtp inbound',
  ])
    assert.equal((await ask(control, wrong)).status, 'error', wrong)
  assert.equal(readFileSync(inbound, 'latin1'), client, 'a file that is there is left alone')
})

test('a trace is told as it happens, until its limit, a further line, or the end of the connection', async () => {
  const connection = await openConsole(control)
  const lines: string[] = []
  const follow = { onMore: (text: string) => lines.push(text), stop: new AbortController().signal }
  const limited = connection.ask('trace smtp inbound -l 3 127.0.0.1', follow)
  await until(() => lines.length > 0)
  await visit('u@sink.example')
  assert.match((await limited).text, /ended: 3 lines are told/)
  assert.equal(lines.join('').split('\n').length - 1, 1 + 3)
  const stop = new AbortController()
  lines.splice(0)
  const stopped = connection.ask('trace smtp outbound *', { ...follow, stop: stop.signal })
  await until(() => lines.length > 0)
  assert.equal((await rows('trace smtp list')).length, 1)
  stop.abort()
  assert.match((await stopped).text, /ended: you ended it/)
  assert.equal((await connection.ask('pid')).text, `${process.pid}\n`, 'answers stay in order')
  lines.splice(0)
  const left = connection.ask('trace smtp inbound *', follow)
  await until(() => lines.length > 0)
  connection.close()
  await assert.rejects(left)
  for (let tries = 0; (await rows('trace smtp list')).length > 0; tries++) {
    assert.ok(tries < 200)
    await delay(20)
  }
})

test('there are few traces at once', async () => {
  for (let number = 0; number < 16; number++)
    await told(control, `trace smtp inbound 192.0.2.${number} ${gate.folder}/many${number}.log`)
  assert.match((await ask(control, `trace smtp inbound * ${gate.folder}/more.log`)).text, /16 traces already/)
  // nor is anything left of one that could not begin
  assert.ok(!existsSync(path.join(gate.folder, 'more.log')))
  for (let tries = 0; isOpen('more.log'); tries++) {
    assert.ok(tries < 200)
    await delay(20)
  }
  assert.equal(await told(control, 'trace smtp off'), 'Removed 16 smtp tracers\n')
})

/** Whether this process has a file of that name open. */
function isOpen(name: string): boolean {
  return readdirSync('/proc/self/fd').some((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).includes(name)
    } catch {
      return false
    }
  })
}
