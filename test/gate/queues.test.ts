/** An operator and the queue of a node with two workers: what is seen, what is done, and that it holds over kill -9. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { ask, data, told } from '../support/console-client.ts'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

type Data = Readonly<Record<string, unknown>>
type Rows = readonly Data[]

/** messages to the host that defers */
const MAIL = 12

let folder: string
let control: string
let file: string
let gate: GateProcess
let slow: SmtpSink
let other: SmtpSink

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-queues-'))
  control = path.join(folder, 'control')
  file = path.join(folder, 'gate.conf')
  slow = await SmtpSink.start({ rcpt: '451 4.7.1 greylisted' })
  other = await SmtpSink.start()
  writeFileSync(
    file,
    `Hostname = "gate.example"
Spoolbase = "spool"
Spool_Min_Free = 1M
DNS_Servers = ( "127.0.0.1:9" )
ESMTP_Listener { Listen "127.0.0.1:0" { Relay_Hosts = ( "127.0.0.0/8" ) } }
Control_Listener "ops" { Listen "${control}" { } }
ec_logger "l" { mainlog = "mainlog" acctlog = "acctlog" heartbeat = 0 }
Idle_Timeout = 0
Binding_Group "bulk" { Binding "m1" { } }
Domain "slow.example" { ${to(slow)} Retry_Interval = 900 }
Domain "other.example" { ${to(other)} }
Domain "sender.example" { ${to(other)} }
Domain "held.example" { Suspend_Delivery = true }
`,
  )
  gate = await startGateProcess(file, [], ['--workers', '2'])
})
after(async () => {
  await gate.end('SIGTERM')
  await Promise.all([slow.close(), other.close()])
  rmSync(folder, { recursive: true, force: true })
})

function workers(): readonly number[] {
  const { pid = 0 } = gate.child
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ').map(Number)
}

/** The supervisor and its workers, in the same instant, as a machine that loses its power. */
async function kill(): Promise<void> {
  const { pid = 0 } = gate.child
  const children = workers()
  process.kill(pid, 'SIGSTOP')
  for (const child of children) process.kill(child, 'SIGKILL')
  await gate.end('SIGKILL')
}

function to({ port }: SmtpSink): string {
  return `Gateway = "127.0.0.1" Remote_SMTP_Port = ${port}`
}

/** local parts of the recipients that a sink took mail for */
function takenBy({ received }: SmtpSink): readonly string[] {
  const lines = received.flatMap(({ rcpt }) => rcpt)
  return lines.map((line) => line.replace(/^RCPT TO:<([^@]+)@.*$/i, '$1')).toSorted()
}

/** One message each, every one over a connection of its own: so both workers get some. */
async function send(domain: string, names: readonly string[]): Promise<void> {
  const [address] = gate.addresses
  assert.ok(address)
  for (const name of names) {
    const client = await SmtpClient.connect(address)
    await client.reply()
    await client.ehlo()
    const text = `Subject: ${name}\nX-Group: ${Number(name.slice(1)) % 2 ? 'odd' : 'even'}\n\nhello`
    assert.match(await client.deliver('a@sender.example', `${name}@${domain}`, text), /^250/)
    client.send('QUIT')
    await client.closed()
    client.destroy()
  }
}

function startedWith(pid: number, what: 'cmdline' | 'environ'): readonly string[] {
  return readFileSync(`/proc/${pid}/${what}`, 'latin1').split('\0')
}

test('workers run as bin/postern starts the program: with its options of Node and its threads for files', () => {
  const [first, second, ...more] = workers()
  assert.equal(more.length, 0)
  for (const pid of [gate.child.pid, first, second]) {
    assert.ok(pid)
    assert.deepEqual(startedWith(pid, 'cmdline').slice(1, 4), [
      '--no-parallel-scavenge',
      '--max-semi-space-size=8',
      '--v8-pool-size=1',
    ])
    assert.ok(startedWith(pid, 'environ').some((each) => /^UV_THREADPOOL_SIZE=\d+$/.test(each)))
  }
})

const asked = async (line: string): Promise<Data> => (await data(control, line)) as Data

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 20_000; !(await holds()); await new Promise((go) => setTimeout(go, 20)))
    assert.ok(Date.now() < end, 'it does not come about')
}

/** the fields of the lines about acts, from the third on */
function accounts(): readonly (readonly string[])[] {
  return readFileSync(path.join(folder, 'acctlog'), 'latin1')
    .split('\n')
    .map((line) => line.split('@'))
    .filter(([, kind]) => kind === 'A')
    .map((fields) => fields.slice(2))
}

const names = Array.from({ length: MAIL }, (_, index) => `u${index}`)

test('a domain says why its mail does not go out, and a listing what leaves next', async () => {
  await send('slow.example', names)
  await send('held.example', ['h0', 'h1'])
  await until(async () =>
    ((await asked('showqueue slow.example'))['rows'] as Rows).every((row) => row['state'] === 'delayed'),
  )
  const domain = await asked('domain slow.example')
  const [queue, ...more] = domain['queues'] as Rows
  assert.ok(queue)
  assert.equal(more.length, 0, 'the parts of both workers are one')
  const { state, delayed, deferred, failuresInARow, route, lastError, limits, options } = queue
  assert.deepEqual([state, delayed, deferred], ['delayed', MAIL, MAIL])
  assert.ok(Number(failuresInARow) > 0)
  assert.deepEqual(route, [`127.0.0.1:${slow.port}`])
  assert.equal((lastError as Data)['text'], '451 4.7.1 greylisted')
  assert.equal((limits as Data)['retryInterval'], 900)
  assert.deepEqual(Object.fromEntries((options as Rows).map(({ option, value }) => [option, value])), {
    Gateway: '"127.0.0.1"',
    Remote_SMTP_Port: String(slow.port),
    Retry_Interval: '900',
  })
  const held = (await asked('domain held.example'))['queues'] as Rows
  assert.deepEqual([held[0]?.['state'], held[0]?.['ready']], ['suspended', 2])

  const list = await asked('showqueue binding default slow.example 3,1')
  const rows = list['rows'] as Rows
  assert.deepEqual([rows.length, list['messages'], list['limit'], list['offset']], [3, MAIL, 3, 1])
  const times = rows.map((row) => String(row['nextAttempt']))
  assert.deepEqual(times, times.toSorted())
  const fields =
    'id state bindingGroup binding domain sender recipient created size attempts nextAttempt lastReply'
  assert.equal(Object.keys(rows[0] ?? {}).join(' '), fields)
  const text = await told(control, 'showqueue slow.example 1')
  assert.match(
    text,
    /^\[delayed\/default\] \S+ Created: \d{10}\n {2}From: <a@sender\.example> To: <u\d+@slow\.example>\n11 more/,
  )
  assert.match(
    await told(control, 'delayed 11'),
    /^Domain: +slow\.example {2}C: +0 {2}A: +0 {2}D: +12 {2}S: +0\n +Total:/,
  )
  assert.deepEqual((await asked('delayed 12'))['rows'], [])
  assert.equal(((await asked('active 1'))['rows'] as Rows)[0]?.['domain'], 'held.example')

  const message = await asked(`message details full ${String(rows[0]?.['id'])}`)
  assert.match(String(message['header']), /^Received: /)
  assert.equal(message['body'], 'hello\r\n')
  assert.match((await ask(control, 'message details nothing')).text, /there is no message "nothing"/)
})

test('a dry run touches nothing; what cannot be meant is refused', async () => {
  const preview = await asked('fail domain slow.example --dry-run')
  const { messages, dryRun, listed, notListed, underWay } = preview
  assert.deepEqual([messages, dryRun, (listed as Rows).length, notListed, underWay], [MAIL, true, MAIL, 0, 0])
  assert.match(
    await told(control, 'fail all --dry-run --header X-Group odd'),
    /\n\[dry-run\] all domains: 7 messages would be failed\.\n$/,
  )
  assert.equal((await asked('showqueue slow.example'))['messages'], MAIL)
  for (const line of [
    'fail domain',
    'fail domain all',
    'fail all gone',
    'fail domain slow.example --dryrun',
    'fail domain --header X slow.example',
    'fail domain slow.example 250 fine',
    'fail domain "no domain"',
    'delay 60',
    'delay 0 --domain slow.example',
    'reroute queue slow.example',
    'reroute queue slow.example slow.example',
    'rebind --to nowhere all',
    'rebind all',
    'showqueue all 5001',
    'showqueue all many',
    'message fail nothing',
    'message retry',
  ])
    assert.equal((await ask(control, line)).status, 'error', line)
  assert.equal((await asked('showqueue all'))['messages'], MAIL + 2)
})

test('what was failed, rerouted, rebound and delayed stays so after kill -9, and nothing is lost or sent twice', async () => {
  assert.equal((await asked('fail domain --header Subject u0 slow.example 550 5.1.1 no more'))['messages'], 1)
  assert.equal((await asked('fail domain quiet --header Subject u2 slow.example'))['messages'], 1)
  assert.equal((await asked('reroute queue --header X-Group odd slow.example other.example'))['messages'], 6)
  assert.equal((await asked('rebind --to m1 default held.example'))['messages'], 2)
  assert.equal((await asked('delay 3600 --header Subject h0'))['messages'], 1)
  assert.equal((await asked('delay 3600 --meta password hunter2'))['messages'], 0)
  await until(() => accounts().length === 7)
  await kill()
  slow.script = () => ({})
  // one process takes over what both workers had
  gate = await startGateProcess(file)
  const odd = names.filter((_, index) => index % 2 === 1)
  const even = names.filter((_, index) => index % 2 === 0 && index > 2)
  await slow.until((sink) => sink.received.length >= even.length)
  // the moved ones, and one bounce
  await other.until((sink) => sink.received.length >= odd.length + 1)
  await until(async () => (await asked('showqueue all'))['messages'] === 2)
  assert.deepEqual(takenBy(slow), even.toSorted())
  assert.deepEqual(takenBy(other), ['a', ...odd].toSorted())
  const bounce = other.received.find(({ mail }) => mail.startsWith('MAIL FROM:<>'))
  assert.match(bounce?.content ?? '', /550 5\.1\.1 no more/)
  const held = (await asked('showqueue binding m1 held.example'))['rows'] as Rows
  assert.deepEqual(
    held.map(({ state, recipient }) => [state, recipient]),
    [
      ['ready', 'h1@held.example'],
      ['delayed', 'h0@held.example'],
    ],
  )
})

test('who did what to how many is in the acctlog, once', () => {
  const lines = accounts()
  assert.deepEqual(
    lines.map(([, , messages, underWay, act]) => [messages, underWay, act]),
    [
      ['0', '0', 'message fail nothing'],
      ['1', '0', 'fail domain --header Subject u0 slow.example 550 5.1.1 no more'],
      ['1', '0', 'fail domain quiet --header Subject u2 slow.example'],
      ['6', '0', 'reroute queue --header X-Group odd slow.example other.example'],
      ['2', '0', 'rebind --to m1 default held.example'],
      ['1', '0', 'delay 3600 --header Subject h0'],
      ['0', '0', 'delay 3600 --meta password ***'],
    ],
  )
  assert.ok(lines.every(([from, operator]) => from === 'local' && operator !== ''))
  assert.ok(!readFileSync(path.join(folder, 'acctlog'), 'latin1').includes('hunter2'))
})

test('a message that is being delivered is left alone, and one that is delayed can be tried at once', async () => {
  other.script = () => ({ message: { trickle: '250 2.0.0 kept\r\n', everyMs: 50 } })
  await send('other.example', ['v1'])
  await other.until((sink) => sink.commands.at(-1) === 'DATA')
  const outbound = await asked('show outbound')
  const [attempt] = outbound['rows'] as Rows
  const { state, address, domain, messages } = attempt ?? {}
  assert.deepEqual(
    [outbound['attempts'], state, address, domain, messages],
    [1, 'sending', '127.0.0.1', 'other.example', 1],
  )
  assert.equal(((await asked('domain other.example'))['attempts'] as Rows)[0]?.['state'], 'sending')
  assert.equal((await asked('count outbound 127.0.0.0/8'))['sessions'], 1)
  assert.equal(await told(control, 'count outbound/m1 32'), "Displaying 'outbound/m1' from /32 to /32\n")
  const report = await asked('fail domain other.example')
  assert.deepEqual([report['messages'], report['underWay']], [0, 1])
  await until(async () => (await asked('showqueue other.example'))['messages'] === 0)
  const [sent] = (await asked('domain other.example'))['queues'] as Rows
  assert.deepEqual([sent?.['state'], sent?.['failed'], Number(sent?.['delivered']) > 0], ['idle', 0, true])

  const bindings = (await asked('binding summary default'))['bindings'] as Rows
  assert.deepEqual(
    bindings.map((row) => [row['binding'], row['failedMessages'], Number(row['receivedMessages']) > 0]),
    [['default', 0, true]],
  )
  assert.match(await told(control, 'refresh domain slow.example'), /^slow\.example refreshed\. 0 answers/)
  assert.equal((await ask(control, 'binding summary nowhere')).status, 'error')

  slow.received.length = 0
  slow.script = () => ({ rcpt: '451 4.7.1 greylisted' })
  await send('slow.example', ['w1'])
  await until(async () => ((await asked('delayed 0'))['totals'] as Data)['delayed'] === 2)
  slow.script = () => ({})
  assert.match(
    await told(control, 'flush domain slow.example'),
    /^slow\.example flushed\. {2}1 messages requeued\.\n/,
  )
  await slow.until((sink) => sink.received.length === 1)
})
